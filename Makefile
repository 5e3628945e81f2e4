.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

.PHONY: help install demo test test-slow test-long check check-types check-rules notebooks docs
help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml requirements.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $(READY)

install: $(READY) ## the environment in .venv, everything installed

demo: $(READY) ## simulate a small business, run the main job on it, print what it says
	$(BIN)/lifecycle demo

check: $(READY) ## formatting, lint, types, import rules, stale pages
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target check-types check-rules

check-types: $(READY)
	$(BIN)/mypy

check-rules: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=. $(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/check_names.py
	$(BIN)/python scripts/check_imports.py
	$(BIN)/python -m docs.generate --check
	$(BIN)/python scripts/serve_requirements.py --check
	$(BIN)/python scripts/generate_client.py --check

test: check ## the checks, then the tests that take seconds
	TZ=UTC $(BIN)/python -m pytest -m "not slow and not long"

test-slow: $(READY) ## the tests that need a browser, Java, a notebook's kernel or minutes
	TZ=UTC $(BIN)/python -m pytest -m "slow and not long"

test-long: $(READY) ## what takes longest: more worlds of the same promises, whole benchmarks
	TZ=UTC $(BIN)/python -m pytest -m long --hypothesis-profile=default

docs: $(READY) ## write the generated pages and the typed client anew
	$(BIN)/python -m docs.generate
	$(BIN)/python scripts/generate_client.py

notebooks: $(READY) ## execute every notebook and store its outputs (minutes)
	$(BIN)/python scripts/execute_notebooks.py
