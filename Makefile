# Each target sets itself up: .venv is made once, and filled again when the requirements change.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
.PHONY: run test lint

run: $(VENV)/run
	@exec $(BIN)/python main.py

test: $(VENV)/dev
	$(BIN)/python -m pytest

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/run: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	@touch $@

$(VENV)/dev: requirements-dev.txt $(VENV)/run
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	@touch $@
