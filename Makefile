# Headlamp: run | test | test-slow | lint | mutants | faults | bench | gpu | load | verify | starters | zoo | table. Each sets up what it needs itself.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
export OMP_WAIT_POLICY := PASSIVE

.PHONY: run setup dev test test-slow lint mutants faults bench gpu load verify starters zoo table chromium

run: setup  ## get the model once, then serve on http://127.0.0.1:8501
	@$(PY) -m models.smollm2
	@$(PY) -m app

setup: $(VENV)/run.done  ## only make .venv and install what running needs

dev: $(VENV)/dev.done

test: dev chromium  ## everything that takes seconds; real-model and browser tests where they can run
	@$(PY) -m models.smollm2 || echo "headlamp: tests of the real model will be skipped"
	@$(PY) -m pytest -n auto --dist loadgroup tests --ignore tests/interp/engine --ignore tests/browser --ignore tests/server
	@$(PY) -m pytest tests/interp/engine tests/server tests/browser  # they time, and each needs a core

test-slow: dev chromium  ## what takes minutes: 4,096 tokens in the browser, every kernel, long RoPE bounds
	@$(PY) -m pytest -m slow

lint: dev
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(VENV)/bin/lint-imports

mutants: dev  ## corrupt every definition by one index, one at a time: some test must fail each time
	@$(PY) -m tests.mutants

faults: dev  ## kill a saving process 200 times and the server 200 times: no acknowledged save may be lost, none half there
	@$(PY) -m tests.faults

bench: dev  ## Run to the full grid beside transformers' eager pass; every variant, and statistics of heads, beside fused softmax
	@$(PY) -m models.smollm2
	@$(PY) -m benchmarks.grid
	@$(PY) -m benchmarks.variants
	@$(PY) -m benchmarks.stats
	@$(PY) -m benchmarks.stats_end_to_end

gpu: dev  ## on a machine with a GPU: kernels beside float64, then their times beside fused attention
	@$(PY) -m interp.stats.triton_check
	@$(PY) -m benchmarks.stats_gpu

load: dev  ## server CPU of a warm rerun; 20 sessions at once changing heads
	@$(PY) -m models.smollm2
	@$(PY) -m benchmarks.load

verify: dev  ## probes on SmolLM2 beside the values in docs/verify.md
	@$(PY) -m models.smollm2
	@$(PY) -m benchmarks.verify

starters: setup  ## compute the saved results of the starter prompts anew
	@$(PY) -m models.smollm2
	@$(PY) -m app.starters

zoo: setup  ## train one shipped model anew and hold its loss to its card: make zoo CORPUS=train.txt HELD_OUT=test.txt
	@test -n "$(CORPUS)" -a -n "$(HELD_OUT)" || { echo "headlamp: give CORPUS=... and HELD_OUT=..." >&2; exit 1; }
	@$(PY) -m models.roster --corpus $(CORPUS) --held-out $(HELD_OUT) --check $(or $(MEMBER),mha)

table: setup  ## write the tables in models/README.md and models/zoo/README.md from registry and cards
	@$(PY) -m models.table
	@$(PY) -m models.zoo_table

chromium:  ## for the browser tests: Debian's where we may install it, else they are skipped
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	  command -v google-chrome >/dev/null || sh tests/browser/install_chromium.sh

$(VENV)/python.done:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "headlamp: Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V 2>&1)" >&2; exit 1; }
	@echo "1/2  making a virtual environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/run.done: requirements.txt $(VENV)/python.done
	@echo "2/2  installing requirements.txt (torch alone is 200 MB and more) ..."
	@$(PY) -m pip install --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/dev.done: requirements-dev.txt $(VENV)/run.done
	@echo "     installing requirements-dev.txt ..."
	@$(PY) -m pip install --disable-pip-version-check -r requirements-dev.txt
	@touch $@
