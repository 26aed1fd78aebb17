# Each target sets itself up, in .venv. One that was made by hand is used as it is.
PYTHON ?= python3
BIN := .venv/bin
CHECK := import sys; sys.version_info >= (3, 11) or sys.exit( \
	"Python 3.11 or later is needed, and %s is %s: delete .venv, if it is there, and name \
	another one, as in make run PYTHON=python3.13" \
	% (sys.executable, sys.version.split()[0]))
.PHONY: help run test quick lint demo bench soak pins
.DELETE_ON_ERROR:

help: ## list the targets, as make alone does
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile

run: .venv/requirements.txt ## serve at 127.0.0.1:8000, on SQLite unless DATABASE_URL says otherwise
	@exec $(BIN)/python main.py

# Four at a time: many tests wait for a server, and not for a processor. Compiled modules are
# kept, also where a container says otherwise: more than a hundred servers are started.
test: .venv/requirements-dev.txt ## run all tests, on SQLite and on a Postgres of their own
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -rs -n 4 --dist loadfile --no-loadscope-reorder

quick: .venv/requirements-dev.txt ## run the tests of the contract, on SQLite
	@$(BIN)/python -m pytest -q -k "not postgres" test_main.py tests/test_lists.py tests/test_errors.py

# It checks all files, and so needs what each of them imports.
lint: .venv/requirements-dev.txt .venv/bench/requirements.txt .venv/examples/requirements-agents.txt
lint: ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright

demo: .venv/requirements.txt ## show the example page, at 127.0.0.1:8080/demo/
	@exec $(BIN)/python -m examples.demo

bench: .venv/bench/requirements.txt ## measure against the bars; PARTS=load or million: a part
	@for program in npm wrk sqlite3 psql; do \
		command -v $$program >/dev/null || { echo "$$program is not installed"; exit 1; }; \
	done
	@npm ci --prefix bench/peers --silent
	@$(BIN)/python -m bench $(PARTS)

soak: .venv/requirements-dev.txt ## test the faults for hours, under more load
	for round in 1 2 3 4 5 6 7 8 9 10; do \
		SOAK=10 $(BIN)/python -m pytest -v -rP tests/test_faults.py tests/test_linearizability.py \
			tests/cluster.py || exit 1; \
	done

pins: ## pin the newest versions of what pyproject.toml lists, by uv
	uv pip compile -q --upgrade pyproject.toml -o requirements.txt
	uv pip compile -q --upgrade pyproject.toml -c requirements.txt --group dev -o requirements-dev.txt
	uv pip compile -q --upgrade pyproject.toml -c requirements-dev.txt --group bench -o bench/requirements.txt
	uv pip compile -q --upgrade pyproject.toml -c requirements-dev.txt --group agents \
		-o examples/requirements-agents.txt

# A copy of each requirements file that is installed. pip leaves alone what is there already.
.venv/%.txt: %.txt | .venv/bin/python
	@$(BIN)/python -c '$(CHECK)'
	@$(BIN)/python -c 'import pip' 2>/dev/null || $(BIN)/python -m ensurepip >/dev/null  # uv has none
	@echo "Installing $< into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@mkdir -p $(@D) && cp $< $@

.venv/bin/python:
	@if test -L $@; then echo ".venv has lost its Python: delete it, and try again"; exit 1; fi
	@$(PYTHON) -c '$(CHECK)'
	@$(PYTHON) -m venv .venv
