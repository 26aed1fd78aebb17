# Each target sets itself up: see tools/environment.py.
# Without PYTHON=..., a .venv that is whole keeps its Python, and python3 makes one that is not.
PYTHON ?= $(shell test -d .venv/installed && .venv/bin/python -c "" 2>/dev/null \
	&& echo .venv/bin/python || echo python3)
BIN := .venv/bin
NEWEST := .venv-newest
.PHONY: help run test lint demo bench scale rude soak fuzz audit sbom test-latest update
.PHONY: runtime development newest

help: ## list the targets, as make alone does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

run: runtime ## serve at 127.0.0.1:8000, on SQLite unless DATABASE_URL says otherwise
	@exec $(BIN)/python main.py

# Four at a time: many tests wait for a server, and not for a processor. Compiled modules are
# kept, also where a container says otherwise: more than a hundred servers are started.
test: development ## run all tests, on SQLite and on a Postgres of their own
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder --durations 12

lint: development ## check form and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

demo: runtime ## show the example page, at 127.0.0.1:8080/demo/
	@exec $(BIN)/python -m examples.demo

bench: development ## measure against other servers under load
	@if command -v npm >/dev/null; then npm ci --prefix bench/peers --no-audit --no-fund --silent; fi
	$(BIN)/python -m bench.bench

scale: development ## measure with a million notes
	$(BIN)/python -m bench.scale

rude: development ## measure what others get beside one rude client
	$(BIN)/python -m bench.rude

# A line for each kind of trial.
soak: development ## test the faults for much longer and under more load
	for round in 1 2 3 4 5 6 7 8 9 10; do \
		SOAK=10 $(BIN)/python -m pytest -v tests/test_faults.py tests/test_linearizability.py \
			|| exit 1; \
	done

fuzz: development ## test with 20,000 random requests
	FUZZ_REQUESTS=20000 $(BIN)/python -m pytest -s tests/test_fuzz.py

# pip-audit asks a service on the internet. Where that gives no answer, the last line of a long
# traceback says why; where it gives one, the last line sums it up.
audit: development ## look for suspicious code and for known vulnerabilities
	$(BIN)/bandit --quiet main.py
	@$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement requirements.txt \
		2> .venv/audit || { tail -n 1 .venv/audit; echo "The audit has not passed."; exit 1; }

sbom: development ## write what production installs to sbom.json
	$(BIN)/cyclonedx-py requirements requirements.txt --output-reproducible --output-file sbom.json

test-latest: newest ## run the tests on the newest version of every package
	$(NEWEST)/bin/python -m pip install --quiet --upgrade --requirement $(NEWEST)/names
	$(NEWEST)/bin/python -m pytest

update: newest ## pin the newest versions that Python 3.11 takes, too
	$(NEWEST)/bin/python -m pip install --quiet uv
	$(NEWEST)/bin/python -m tools.requirements update

runtime:
	@$(PYTHON) -m tools.environment requirements.txt

development:
	@$(PYTHON) -m tools.environment requirements-dev.txt

# An environment of its own for what is not pinned.
newest: runtime
	$(BIN)/python -m venv --clear $(NEWEST)
	$(BIN)/python -m tools.requirements names > $(NEWEST)/names
