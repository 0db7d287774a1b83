# make demo   compress the example network three ways and verify each copy
# make test   all tests
#
# Both create .venv first, and leave it alone while pyproject.toml and constraints.txt stay the same.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
EXAMPLE := examples/advisory.onnx

# Arrays here are small: more threads only wait for each other.
export OMP_NUM_THREADS ?= 2
export OPENBLAS_NUM_THREADS ?= 2
export MKL_NUM_THREADS ?= 2

# How many (network pair, box, point) triples `make soundness` tries for each operator.
SIMCERT_SOUNDNESS_TRIPLES ?= 10000

# How often `make soundness` repeats the hunt of tests/soundness that `make test` does once.
SIMCERT_SOUNDNESS ?= 10

# A second opinion for the tests. It declares an old torch, so that it cannot be a dependency.
SECOND_OPINION := auto_LiRPA==0.3 appdirs==1.4.4 tqdm

.PHONY: fuzz demo test lint types soundness clean

demo: .venv/installed
	mkdir -p demo
	$(BIN)/simcert prune $(EXAMPLE) -o demo/int8.onnx --method quantize --format qdq-weight
	$(BIN)/simcert verify $(EXAMPLE) demo/int8.onnx --tolerance 0.07
	$(BIN)/simcert prune $(EXAMPLE) -o demo/pruned.onnx --method magnitude --sparsity 0.1
	$(BIN)/simcert verify $(EXAMPLE) demo/pruned.onnx --tolerance 0.07 --exit-zero
	$(BIN)/simcert verify $(EXAMPLE) demo/pruned.onnx --tolerance 0.07 --max-violation 0.01

test: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed-dev
	$(BIN)/mypy

soundness: .venv/installed-dev
	SIMCERT_SOUNDNESS=$(SIMCERT_SOUNDNESS) \
		SIMCERT_SOUNDNESS_TRIPLES=$(SIMCERT_SOUNDNESS_TRIPLES) OMP_NUM_THREADS=1 \
		$(BIN)/python -m pytest -n 2 tests/soundness tests/bounds/test_containment.py

# How many inputs `make fuzz` gives to the readers of models and regions.
SIMCERT_FUZZ_RUNS ?= 100000

fuzz: .venv/installed-dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[fuzz]'
	OMP_NUM_THREADS=1 $(BIN)/python tests/security/fuzz.py \
		-runs=$(SIMCERT_FUZZ_RUNS) -seed=1 -max_len=10000

clean:
	rm -rf .venv build demo *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=...")'
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/installed-dev: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps $(SECOND_OPINION)
	touch .venv/installed $@
