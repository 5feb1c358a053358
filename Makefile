# `make help` lists the targets. They need python3 (3.11 or later), git and a package registry;
# what else they need from the distribution they install themselves, and say so.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo "sudo -E")
GPU ?=
TESTS ?=
USUAL_TESTS := tests/acceptance tests/contract tests/integration tests/property tests/unit
# More than there are cores: many tests wait for something most of their time.
WORKERS ?= $(shell echo $$(( $$(nproc) * 3 / 2 )))

.PHONY: help system venv demo lint format test test-drills test-python test-debian test-engines test-compose test-systemd deb test-deb test-kernel soak check-gpu bench bench-peers docs clean

help: ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

system: ## Install the distribution packages that are missing (Debian, Ubuntu)
	@$(SUDO) bash .ci/system-packages

venv: $(STAMP) ## Create .venv with the pinned versions

$(STAMP): pyproject.toml .ci/constraints.txt
	@bash .ci/system-packages --only-python
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt -e '.[dev]'
	@touch $@

demo: system $(STAMP) ## Run the jobs of jobs/demo in a sandbox; GPU=1 uses this machine's own slices
	@$(SUDO) $(BIN)/python jobs/demo/demo.py $(if $(GPU),--real-gpu)

lint: $(STAMP) ## Check format, style, types, imports and generated documents
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy jobs/python
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m tests.lint_project

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .

docs: $(STAMP) ## Write the generated documents anew
	$(BIN)/python -m tests.lint_project --write

test: system $(STAMP) ## Run the suite, or TESTS, against a real dockerd in a sandbox
	@$(SUDO) bash .ci/system-packages --tests
	$(SUDO) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(or $(TESTS),$(USUAL_TESTS))

test-drills: system $(STAMP) ## Run what goes wrong on purpose: drills, abuse, the simulation
	$(SUDO) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/abuse tests/drills tests/simulation

SUITE ?= trixie
STEPS ?= demo lint test bench clean
RUN_AS ?= $(if $(filter bookworm,$(SUITE)),root,user)

test-python: $(STAMP) ## Run tests/unit and tests/property alone: without Docker, on any PYTHON
	$(SUDO) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/unit tests/property

test-debian: ## Run STEPS on a bare Debian made here: SUITE=bookworm as root, trixie as a user with sudo
	@$(SUDO) bash .ci/system-packages --debian
	@$(SUDO) bash .ci/test-debian $(SUITE) $(RUN_AS) $(STEPS)

test-engines: ## Run what touches Docker on the engines of Debian's newer suites, each on its machine
	@$(SUDO) bash .ci/system-packages --debian
	@for suite in trixie sid; do \
	    $(SUDO) env TESTS="-m engine" bash .ci/test-debian $$suite root test || exit 1; \
	done

COMPOSE := .sandbox/compose

test-compose: system $(STAMP) ## Run compose/ on a real Compose v2 of Debian 13, with an image built here
	@$(SUDO) bash .ci/system-packages --compose
	$(SUDO) bash .ci/unpack $(COMPOSE) trixie docker-compose docker-cli
	$(SUDO) bash .ci/base-image $(COMPOSE)/base.tar
	$(SUDO) $(BIN)/python -m pytest tests/compose

test-systemd: ## Run tests/systemd on a bare Debian that systemd boots, made here; SUITE=bookworm for another
	@$(SUDO) bash .ci/system-packages --debian
	@$(SUDO) bash .ci/test-systemd $(SUITE) $(TESTS)

deb: ## Build a Debian package for this system's Python in .sandbox/deb
	@bash .ci/system-packages --deb
	@bash .ci/build-deb .sandbox/deb

test-deb: ## Install the package over 0.1.0 with running jobs, on a bare Debian that systemd boots, and remove it
	@$(SUDO) bash .ci/system-packages --debian
	@$(SUDO) env INNER=in-deb bash .ci/test-systemd $(SUITE) $(TESTS)

test-kernel: ## Try project quotas and cgroup v2 on Debian's kernel under qemu (this machine may lack them)
	@$(SUDO) bash .ci/system-packages --kernel
	@$(SUDO) bash .ci/test-kernel

soak: system $(STAMP) ## Drill for SECONDS=n: crashes, faults, power loss; SEED=n for the same again
	$(SUDO) $(BIN)/python -m tests.drills.soak --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED))

check-gpu: $(STAMP) ## Compare what the launcher reads of this machine's GPUs with nvidia-smi; changes nothing, writes a report
	$(SUDO) $(BIN)/python -m tests.hardware.check_gpu $(REPORT)

bench: system $(STAMP) ## Measure against bare Docker; prints ratios
	$(SUDO) $(BIN)/python -m tests.benchmarks

bench-peers: system $(STAMP) ## Measure against the queues that people use; installs them
	@$(SUDO) bash .ci/system-packages --peers
	$(SUDO) $(BIN)/python -m tests.benchmarks.peers

clean: ## Remove what was built
	$(SUDO) rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .sandbox
	$(SUDO) find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
