# `make demo` and `make test` work on a fresh clone: each makes the environment that it needs.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: demo test test-portable test-newest lint docs bench clean

demo: $(VENV)/.demo
	$(BIN)/bonafide demo demo

test: $(VENV)/.test lint
	$(BIN)/pytest -n auto

# The tests of everything that computes, with the vector instructions of an older processor.
test-portable: $(VENV)/.test
	OPENCV_CPU_DISABLE=AVX512_SKX,AVX2,FMA3 NPY_DISABLE_CPU_FEATURES="X86_V4 X86_V3" \
	OPENBLAS_CORETYPE=Nehalem \
	$(BIN)/pytest -n auto tests/detectors tests/signals tests/evidence tests/test_comparison.py

# The same with the newest releases that `pyproject.toml` allows, in an environment of its own.
test-newest:
	test -x $(VENV)-newest/bin/python || $(PYTHON) -m venv $(VENV)-newest
	$(VENV)-newest/bin/pip install --quiet --upgrade torch==2.13.0 -e '.[test]'
	$(VENV)-newest/bin/pytest -n auto -m "not browser and not cluster and not fuzz"

docs: $(VENV)/.test
	$(BIN)/python tools/docs.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.test
	$(BIN)/python tools/speed.py

$(VENV)/.demo: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e '.[demo]'
	touch $@

$(VENV)/.test: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-newest demo site build dist
