# Two commands are all a newcomer needs: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check format golden benchmarks clean

demo: $(VENV)/.demo-installed    ## a small model tunes a real one, live
	$(BIN)/tcs-hpt tune mlp_digits --trials 10

# A restarted test process can wait for ever (pytest-xdist, issue 1378), so that none is.
test: $(VENV)/.dev-installed     ## everything that needs no server, GPU or account
	$(BIN)/python -m pytest -n 2 --dist loadscope --max-worker-restart 0

check: $(VENV)/.dev-installed    ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.dev-installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

golden: $(VENV)/.dev-installed   ## write golden files anew; read the diff before committing it
	UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q tests/test_summary.py tests/test_prompts.py

benchmarks: $(VENV)/.dev-installed
	$(BIN)/python benchmarks/state_report.py
	$(BIN)/python benchmarks/token_estimate.py
	$(BIN)/python -m benchmarks.decision_cost
	$(BIN)/tcs-hpt compare mlp_digits --methods random,coin,expert --seeds 10 --name methods --store runs/methods.db

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tcs_hpt needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo-installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing (about a minute the first time)"
	$(INSTALL) --editable '.[embedded]'
	@touch $@

$(VENV)/.dev-installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing (about a minute the first time)"
	$(INSTALL) --editable '.[dev]'
	@touch $@
