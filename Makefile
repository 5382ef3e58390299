# `make demo` and `make test` are all that a fresh machine needs; the other targets are for work on the code.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
BENCHES := $(wildcard bench/*.py)

# Matrices here are small: threads for their products cost more than they give, most of all on a busy machine.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: demo test lint format bench-quick clean

demo: $(VENV)/installed-demo  ## install what the main job needs, pull the models, run it
	$(BIN)/pointsman demo

test: $(VENV)/installed-dev  ## install what is missing and run every test
	$(BIN)/python -m pytest

lint: $(VENV)/installed-dev  ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench-quick: $(VENV)/installed-dev  ## every experiment, small: that it works, not how fast
	set -e; for bench in $(BENCHES); do echo "== $$bench --quick"; $(BIN)/python $$bench --quick; done

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .hypothesis

$(VENV)/installed-%: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	touch $@
