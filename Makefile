# Safelight. Everything is installed into .venv, at the versions in requirements/; a second run installs nothing.
#
#   make picture PROMPT="a red apple"    make test    make lint    make format    make benchmark    make clean

PYTHON ?= python3
PROMPT ?= a red apple

# The prompt as it was typed: neither make nor the shell reads anything into it.
override PROMPT := $(value PROMPT)
export PROMPT

IN := .venv/bin
RUN := .venv/.installed-run
DEV := .venv/.installed-dev
PIP := $(IN)/python -m pip --disable-pip-version-check

.PHONY: picture test lint format benchmark clean
.DELETE_ON_ERROR:

picture: $(RUN)
	@$(IN)/safelight generate --out picture.png -- "$$PROMPT"
	@echo "The picture is $(CURDIR)/picture.png"

test: lint
	$(IN)/pytest

lint: $(DEV)
	$(IN)/ruff check .
	$(IN)/ruff format --check .
	$(IN)/mypy src

format: $(DEV)
	$(IN)/ruff check --fix .
	$(IN)/ruff format .

benchmark: $(DEV)
	@set -e; for script in inference startup training_step; do echo "== $$script"; $(IN)/python "benchmarks/$$script.py"; done

clean:
	rm -rf build dist picture.png .pytest_cache .mypy_cache .ruff_cache src/safelight.egg-info
	find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# The pins go first and the package goes in without its dependencies, so nothing but the pins is installed.

$(RUN): requirements/run.txt pyproject.toml | $(IN)/pip
	$(PIP) install -r requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements/dev.txt $(RUN)
	$(PIP) install -r requirements/dev.txt
	@touch $@

$(IN)/pip:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("The pinned packages need Python 3.11 or newer. Name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
