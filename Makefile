# `make run` and `make test` set up what they need; PYTHON chooses the interpreter (3.11 or later).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SAMPLE := build/sample
TYPES := build/types/headstart

.PHONY: run test test-cluster check golden format clean

run: $(VENV)/.installed
	$(BIN)/headstart sample $(SAMPLE)
	$(BIN)/headstart run --data $(SAMPLE) --backbone sketchnet --from-scratch --head-learning-rate 0.01 \
		--fine-tune-epochs 8 --fine-tune-learning-rate 0.002 --output out/sample

test: check
	$(BIN)/pytest

# The type checker finds the folders under their import name through links.
check: $(VENV)/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	mkdir -p $(TYPES)
	ln -sfn $(CURDIR)/components $(TYPES)/components
	ln -sfn $(CURDIR)/pipelines $(TYPES)/pipelines
	MYPYPATH=build/types $(BIN)/mypy --namespace-packages --explicit-package-bases -p headstart

# Against the Kubeflow Pipelines that the environment names; tests/cluster/conftest.py says how.
test-cluster: $(VENV)/.installed
	$(BIN)/pytest tests/cluster --durations=0

# The compiled pipelines that tests compare with, after a change that is meant.
golden: $(VENV)/.installed
	$(BIN)/pytest -q tests/unit/test_compile.py --write-golden

format: $(VENV)/.installed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf build out $(VENV)

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; name one with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@
