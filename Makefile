# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Tests spend their time compiling, on one core each; a file stays in one process, with what its tests share. Files come
# in their own order, as those with few tests are not the short ones.
WORKERS ?= 2

.PHONY: demo test test-slow parity lint docs tour format clean

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python >= 3.11 is needed; this is %s. Name another with `make PYTHON=python3.12 ...`" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[weights,test,lint]'
	touch $@

demo: $(VENV)/.ready
	$(BIN)/vissum demo

test: $(VENV)/.ready
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m 'not slow and not parity'

test-slow: $(VENV)/.ready
	$(BIN)/python -m pytest -m slow

parity: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --editable '.[parity]'
	$(BIN)/python -m pip install --quiet --no-deps torchvision==0.28.0 # its networks alone; its own needs are a GPU's
	$(BIN)/python -m pytest -m parity

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs docs/_build

tour: $(VENV)/.ready
	$(BIN)/python scripts/run_tour.py

format: $(VENV)/.ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis docs/_build docs/api docs/jupyter_execute
