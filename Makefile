# One front door: what CI runs is what you run.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1

.PHONY: all install demo check test docs bench format clean

all: check test

# The stamp is older than pyproject.toml or constraints.txt when something must be installed again.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

install: $(VENV)/.installed

demo: install
	$(BIN)/equipoise demo

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy benchmarks --allow-untyped-calls --no-warn-return-any
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tests/unsafe_calls.py src tests benchmarks

test: install
	$(BIN)/pytest -n 2 --dist worksteal -q --durations=15

docs: install
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: install
	$(BIN)/python benchmarks/speed.py

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) site .mypy_cache .pytest_cache .ruff_cache
