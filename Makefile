# Everything a person or a machine runs here. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# Empty: the quickest that is there (deploy/local/venv.sh).
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := contracts libs services deploy demo modelcheck simulation simulators loadtests
WITH_STACK := set -a; . $${ORDO_STATE:-.ordo}/local.env; set +a;
PYTEST := $(BIN)/python -m pytest
# A file stays together on one of as many processes as there are cores: what it sets up, it sets up once.
SIDE_BY_SIDE := --numprocesses auto --dist loadfile

.PHONY: help setup up down status logs demo check fmt fmt-check lint types imports test test-fast test-postgres test-kafka test-system contracts invariants replay rebuild simulate simulators modelcheck exposure bench lossy chaos reset clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(VENV)/.ready: requirements-dev.txt
	@echo "creating the virtual environment ($(VENV)) and installing what is pinned"
	@PYTHON="$(PYTHON)" deploy/local/venv.sh $(VENV) requirements-dev.txt
	@touch $@

setup: $(VENV)/.ready ## Create the virtual environment and install the pinned dependencies

up: setup ## Start the whole stack in the background; ready when it returns
	@$(BIN)/python -m deploy.local up

down: ## Stop the stack; no process stays
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m deploy.local down; fi

reset: setup ## Stop the stack and remove its data, secrets and logs
	@$(BIN)/python -m deploy.local reset

status: setup ## Every process: health, lag, memory, CPU
	@$(BIN)/python -m deploy.local status

logs: setup ## Where the logs are, and their last lines
	@$(BIN)/python -m deploy.local logs

demo: setup ## Play real orders through the whole system (DEMO_EXIT=1: stop at the end)
	@$(BIN)/python -m demo

invariants: setup ## Check the invariants on the running, drained stack
	@$(BIN)/python -m libs.testkit.invariants

check: setup fmt-check lint types imports test-fast ## The gate: format, lint, types, imports, fast tests

fmt: setup ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --quiet .

fmt-check: setup
	@$(BIN)/ruff format --check --quiet .

lint: setup ## Lint
	@$(BIN)/ruff check --quiet .

types: setup ## Check types (mypy, strict)
	@$(BIN)/mypy $(PACKAGES)

imports: setup ## Check who imports whom
	@$(BIN)/lint-imports --no-logo

test: setup test-fast test-postgres test-kafka test-system ## All four lanes

test-fast: setup ## Decisions, contracts, streams in memory
	@$(PYTEST) $(SIDE_BY_SIDE) -m "not postgres and not kafka and not system"

test-postgres: setup ## Stores and handlers on a real Postgres
	@$(PYTEST) $(SIDE_BY_SIDE) -m "postgres and not kafka and not system"

test-kafka: setup ## The stream on the mock broker and on a real Kafka
	@$(PYTEST) -m "kafka and not system"

test-system: setup ## All services on real Kafka and Postgres, with real orders
	@$(PYTEST) -m "system"

contracts: setup ## Write schemas, examples and the AsyncAPI document anew from the models
	@$(BIN)/python -m libs.testkit.shapes

replay: setup ## Decide a recorded run again: SERVICE=risk [FROM=.. TO=..] [WITH=changed.json]
	@$(WITH_STACK) $(BIN)/python -m services replay $(SERVICE) --from "$(FROM)" --to "$(TO)" --with "$(WITH)"

rebuild: setup ## Rebuild a service's schema beside the live one and compare: SERVICE=inventory [SWAP=1]
	@$(WITH_STACK) $(BIN)/python -m services rebuild $(SERVICE) $(if $(SWAP),--swap)

simulate: setup ## Run the protocol and all decisions under seeds: SEEDS=10000, or SEED=n to repeat one
	@$(BIN)/python -m simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),10000))

simulators: setup ## Play the platforms for connectors: PORT=8090, status page and control API on it
	@$(BIN)/python -m simulators --port $(or $(PORT),8090)

modelcheck: setup ## Visit every interleaving of refunds and shipping
	@$(BIN)/python -m modelcheck

exposure: setup ## Sell scarce goods on six channels under faults, and check the oversell bound: RUNS=10000
	@$(BIN)/python -m services.ingestion.tests.exposure_game --runs $(or $(RUNS),10000)

bench: setup ## Time everything against a bare chain: QUICK=1, GUARD=1 (fail if dearer), GROWTH=100000,1000000 [ALONE=1]
	@$(BIN)/python -m loadtests.bench $(if $(QUICK),--quick) $(if $(GUARD),--guard) $(if $(GROWTH),--growth $(GROWTH)) $(if $(ALONE),--alone)

lossy: setup ## Sell on six lossy platforms, kill ingestion, and look for one missing order: ORDERS=20000 [SEED=n]
	@$(BIN)/python -m loadtests.lossy --orders $(or $(ORDERS),20000) $(if $(SEED),--seed $(SEED))

chaos: setup ## Kill, stop, cut and fill everything on purpose under load: MINUTES=5 [SEED=n]
	@$(BIN)/python -m loadtests.chaos --minutes $(or $(MINUTES),5) $(if $(SEED),--seed $(SEED))

clean: ## Stop the stack; remove its data and the environment
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m deploy.local reset; fi
	rm -rf $(VENV) build
