# make run · make test · make bench · make soak · make lint; each sets up what it needs in .venv.
.DEFAULT_GOAL := run
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --require-hashes --only-binary :all: --progress-bar on

.PHONY: run test bench soak lint ci browser clean
.DELETE_ON_ERROR:

.venv/run.stamp: requirements.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found. Install one, or say which: make PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "This Python has no venv module. On Debian or Ubuntu: apt-get install python3-venv"; exit 2; }
	@echo "Setting up .venv with $$($(PYTHON) --version) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) -r requirements.txt || { echo "Some packages could not be installed; is a package index reachable? Then run make again."; exit 2; }
	@touch $@

.venv/test.stamp: .venv/run.stamp tests/requirements.txt
	@echo "Adding what the tests need …"
	@$(PIP) -r tests/requirements.txt || { echo "Some packages could not be installed; is a package index reachable? Then run make again."; exit 2; }
	@touch $@

run: .venv/run.stamp
	@$(BIN)/python -m compliance.demo

test: .venv/test.stamp browser
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not soak"

# The browser tests need Debian's chromium; they say so and skip where it cannot be had.
browser:
	@command -v chromium >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
		{ echo "Installing chromium for the browser tests …"; apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || true
	@command -v chromium >/dev/null || echo "chromium is not installed: the browser tests will be skipped (apt-get install chromium)"

bench: .venv/test.stamp
	@$(BIN)/python -m bench

soak: .venv/test.stamp
	@$(BIN)/python -m pytest -m soak --timeout 3600

lint: .venv/test.stamp
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@echo "compliance/: $$(find compliance -name '*.py' -not -path '*/migrations/*' | xargs cat | wc -l) lines of Python without migrations (limit 9000: to be slimmed)"

clean:
	rm -rf .venv instance .pytest_cache .mypy_cache .ruff_cache
