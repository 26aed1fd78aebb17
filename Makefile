# Each target sets itself up: .venv is made once, and filled again when the requirements change.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NEWEST := .venv-newest
.PHONY: run test lint demo bench scale soak fuzz audit sbom newest test-latest update

run: $(VENV)/run
	@exec $(BIN)/python main.py

# Four at a time: many tests wait for a server, and not for a processor.
test: $(VENV)/dev
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder --durations 12

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The example page on a port of its own, beside the service on the one that the page expects.
demo: $(VENV)/run
	@echo "The page: http://127.0.0.1:8080/"
	@$(BIN)/python -m http.server 8080 --bind 127.0.0.1 --directory examples >/dev/null 2>&1 & \
	trap "kill $$!" EXIT; trap exit INT TERM; HOST=127.0.0.1 PORT=8000 $(BIN)/python main.py

bench: $(VENV)/dev
	@if command -v npm >/dev/null; then npm ci --prefix bench/peers --no-audit --no-fund --silent; fi
	$(BIN)/python -m bench.bench

scale: $(VENV)/dev
	$(BIN)/python -m bench.scale

# Slower than `make test`: the faults ten times over and under more load, and many more random requests.
soak: $(VENV)/dev
	for round in 1 2 3 4 5 6 7 8 9 10; do \
		SOAK=10 $(BIN)/python -m pytest -v tests/test_faults.py || exit 1; \
	done

fuzz: $(VENV)/dev
	FUZZ_REQUESTS=20000 $(BIN)/python -m pytest -s tests/test_fuzz.py

# Suspicious code, and known vulnerabilities: that asks a service on the internet, and fails where it cannot be reached.
audit: $(VENV)/dev
	$(BIN)/bandit --quiet main.py
	$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement requirements.txt

sbom: $(VENV)/dev
	$(BIN)/cyclonedx-py requirements requirements.txt --output-reproducible --output-file sbom.json

$(VENV)/run: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	@touch $@

$(VENV)/dev: requirements-dev.txt $(VENV)/run
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	@touch $@

# All packages without their pins, for an environment of their own.
newest:
	$(PYTHON) -m venv --clear $(NEWEST)
	sed -n 's/==[^;]*//p' requirements.txt requirements-dev.txt > $(NEWEST)/names

test-latest: newest
	$(NEWEST)/bin/python -m pip install --quiet --upgrade --requirement $(NEWEST)/names
	$(NEWEST)/bin/python -m pytest

# The newest versions that the oldest Python takes, too, whichever Python runs this.
update: newest
	$(NEWEST)/bin/python -m pip install --quiet uv
	$(NEWEST)/bin/uv pip compile --quiet --no-header --no-annotate --python-version 3.11 $(NEWEST)/names > $(NEWEST)/pins
	for file in requirements.txt requirements-dev.txt; do \
		awk -F'==' 'function key(n) { gsub("[-_.]+", "-", n); return tolower(n) } \
			NR == FNR { pin[key($$1)] = $$2; next } \
			NF == 2 { rest = match($$2, ";") ? substr($$2, RSTART) : ""; $$0 = $$1 "==" pin[key($$1)] rest } \
			{ print }' $(NEWEST)/pins $$file > $(NEWEST)/$$file && cp $(NEWEST)/$$file $$file; \
	done
