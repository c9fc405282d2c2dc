# Every target runs in .venv, filled from requirements.lock; `make` alone prints the list.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-faults check protos protos-baseline bench lock clean

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
UV := $(shell command -v uv 2>/dev/null)
PROTOS := $(wildcard protos/recsys/*/*.proto)
PACKAGES := recsys serving training protos benchmarks tests examples

help: ## print this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 26

demo: $(READY) ## train, serve and ask, on a real shop's data, from an empty folder
	$(BIN)/python -m examples.demo

test: $(READY) ## run all tests
	$(BIN)/python -m pytest -n 2

test-faults: $(READY) ## kill, starve and cut the power, at full length (RECSYS_FAULT_SEED=n repeats)
	RECSYS_FAULT_RUNS=full $(BIN)/python -m pytest -n 2 tests/faults

check: $(READY) ## format, lint, types, import rules, dependencies, wire schema
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/buf lint
	$(BIN)/buf breaking --against protos/image.binpb

protos: $(READY) ## compile the wire schema into the modules beside it
	$(BIN)/python -m grpc_tools.protoc -I. \
	  --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
	  --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
	  --python_out=. --grpc_python_out=. --mypy_out=quiet:. --mypy_grpc_out=quiet,only_async:. \
	  $(PROTOS)

protos-baseline: $(READY) ## take the wire schema as released: later changes may not break it
	$(BIN)/buf build -o protos/image.binpb

bench: $(READY) ## run every benchmark, one after the other
	$(BIN)/python -m benchmarks.retrieval
	$(BIN)/python -m benchmarks.filtered_retrieval
	$(BIN)/python -m benchmarks.page
	$(BIN)/python -m benchmarks.cold_items
	$(BIN)/python -m benchmarks.placements
	$(BIN)/python -m benchmarks.serving_throughput
	$(BIN)/python -m benchmarks.event_ingest
	$(BIN)/python -m benchmarks.freshness

lock: ## pin the newest versions that pyproject.toml allows (needs uv)
	uv pip compile pyproject.toml --all-extras --universal --generate-hashes \
	  --no-emit-index-url --python-version 3.11 -o requirements.lock

clean: ## remove the environment and caches (never data)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
	  build dist
	find $(PACKAGES) -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON); name a Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed and $(PYTHON) is $$($(PYTHON) -V); name another: make PYTHON=python3.12 ..." >&2; exit 1; }
ifdef UV
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
else
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
endif
	@touch $@
