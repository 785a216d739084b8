# Every target does its own set-up; `make help` lists them.
SHELL := /bin/bash
UV := .tools/bin/uv
BIN := .venv/bin
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.tools/bin:$(PATH)
# sam, moto and TensorFlow talk to nobody during set-up and tests
export SAM_CLI_TELEMETRY := 0
# functions that share their code share one build folder
export SAM_CLI_BETA_BUILD_PERFORMANCE := 1
export TF_CPP_MIN_LOG_LEVEL := 2
# dozens of processes import boto3, moto and TensorFlow: compiled once, and beside the sources, not among them
export PYTHONDONTWRITEBYTECODE :=
export PYTHONPYCACHEPREFIX := $(CURDIR)/.tools/bytecode

.PHONY: help setup demo test test-long lint unit faults build images operations signing bench-judge fuzz lock format clean

help:            ## list the targets
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/  /'

$(UV):
	@echo "modeldrop: fetching uv with pip (once)"
	@python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .tools uv

.venv/.ready: $(UV) functions/requirements.txt requirements/dev.txt pyproject.toml .python-version
	@$(UV) python find 3.13 >/dev/null 2>&1 || $(UV) python install 3.13 || { \
	  echo "modeldrop needs Python 3.13 (the Lambda runtime): uv could not find or download it. Install python3.13, or set UV_PYTHON_INSTALL_MIRROR, and run make again." >&2; exit 1; }
	@test -x $(BIN)/python || $(UV) venv --quiet --python 3.13 .venv
	@echo "modeldrop: installing the locked packages into .venv"
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

setup: .venv/.ready  ## uv, .venv and every locked package

demo: setup      ## the main job on this machine: six drops, two roll backs, two refusals
	@$(BIN)/modeldrop local demo $(DEMO_ARGS)

test: setup lint  ## every gate and every test
	@$(BIN)/python -m scripts.test $(PYTEST_ARGS)

lint: setup      ## ruff, the arrows between the rooms, mypy, cfn-lint, statelint
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/lint-imports --no-logo --no-cache > .venv/imports.log || { cat .venv/imports.log; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/python -m scripts.lint

test-long: setup ## what is too long for each run: the tests marked so, and every committed result against its code
	@$(BIN)/python -m pytest -m long tests $(PYTEST_ARGS)
	@$(BIN)/python -m scripts.results --strict

unit: setup      ## the tests that need no cloud
	@$(BIN)/python -m pytest tests/unit tests/contract

faults: setup    ## every single fault in every story, and 2,000 pairs, on a virtual clock (hours on two cores)
	@$(BIN)/python -W ignore -m tests.faults.matrix $(or $(FAULTS_ARGS),--pairs 2000 --record)

build: setup     ## sam build
	@$(BIN)/sam build

format: setup    ## ruff format and the fixes it is sure of
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

IMAGES := .tools/images
images: setup    ## write the table of serving images again, from the SDK's own data
	@$(UV) venv --quiet --clear --python 3.13 $(IMAGES) && $(UV) pip sync --quiet --python $(IMAGES)/bin/python --require-hashes requirements/images.txt
	@$(IMAGES)/bin/python -m scripts.make_image_table

TEXT := .tools/text
operations: setup ## write the lists of operations again: TensorFlow's, and those of tensorflow-text
	@$(UV) pip install --quiet --python $(BIN)/python --target $(TEXT) --no-deps --require-hashes --requirement requirements/text.txt
	@$(BIN)/python -m scripts.make_operations --text $(TEXT)

BENCH := .tools/bench
bench-judge: setup ## the judge against what people use: tables and plots in docs/benchmarks/judge
	@$(UV) venv --quiet --clear --python 3.13 $(BENCH) && $(UV) pip sync --quiet --python $(BENCH)/bin/python --require-hashes requirements/bench.txt
	@PYTHONPATH=.:functions $(BENCH)/bin/python -m benchmarks.judge.run --null-runs 2000 --runs 500

SIGNING := .tools/signing
signing: setup   ## the real model-signing, for `modeldrop package --sign`
	@$(UV) venv --quiet --clear --python 3.13 $(SIGNING) && $(UV) pip sync --quiet --python $(SIGNING)/bin/python --require-hashes requirements/signing.txt
	@echo "modeldrop: put it on your path: export PATH=$(CURDIR)/$(SIGNING)/bin:\$$PATH"

FUZZ := .tools/fuzz
fuzz: $(UV)      ## ten minutes of coverage-guided fuzzing of the readers (FUZZ_SECONDS=600)
	@test -x $(FUZZ)/bin/python || $(UV) venv --quiet --python 3.13 $(FUZZ)
	@$(UV) pip sync --quiet --python $(FUZZ)/bin/python --require-hashes requirements/fuzz.txt
	@PYTHONPATH=functions:. $(FUZZ)/bin/python -m tests.fuzz.run

LOCK := $(UV) pip compile --quiet --generate-hashes --python-version 3.13 --python-platform x86_64-manylinux_2_28 --no-annotate --no-header
lock: $(UV)      ## compile the requirement files again (no index host is written)
	@cat functions/requirements.in requirements/dev.in | grep -v '^-r' | $(LOCK) - | grep -oE '^[a-zA-Z0-9._-]+==[^ ]+' > .tools/constraints.txt
	@$(LOCK) --constraints .tools/constraints.txt functions/requirements.in -o functions/requirements.txt
	@$(LOCK) requirements/dev.in -o requirements/dev.txt
	@$(LOCK) --constraints .tools/constraints.txt requirements/fuzz.in -o requirements/fuzz.txt
	@$(LOCK) requirements/images.in -o requirements/images.txt
	@$(LOCK) --no-deps requirements/text.in -o requirements/text.txt
	@$(LOCK) requirements/bench.in -o requirements/bench.txt
	@$(LOCK) requirements/signing.in -o requirements/signing.txt

clean:           ## remove what set-up and builds made
	@rm -rf .venv .tools .aws-sam .localcloud
