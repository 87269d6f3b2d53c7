# Everything a newcomer needs. `make help` lists it; the README says the same without make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Compiling everything anew in each of five processes would double the time that a start takes.
unexport PYTHONDONTWRITEBYTECODE
export COVERAGE_FILE := $(CURDIR)/.coverage
UNDER_COVERAGE := $(BIN)/python -m coverage run -m pytest -q

.PHONY: help up test test-full lint docs fuzz fuzz-callbacks bench bench-routing bench-analytics chaos clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-14s %s\n", $$1, $$2 }'

up: $(VENV)/installed ## install and start everything on this machine (SLUICE_DATA, SLUICE_LISTEN say where)
	@exec $(BIN)/python -m gateway up

test: $(VENV)/installed-dev ## install and run the whole suite, with coverage
	@rm -f .coverage .coverage.*; status=0; \
	$(UNDER_COVERAGE) -n 2 --dist worksteal tests/unit tests/contract tests/integration || status=1; \
	$(UNDER_COVERAGE) -n 2 --dist worksteal -m 'not alone' tests/acceptance || status=1; \
	$(UNDER_COVERAGE) -m alone tests/acceptance || status=1; \
	$(BIN)/python -m coverage combine -q && $(BIN)/python -m coverage report || status=1; \
	exit $$status

test-full: $(VENV)/installed-dev ## the acceptance tests with full queues and a minute without PostgreSQL
	@SLUICE_TEST_FULL=1 $(BIN)/python -m pytest -q --timeout 1800 tests/acceptance/test_under_load.py \
	  tests/acceptance/test_kills_carriers.py tests/acceptance/test_kills_servers.py

lint: $(VENV)/installed-dev ## style, types, and which part may import which
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

docs: $(VENV)/installed ## write the pages that are made of the program: docs/{cli,settings,test-keys,sandbox}.md
	@$(BIN)/python -m gateway.reference docs

fuzz: $(VENV)/installed-dev ## a million mutated PDUs through our end of an SMPP link (ARGS=--help)
	@exec $(BIN)/python -m tests.fuzz_smpp $(ARGS)

fuzz-callbacks: $(VENV)/installed-dev ## a hundred thousand mutated callbacks of each carrier by name (ARGS=--help)
	@exec $(BIN)/python -m tests.fuzz_callbacks $(ARGS)

chaos: $(VENV)/installed-dev ## 300,000 messages while everything is killed, and the account of them (ARGS=--help)
	@exec $(BIN)/python -m tests.chaos $(ARGS)

bench: $(VENV)/installed-dev ## push messages through real servers and print one line of JSON a load (ARGS=--help)
	@exec $(BIN)/python -m bench $(ARGS)

bench-routing: $(VENV)/installed-dev ## what routing saves on simulated days, and what a decision costs (ARGS=--help)
	@exec $(BIN)/python -m bench.routing $(ARGS)

bench-analytics: $(VENV)/installed-dev ## a month of 20,000,000 messages, and how fast statistics answer (ARGS=--help)
	@exec $(BIN)/python -m bench.analytics $(ARGS)

clean: ## remove the environment and what tests leave; the data directory stays
	@rm -rf $(VENV) .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info

# The stamps are newer than pyproject.toml while the environment has what it asks for.
$(VENV)/installed: pyproject.toml | $(VENV)/bin/pip
	@echo "installing Sluice into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(VENV)/bin/pip
	@echo "installing Sluice and its tools into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/installed

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Sluice needs Python 3.11 or newer; \`$(PYTHON)\` is not. Name one: make PYTHON=/path/to/python3 …" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "\`$(PYTHON)\` lacks venv and pip (Debian, Ubuntu: apt install python3-venv). Another: make PYTHON=/path/to/python3 …" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
