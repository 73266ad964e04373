SHELL := /bin/bash
.DEFAULT_GOAL := help

PY := .venv/bin/python
ENGINE ?=
CLUSTER ?=
ENGINES ?=
MODULE ?=
PORT ?=
KILLS ?= 200
SOAK ?= 600

# What was installed from which lock file; a changed one installs again.
BOT := .venv/.bot
DEMO := .venv/.demo
DEV := .venv/.dev
MUSICGEN := .venv/.musicgen
RAY := .venv/.ray

# What `setup` and `run` are for, as the bot reads it: the environment comes before .env.
of_env_file = $(shell sed -nE "s/^[[:space:]]*(export[[:space:]]+)?$(1)[[:space:]]*=[[:space:]]*['\"]?([A-Za-z]*).*/\2/p" .env 2>/dev/null | tail -n 1 | tr A-Z a-z)
NEEDED = $(if $(filter musicgen,$(or $(ENGINE),$(call of_env_file,ENGINE),musicgen)),$(MUSICGEN),$(BOT))
NEEDED += $(if $(or $(CLUSTER),$(filter ray,$(or $(ENGINES),$(call of_env_file,ENGINES)))),$(RAY))

.PHONY: help setup demo run test bench soak mutants audit pictures samples lock

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

setup: $(NEEDED) ## install the bot into .venv, and MusicGen unless ENGINE or .env says sketch; Ray with CLUSTER=1

demo: $(DEMO) $(if $(filter musicgen,$(ENGINE)),$(MUSICGEN)) ## run the real bot in a simulated Discord, in the browser
	@$(PY) -m bot demo $(if $(ENGINE),--engine $(ENGINE)) $(if $(PORT),--port $(PORT))

run: $(NEEDED) ## run the bot, as .env says, and set up what is missing
	@$(PY) -m bot run

test: $(DEV) $(MUSICGEN) $(RAY) ## run lint, types and tests
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	PYTHONDONTWRITEBYTECODE= $(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder

bench: $(DEV) $(MUSICGEN) $(RAY) ## measure both sides of every claim, as ratios
	@$(PY) -W ignore -m benchmarks

soak: $(DEV) $(MUSICGEN) $(RAY) ## bot, demo and engine killed 200 times each, and ten minutes of faults of all kinds
	@KILLS=$(KILLS) SOAK=$(SOAK) $(PY) -m pytest -q -s -o timeout=0 -o faulthandler_timeout=3600 tests/test_kills.py tests/test_soak.py tests/engine/cluster/test_losses.py

mutants: $(DEV) $(MUSICGEN) ## change the core in 150 places, one at a time, and see whether a test notices
	@nice $(PY) -m tests.mutants $(if $(MODULE),--module $(MODULE))

audit: $(DEV) ## check the locked packages for known vulnerabilities
	$(PY) -m pip_audit --strict --disable-pip --require-hashes -r requirements-dev.lock
	$(PY) -m pip_audit --strict --disable-pip --require-hashes -r requirements-musicgen.lock
	$(PY) -m pip_audit --strict --disable-pip --require-hashes -r requirements-cluster.lock

pictures: $(DEV) ## retake the pictures in docs/ from the demo, in Chromium: before a release
	@$(PY) -m docs.pictures

samples: $(BOT) ## make the README's samples anew, by the sketch engine
	@$(PY) -m docs.samples

lock: $(BOT) ## compile the lock files from pyproject.toml
	$(PY) -m pip install --quiet uv==0.13.9
	$(PY) -m uv pip compile pyproject.toml --extra demo --extra dev $(COMPILE) -o requirements-dev.lock
	$(PY) -m uv pip compile pyproject.toml $(WITHIN) -o requirements.lock
	$(PY) -m uv pip compile pyproject.toml --extra demo $(WITHIN) -o requirements-demo.lock
	$(PY) -m uv pip compile pyproject.toml --extra musicgen --extra acestep $(WITHIN) -o requirements-musicgen.lock
	$(PY) -m uv pip compile pyproject.toml --extra cluster $(WITHIN) -c requirements-musicgen.lock -o requirements-cluster.lock

COMPILE := --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header
WITHIN := -c requirements-dev.lock $(COMPILE)

$(BOT): requirements.lock .ci/venv
	@PYTHON="$(PYTHON)" .ci/install "the bot" $@ $^

$(DEMO): requirements-demo.lock .ci/venv
	@PYTHON="$(PYTHON)" .ci/install "the bot and its demo" $@ $^

$(DEV): requirements-dev.lock .ci/venv
	@PYTHON="$(PYTHON)" .ci/install "the bot, its demo and what tests them" $@ $^

$(MUSICGEN): requirements-musicgen.lock $(BOT)
	@PYTHON="$(PYTHON)" .ci/install "MusicGen (about 3 GB to download, 8 GB on disk)" $@ $^

$(RAY): requirements-cluster.lock $(BOT)
	@PYTHON="$(PYTHON)" .ci/install "Ray (80 MB to download, 240 MB on disk)" $@ $^
