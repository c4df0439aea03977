# Needs python3 and make; everything else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test lint clean

demo: .venv/ready-demo
	$(BIN)/symnet train digits

test: .venv/ready-test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n 2

lint: .venv/ready-test
	$(BIN)/ruff check .
	$(BIN)/mypy

# A stamp is remade when the dependencies change. One stands on the other, so that under
# `make -j` two pips never write to the same environment at once.
.venv/ready-demo: pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP) --editable '.[sklearn,plot]'
	@touch $@

.venv/ready-test: .venv/ready-demo
	$(PIP) --editable '.[test]'
	@touch $@

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
