# Everything a person does with the project. `make help` lists it.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
RECORDING ?= recordings/gnotest-1
QUEUE ?= postgres
PORT ?= 8000
NEEDS_SQS := $(if $(filter sqs,$(QUEUE)),localstack)

.PHONY: help install localstack demo demo-check test lint types imports migrations-check deploy-check compose-check \
	tests checks fuzz audit-dependencies format schema requirements bench-sync bench-apply bench-api bench-smoke clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'

install: $(VENV)/installed ## make the virtual environment

$(VENV)/installed: requirements-dev.txt
	$(if $(shell command -v $(PYTHON)),$(PYTHON),python3) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

localstack: .venv-localstack/installed ## make LocalStack's own virtual environment (SQS without Docker)

.venv-localstack/installed: requirements-localstack.txt
	$(if $(shell command -v $(PYTHON)),$(PYTHON),python3) -m venv .venv-localstack
	.venv-localstack/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-localstack.txt
	touch $@

checks: .venv-checks/installed ## make the virtual environment of schemathesis and pip-audit

.venv-checks/installed: requirements-checks.txt
	$(if $(shell command -v $(PYTHON)),$(PYTHON),python3) -m venv .venv-checks
	.venv-checks/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-checks.txt
	touch $@

demo: install $(NEEDS_SQS) ## watch the whole system follow a recorded chain (Ctrl-C stops it)
	@$(BIN)/python -m demo --recording "$(RECORDING)" --queue $(QUEUE) --port $(PORT)

demo-check: install $(NEEDS_SQS) ## compare every balance with the chain's own; RECORDING=dir QUEUE=sqs KILL=1
	@$(BIN)/python -m demo --check --recording "$(RECORDING)" --queue $(QUEUE) $(if $(KILL),--kill)

test: lint types imports migrations-check deploy-check compose-check tests bench-smoke ## everything that CI runs

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

imports: install
	$(BIN)/lint-imports

migrations-check: install
	$(BIN)/python manage.py makemigrations --check --dry-run

# As in production: HTTPS, a real key, named hosts.
deploy-check: install
	SECRET_KEY=$$($(BIN)/python -c "import secrets; print(secrets.token_urlsafe(50))") ALLOWED_HOSTS=balances.example.org \
		DATABASE_URL=postgresql://user@db.example.org/indexer $(BIN)/python manage.py check --deploy --fail-level WARNING

compose-check: install
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

tests: install localstack checks
	$(BIN)/python -m pytest --numprocesses=2 --dist=worksteal

fuzz: install checks ## send the API what its schema allows and what it forbids; FUZZ_EXAMPLES=200 FUZZ_SEED=7
	FUZZ_EXAMPLES=$(or $(FUZZ_EXAMPLES),100) FUZZ_SEED=$(or $(FUZZ_SEED),$(shell date +%s)) \
		$(BIN)/python -m pytest -q tests/test_fuzz.py

audit-dependencies: checks ## known vulnerabilities of what the product is installed with (asks PyPI)
	.venv-checks/bin/pip-audit --requirement requirements.txt --no-deps --disable-pip --strict

format: install ## format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: install ## write schema.sql from the migrations
	WRITE_SCHEMA=1 $(BIN)/python -m pytest -q tests/dev/test_schema.py

requirements: install ## compile the pinned requirements from the .in files
	$(BIN)/uv pip compile --quiet requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet requirements-dev.in -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --python-version 3.11 requirements-localstack.in -o requirements-localstack.txt
	$(BIN)/uv pip compile --quiet --python-version 3.11 requirements-checks.in -o requirements-checks.txt

bench-sync: install ## measure the synchronizer (TX_INDEXER_URLS: the wire part against a real server)
	$(BIN)/python -m benchmarks.sync

bench-apply: install localstack ## measure the processors
	$(BIN)/python -m benchmarks.apply

bench-api: install ## measure the API under load, over 50 million transfers (needs wrk: apt-get install wrk)
	$(BIN)/python -m benchmarks.api --processes

bench-smoke: install localstack ## run every benchmark small: only that it runs and fills its keys
	$(BIN)/python -m benchmarks.sync --smoke
	$(BIN)/python -m benchmarks.apply --smoke
	$(BIN)/python -m benchmarks.api --smoke

clean: ## remove what was made here: environments and data
	rm -rf $(VENV) .venv-localstack .venv-checks .data
