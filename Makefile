# make test | demo | lint | bench-… : each sets up what it needs in .venv on a machine with Python 3.11.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet
SOURCES := pyproject.toml constraints.txt

BENCHES := bench-receiver bench-loader bench-marts bench-notebooks bench-lake bench-calibration

.PHONY: demo test test-duckdb2 lint format torture clean wheel $(BENCHES)

demo: .venv/.run
	$(BIN)/loader demo

test: .venv/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

# The promises hold on the next major version of DuckDB too (the lake's extensions exist for 1.5.5).
test-duckdb2: .venv-duckdb2/.dev
	.venv-duckdb2/bin/python -m pytest -n 2 --dist loadfile -m "not lake and not browser"

lint: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

torture: .venv/.dev
	$(BIN)/python -m tests.torture

$(BENCHES): bench-%: .venv/.bench
	$(BIN)/python bench/$*.py

wheel: .venv/.dev
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is wanted: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.run: $(BIN)/python $(SOURCES)
	@echo "Installing into .venv (once, a minute or two) …"
	$(PIP) -e .
	@touch $@

.venv/.dev: $(BIN)/python $(SOURCES)
	@echo "Installing the tests' needs into .venv (once, a minute or two) …"
	$(PIP) -e '.[dev,lake]'
	@touch $@

.venv/.bench: .venv/.dev
	$(PIP) -e '.[dev,lake,bench]'
	@touch $@

.venv-duckdb2/.dev: $(SOURCES)
	$(PYTHON) -m venv .venv-duckdb2
	grep -v '^duckdb' constraints.txt > .venv-duckdb2/constraints.txt
	PIP_CONSTRAINT=.venv-duckdb2/constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 \
		.venv-duckdb2/bin/python -m pip install --quiet 'duckdb==2.0.0' -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv .venv-duckdb2 dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
