.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

.PHONY: help install demo test check docs
help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml requirements.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $(READY)

install: $(READY) ## the environment in .venv, everything installed

demo: $(READY) ## simulate a small business, run the main job on it, print what it says
	$(BIN)/lifecycle demo

check: $(READY) ## formatting, lint, import rules, stale pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=. $(BIN)/lint-imports --no-cache
	$(BIN)/python -m docs.generate --check

test: check ## the checks, then every test
	TZ=UTC $(BIN)/python -m pytest

docs: $(READY) ## write the generated pages anew
	$(BIN)/python -m docs.generate
