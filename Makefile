# Everything a person needs is `make demo` and `make test`; both set up what they need on Debian 12 or Ubuntu 24.04 (as root).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup demo test lint test-v2 test-v2-short bench clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml tools/setup.sh
	PYTHON=$(PYTHON) sh tools/setup.sh $(VENV)
	touch $@

demo: setup
	$(BIN)/python -m examples.demo

lint: setup
	$(BIN)/ruff check src tests tools benchmarks examples
	$(BIN)/ruff format --check src tests tools benchmarks examples
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/pytest

test-v2: setup
	$(BIN)/python -m tools.guest --runtime runc --runtime crun

test-v2-short: setup
	$(BIN)/python -m tools.guest --short

bench: setup
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
