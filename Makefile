# `make devnet` and `make test` are all the set-up there is; both install into .venv from lock files with hashes.

PYTHON ?= $(shell for p in python3.11 python3.13 python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 13)))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
SOURCES := cybermiles tests benchmarks
ARGS ?=

.PHONY: devnet test setup fmt lint unit test-vectors bench lock pr clean

devnet: .venv/.runtime
	@$(BIN)/cmt devnet $(ARGS)

setup: .venv/.dev

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.13 is needed (3.12 cannot run the EVM to its full depth); install one or set PYTHON=path" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.runtime: requirements.lock pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: requirements-dev.lock pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch .venv/.runtime $@

# Real JavaScript clients are tested where Node.js is; without it their tests are skipped visibly.
tests/e2e/node/node_modules: tests/e2e/node/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix tests/e2e/node --silent --no-audit --no-fund && touch $@; fi

fmt: .venv/.dev
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

lint: .venv/.dev
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell $(SOURCES) docs README.md CONTRIBUTING.md CHANGELOG.md

test: lint tests/e2e/node/node_modules
	$(BIN)/python -m pytest -q

unit: .venv/.dev
	$(BIN)/python -m pytest -q tests/unit $(ARGS)

test-vectors: .venv/.dev
	$(BIN)/python -m tests.vectors.run_state_tests $(ARGS)

bench: .venv/.dev
	$(BIN)/python -m benchmarks.run $(ARGS)

lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--prerelease if-necessary-or-explicit --extra fast --group build pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--prerelease if-necessary-or-explicit --extra fast --group build --group dev pyproject.toml -o requirements-dev.lock

pr: test

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis tests/e2e/node/node_modules
