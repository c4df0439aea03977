# Needs python3 and make; everything else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# The compilers for GPUs, about 0.9 GB, need no GPU. There are wheels of them for two systems only.
ifneq (,$(filter Linux-x86_64 Linux-aarch64,$(shell uname -s)-$(shell uname -m)))
CUDA := .venv/ready-cuda
else
CUDA := without-cuda
endif

.PHONY: demo test lint clean without-cuda

demo: .venv/ready-demo
	$(BIN)/symnet train digits

test: .venv/ready-test $(CUDA)
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

# On its own and last: what it pins is not for the libraries that are only compared with.
.venv/ready-cuda: .venv/ready-test
	$(PIP) --editable '.[cuda]'
	@touch $@

without-cuda:
	@echo "symnet[cuda] is for Linux on x86-64 and aarch64: the tests of target cuda are left out"

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
