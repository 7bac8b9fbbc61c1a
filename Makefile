# `make devnet` and `make test` are all the set-up there is; both install into .venv from lock files with hashes.

PYTHON ?= $(shell for p in python3.11 python3.13 python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 13)))' 2>/dev/null && echo $$p && break; done)
UV ?= uv
BIN := .venv/bin
SOURCES := cybermiles tests benchmarks
ARGS ?=
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCK := $(UV) pip compile pyproject.toml --universal --python-version 3.11 --prerelease if-necessary-or-explicit \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet --extra fast --group build

.PHONY: devnet test test-tools setup fmt lint unit test-vectors fuzz-transfers bench lock abi pr clean

devnet: .venv/.runtime
	@$(BIN)/cmt devnet $(ARGS)

setup: .venv/.dev

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.13 is needed (3.12 cannot run the EVM to its full depth); install one or set PYTHON=path" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.runtime: requirements.lock pyproject.toml | .venv/bin/python
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: requirements-dev.lock pyproject.toml | .venv/bin/python
	$(PIP) --require-hashes -r requirements-dev.lock
	$(PIP) --no-deps --no-build-isolation -e .
	@touch .venv/.runtime $@

# Real JavaScript clients are tested where Node.js is; without it their tests are skipped visibly.
NODE_MODULES := $(if $(and $(shell command -v node),$(shell command -v npm)),$(patsubst \
	%/package-lock.json,%/node_modules/.package-lock.json,$(wildcard tests/e2e/node/package-lock.json)))

tests/e2e/node/node_modules/.package-lock.json: tests/e2e/node/package-lock.json
	@npm ci --prefix tests/e2e/node --silent --no-audit --no-fund && touch $@ || \
		echo "npm could not install the JavaScript clients; their tests will be skipped" >&2

fmt: .venv/.dev
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

lint: .venv/.dev
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell $(SOURCES) docs README.md CONTRIBUTING.md CHANGELOG.md

test: lint $(NODE_MODULES)
	$(BIN)/python -m pytest -q

# Foundry and Hardhat are large, so their tests run only where this target installed them.
TOOLS := tests/tools/node_modules/.package-lock.json

$(TOOLS): tests/tools/package-lock.json
	npm ci --prefix tests/tools --silent --no-audit --no-fund
	@touch $@

test-tools: .venv/.dev $(TOOLS)
	$(BIN)/python -m pytest -q tests/tools $(ARGS)

unit: .venv/.dev
	$(BIN)/python -m pytest -q tests/unit $(ARGS)

test-vectors: .venv/.dev
	$(BIN)/python -m tests.vectors.run_state_tests $(ARGS)

fuzz-transfers: .venv/.dev
	$(BIN)/python -m tests.fuzz.transfers $(ARGS)

bench: .venv/.dev
	$(BIN)/python -m benchmarks.run $(ARGS)

lock:
	$(LOCK) -o requirements.lock
	$(LOCK) --extra attach --group dev -o requirements-dev.lock

abi: $(NODE_MODULES)
	node cybermiles/system/sol/compile.mjs

pr: test

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis tests/e2e/node/node_modules tests/tools/node_modules
