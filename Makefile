# `make run` and `make test` set up what they need; PYTHON chooses the interpreter (3.11 or later).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SAMPLE := build/sample
TYPES := build/types/headstart

.PHONY: run test test-cluster test-containers test-docs check golden format docs docs-serve image image-gpu lock clean

run: $(VENV)/.installed
	$(BIN)/headstart sample $(SAMPLE)
	$(BIN)/headstart run --data $(SAMPLE) --backbone sketchnet --from-scratch --set head.learning_rate=0.01 \
		--set fine_tuning.epochs=8 --set fine_tuning.learning_rate=0.002 --output out/sample

# Files of tests are dealt to as many processes as there are cores; each stays whole, for what its tests share. They
# keep their order, in which the long ones do not come last.
test: check
	$(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

# The type checker finds the package under its import name through links.
check: $(VENV)/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	mkdir -p $(TYPES)
	ln -sfn $(CURDIR)/headstart/__init__.py $(TYPES)/__init__.py
	ln -sfn $(CURDIR)/components $(TYPES)/components
	ln -sfn $(CURDIR)/pipelines $(TYPES)/pipelines
	MYPYPATH=build/types $(BIN)/mypy --namespace-packages --explicit-package-bases -p headstart

# Against the Kubeflow Pipelines that the environment names; tests/cluster/conftest.py says how.
test-cluster: $(VENV)/.installed
	$(BIN)/pytest tests/cluster --durations=0

# The compiled pipelines that tests compare with, after a change that is meant.
golden: $(VENV)/.installed
	$(BIN)/pytest -q tests/unit/pipelines/definitions/test_compilation.py tests/compatibility/test_contracts.py --write-golden

format: $(VENV)/.installed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The site, into build/site; links and anchors that lead nowhere are errors. The variable ends an advertisement.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs

docs: $(VENV)/.installed
	$(MKDOCS) build --quiet

docs-serve: $(VENV)/.installed
	$(MKDOCS) serve

# Every command of the README, the tutorials and the how-tos, as it stands there.
test-docs: $(VENV)/.installed
	HEADSTART_TEST_DOCS=1 $(BIN)/pytest tests/docs --durations=0

# What an image is built with: a folder of backbones' weights, and for closed networks a mirror of the base image and
# of the package index.
WEIGHTS ?=
BASE ?=
PIP_INDEX_URL ?=
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' headstart/__init__.py)
SOURCE = $(shell git config --get remote.origin.url 2>/dev/null | sed 's|//[^/@]*@|//|')
REVISION = $(shell git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null)
BUILD = docker build --file docker/Dockerfile $(foreach name,VERSION REVISION SOURCE WEIGHTS BASE PIP_INDEX_URL,\
	$(if $($(name)),--build-arg $(name)=$($(name))))

image:
	$(BUILD) --target cpu --tag headstart:$(VERSION) .

image-gpu:
	$(BUILD) --target gpu --tag headstart-gpu:$(VERSION) .

# Builds the image of the present source, as far as it is not there, and runs every component in it.
test-containers: $(VENV)/.installed
	$(BIN)/pytest tests/containers

LOCK := $(BIN)/uv pip compile --quiet --generate-hashes --no-header --annotation-style line --python-version 3.11 \
	--python-platform x86_64-manylinux_2_28

# What the steps can be asked for, the images can do.
EXTRAS := --extra s3 --extra export --extra heic

# Pins what the images are made of to the newest versions that go together, the same in both.
lock: $(VENV)/.installed
	$(LOCK) docker/build.in --upgrade --output-file docker/build.lock
	$(LOCK) pyproject.toml docker/cpu.in $(EXTRAS) --excludes docker/left-out.txt --upgrade \
		--no-emit-package tensorflow --output-file docker/cpu.lock
	$(LOCK) pyproject.toml docker/gpu.in $(EXTRAS) --excludes docker/left-out.txt --upgrade \
		--constraints docker/cpu.lock --output-file docker/gpu.lock

clean:
	rm -rf build out $(VENV)

$(VENV)/.installed: pyproject.toml headstart/__init__.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; name one with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@
