# One front door: what CI runs is what you run.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1

.PHONY: all install demo check test e2e docs bench format clean

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
	$(BIN)/pytest -n 2 --dist worksteal -q -rs --durations=15

# The page in a real browser: installs what that needs, Chromium from the system's packages where it may.
e2e: install
	$(BIN)/python -c 'import playwright' 2>/dev/null || \
		$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[e2e]'
	command -v chromium || command -v chromium-browser || command -v google-chrome || { [ "$$(id -u)" = 0 ] && \
		apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || \
		{ echo 'no Chromium, and it may not be installed here: the page is not tried in a browser'; exit 0; }
	$(BIN)/pytest -q -rs tests/e2e

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
