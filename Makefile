.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | column -t -s:

demo: ## a running demo provider with a simulated BRAS (Ctrl-C stops it, the data stays)
	@$(PYTHON) scripts/bootstrap.py runtime
	@$(BIN)/provedor demo

test: dev format-check lint types imports unit ## every check: format, lint, types, import contracts, tests

dev:
	@$(PYTHON) scripts/bootstrap.py dev

format-check: dev
	$(BIN)/ruff format --check .

lint: dev
	$(BIN)/ruff check .

types: dev
	$(BIN)/mypy

imports: dev
	$(BIN)/lint-imports

unit: dev
	$(BIN)/pytest -n 3 --dist loadgroup -m "not e2e" tests

e2e: dev ## end-to-end tests with real clients (installs Debian packages, needs root)
	sh scripts/e2e-packages.sh
	$(BIN)/pytest -n 3 --dist loadfile -m e2e tests/e2e

bench: dev ## measure against FreeRADIUS on this machine (installs Debian packages, needs root)
	sh scripts/e2e-packages.sh bench
	$(BIN)/python -m bench

format: dev ## format and fix what can be fixed
	$(BIN)/ruff check --fix-only --quiet . ; $(BIN)/ruff format .

lock: ## renew the lock files (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade pyproject.toml lock/build.in -o lock/runtime.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --group dev pyproject.toml lock/build.in -c lock/runtime.txt -o lock/dev.txt

.PHONY: help demo test dev format-check lint types imports unit e2e bench format lock
