# `make run` and `make test` set up what they need; PYTHON chooses the interpreter (3.11 to 3.13).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SAMPLE := build/sample
TYPES := build/types/headstart

.PHONY: help run test test-slow test-cluster test-containers test-docs check lint types golden notebooks format docs docs-serve image \
	image-gpu image-serve lock dist release-assets clean

# Nobody who types `make` to see what there is wants to train something.
help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.installed ## Draws a sample of cats and dogs and runs the whole pipeline on it
	$(BIN)/headstart sample $(SAMPLE)
	$(BIN)/headstart run --data $(SAMPLE) --backbone sketchnet --from-scratch --set head.learning_rate=0.01 \
		--set fine_tuning.epochs=8 --set fine_tuning.learning_rate=0.002 --output out/sample

# Files of tests are dealt to as many processes as there are cores; each stays whole, for what its tests share. They
# keep their order, in which the long ones do not come last.
TESTS := $(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

test: check ## Lints, checks types and runs every test but the slow ones
	$(TESTS) -m 'not slow'

test-slow: $(VENV)/.installed ## Runs the slow tests, which take as long again
	$(TESTS) -m slow

check: lint types ## Lints and checks types

lint: $(VENV)/.installed ## Lints the code and its format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

# The type checker finds the package under its import name through links.
types: $(VENV)/.installed ## Checks types
	mkdir -p $(TYPES)
	ln -sfn $(CURDIR)/headstart/__init__.py $(TYPES)/__init__.py
	ln -sfn $(CURDIR)/components $(TYPES)/components
	ln -sfn $(CURDIR)/pipelines $(TYPES)/pipelines
	MYPYPATH=build/types:. $(BIN)/mypy --namespace-packages --explicit-package-bases -p headstart -p site_pages

# Against the Kubeflow Pipelines that the environment names; tests/cluster/conftest.py says how.
test-cluster: $(VENV)/.installed ## Tests against the Kubeflow Pipelines that the environment names
	$(BIN)/pytest tests/cluster --durations=0

# The compiled pipelines that tests compare with, after a change that is meant.
golden: $(VENV)/.installed ## Writes the compiled pipelines anew that tests compare with
	$(BIN)/pytest -q tests/unit/pipelines/definitions/test_compilation.py tests/compatibility/test_contracts.py --write-golden

notebooks: $(VENV)/.installed ## Runs the notebooks in examples/ and writes their outputs anew
	$(BIN)/python tests/support/notebooks.py

format: $(VENV)/.installed ## Formats the code and mends what the linter can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The site, into build/site; links and anchors that lead nowhere are errors. The variable ends an advertisement.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs

docs: $(VENV)/.installed ## Builds the site into build/site
	$(MKDOCS) build --quiet

docs-serve: $(VENV)/.installed ## Shows the site while pages are written
	$(MKDOCS) serve

# Every command of the README, the tutorials and the how-tos, as it stands there.
test-docs: $(VENV)/.installed ## Runs every command of the README, the tutorials and the how-tos
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

image: ## Builds the container image headstart:VERSION
	$(BUILD) --target cpu --tag headstart:$(VERSION) .

image-gpu: ## Builds the container image headstart-gpu:VERSION, with CUDA
	$(BUILD) --target gpu --tag headstart-gpu:$(VERSION) .

image-serve: ## Builds the container image headstart-serve:VERSION, of `headstart serve`
	$(BUILD) --target serve --tag headstart-serve:$(VERSION) .

# Builds the image of the present source, as far as it is not there, and runs every component in it.
test-containers: $(VENV)/.installed ## Builds the image, and runs every component in it
	$(BIN)/pytest tests/containers

LOCK := $(BIN)/uv pip compile --quiet --generate-hashes --no-header --annotation-style line --python-version 3.11 \
	--python-platform x86_64-manylinux_2_28

# What the steps can be asked for, the images can do.
EXTRAS := --extra s3 --extra export --extra heic --extra hub --extra search
SERVE_EXTRAS := --extra s3 --extra heic --extra serve

# Pins what the images are made of to the newest versions that go together, the same in all.
lock: $(VENV)/.installed ## Pins the packages of the images to their newest versions
	$(LOCK) docker/build.in --upgrade --output-file docker/build.lock
	$(LOCK) pyproject.toml docker/cpu.in $(EXTRAS) --excludes docker/left-out.txt --upgrade \
		--no-emit-package tensorflow --output-file docker/cpu.lock
	$(LOCK) pyproject.toml docker/gpu.in $(EXTRAS) --excludes docker/left-out.txt --upgrade \
		--constraints docker/cpu.lock --output-file docker/gpu.lock
	$(LOCK) pyproject.toml docker/cpu.in $(SERVE_EXTRAS) --excludes docker/serve-left-out.txt --upgrade \
		--constraints docker/cpu.lock --no-emit-package tensorflow --no-emit-package tensorflow-cpu \
		--output-file docker/serve.lock

# What is uploaded to an index: a wheel and a source distribution.
dist: $(VENV)/.installed ## Builds the wheel and the source distribution in build/dist
	rm -rf build/dist
	$(BIN)/python -m build --outdir build/dist .
	$(BIN)/twine check --strict build/dist/*

# The registry that the released images are in; the account's of the repository's address if it is empty.
REGISTRY ?=

release-assets: $(VENV)/.installed ## Writes compiled pipelines, components and checksums to build/release
	$(BIN)/python release/assets.py $(if $(REGISTRY),--registry $(REGISTRY)) build/release

clean: ## Removes what make has made: build, out and .venv
	rm -rf build out $(VENV)

$(VENV)/.installed: pyproject.toml headstart/__init__.py
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and \
		"Python 3.11, 3.12 or 3.13 is needed; name one with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@
