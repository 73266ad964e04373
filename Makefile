SHELL := /bin/bash
.DEFAULT_GOAL := help

PY := .venv/bin/python
ENGINE ?=
MODULE ?=
KILLS ?= 200
SOAK ?= 600

# What each environment was installed from; a changed lock file installs again.
BOT := .venv/.bot
MUSICGEN := .venv/.musicgen

.PHONY: help setup demo run test bench soak mutants audit pictures lock

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

setup: $(MUSICGEN) ## install everything into .venv: the bot and MusicGen

demo: $(if $(filter musicgen,$(ENGINE)),$(MUSICGEN),$(BOT)) ## run the real bot in a simulated Discord, in the browser
	@$(PY) -m bot demo $(if $(ENGINE),--engine $(ENGINE))

run: $(MUSICGEN) ## run the bot, as .env says
	@$(PY) -m bot run

test: $(MUSICGEN) ## run lint, types and tests
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder

bench: $(MUSICGEN) ## measure both sides of every claim, as ratios
	@$(PY) -W ignore -m benchmarks

soak: $(MUSICGEN) ## bot, demo and engine killed 200 times each, and ten minutes of faults of all kinds
	@KILLS=$(KILLS) SOAK=$(SOAK) $(PY) -m pytest -q -s -o timeout=0 -o faulthandler_timeout=3600 tests/test_kills.py tests/test_soak.py

mutants: $(MUSICGEN) ## change the core in 150 places, one at a time, and see whether a test notices
	@nice $(PY) -m tests.mutants $(if $(MODULE),--module $(MODULE))

audit: $(BOT) ## check the locked packages for known vulnerabilities
	$(PY) -m pip_audit --strict --disable-pip --require-hashes -r requirements.lock
	$(PY) -m pip_audit --strict --disable-pip --require-hashes -r requirements-musicgen.lock

pictures: $(BOT) ## retake the README's pictures from the demo, in Chromium
	@$(PY) docs/pictures.py

lock: $(BOT) ## compile both lock files from pyproject.toml
	$(PY) -m pip install --quiet uv==0.13.9
	$(PY) -m uv pip compile pyproject.toml --extra demo --extra dev $(COMPILE) -o requirements.lock
	$(PY) -m uv pip compile pyproject.toml --extra musicgen -c requirements.lock $(COMPILE) -o requirements-musicgen.lock

COMPILE := --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header

$(BOT): requirements.lock .ci/venv
	@PYTHON="$(PYTHON)" .ci/install "the bot" $@ $^

$(MUSICGEN): requirements-musicgen.lock $(BOT)
	@PYTHON="$(PYTHON)" .ci/install "MusicGen (about 3 GB to download, 8 GB on disk)" $@ $^
