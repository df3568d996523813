# Everything a developer or a first user runs. Windows without make: see README.md.
PYTHON ?= python3
VENV   ?= .venv
# What pip is asked for as torch; set e.g. TORCH=torch==2.13.0 to choose a build.
TORCH  ?= torch
BIN    := $(VENV)/bin
PY     := $(BIN)/python

.PHONY: demo test test-slow test-floor test-enhance webui-envs lint bench clean
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

# The face restorers' packages in an environment of their own: torch and torchvision have to fit, several GB in all.
# basicsr builds only with the setuptools and torch that are there already.
test-enhance: .venv-enhance/.installed
	.venv-enhance/bin/python -m pytest -m "slow or not slow" tests/test_enhancer_packages.py tests/test_enhancers.py

.venv-enhance/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-enhance
	.venv-enhance/bin/python -m pip install -q torch torchvision "setuptools<70" wheel cython numpy
	-.venv-enhance/bin/python -m pip install -q --no-build-isolation basicsr gfpgan
	.venv-enhance/bin/python -m pip install -q spandrel spandrel_extra_arches -e ".[dev]"
	@touch $@

# Two environments with the gradio of A1111 and of Forge, in which the tests build the tab and call the API.
# What else they need they borrow from $(VENV), which lies behind their own packages on the path.
webui-envs: .venv-gradio3/.installed .venv-gradio4/.installed

.venv-gradio%/.installed: tests/webui_host/gradio%.txt $(VENV)/.installed-dev
	rm -rf .venv-gradio$*
	$(PY) -m venv .venv-gradio$*
	for try in 1 2 3; do .venv-gradio$*/bin/python -m pip install -q -r $< && break; [ $$try != 3 ] && sleep 10; done
	$(PY) -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
	  > "$$(.venv-gradio$*/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/zz_borrowed.pth"
	@touch $@

clean:
	rm -rf $(VENV) .venv-gradio3 .venv-gradio4 .venv-enhance out build *.egg-info .pytest_cache .mypy_cache .ruff_cache
