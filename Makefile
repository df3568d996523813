# Everything a developer or a first user runs. Windows without make: see README.md.
PYTHON ?= python3
VENV   ?= .venv
# What pip is asked for as torch; set e.g. TORCH=torch==2.13.0 to choose a build.
TORCH  ?= torch
BIN    := $(VENV)/bin
PY     := $(BIN)/python

.PHONY: demo test test-slow test-floor lint bench clean
.DEFAULT_GOAL := demo

# torch first and alone, so that TORCH decides which build comes; the rest then finds it there.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q --upgrade pip
	$(PY) -m pip install -q "$(TORCH)"
	$(PY) -m pip install -q -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PY) -m pip install -q -e ".[dev]"
	@touch $@

demo: $(VENV)/.installed
	$(PY) -m lipsync_core demo -o out

test: $(VENV)/.installed-dev
	$(PY) -m pytest $(PYTEST_ARGS)

test-slow: $(VENV)/.installed-dev
	$(PY) -m pytest -m "slow and not gpu and not weights" $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	$(PY) -m bench

# The oldest versions we promise, and every Python we promise, where those interpreters are.
test-floor:
	sh bench/test_floor.sh

clean:
	rm -rf $(VENV) out build *.egg-info .pytest_cache .mypy_cache .ruff_cache
