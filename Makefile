# Plain `make` lists the targets.
unexport PYTHONDONTWRITEBYTECODE  # without bytecode each notebook's kernel compiles its imports anew, for 3 s
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
KERNELS := .venv/kernels
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
# uv takes seconds where pip takes minutes, but is not made for every machine.
INSTALL = { $(PIP) uv && $(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.lock; } 2>/dev/null || \
  { echo "Without uv this takes some minutes"; $(PIP) -r requirements.lock; }
PYTEST = $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadgroup
STARTED = started=$$(date +%s)
ELAPSED = echo "$@: $$(( $$(date +%s) - started )) s"

.PHONY: help book test quick test-elsewhere lock execute derive check lab bench clean

help:
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /|/' | awk -F'|' '{printf "make %-15s %s\n", $$1, $$2}'

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing; on Debian or Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }
	@echo "Setting up .venv"
	@$(STARTED); $(PYTHON) -m venv .venv && { $(INSTALL); } && touch $@ && $(ELAPSED)

$(KERNELS): $(READY) $(wildcard minigrad/updates.py minigrad/compiled/*.py minigrad/recurrent/kernels/*.py)
	@$(BIN)/python -m minigrad.compiled && touch $@

book: $(READY)  ## build the book from its stored outputs and print the page to open
	@$(BIN)/unrolled book

test: $(KERNELS)  ## run every test
	@$(STARTED); $(PYTEST) --durations=10; status=$$?; $(ELAPSED); exit $$status

quick: $(KERNELS)  ## run the tests that take a second or less each, before each commit
	@$(STARTED); $(PYTEST) -q -m "not slow and not gpu"; status=$$?; $(ELAPSED); exit $$status

test-elsewhere: $(READY)  ## run every notebook as processors of other makes would, and say what differs
	@$(STARTED); $(BIN)/unrolled elsewhere; status=$$?; $(ELAPSED); exit $$status

lock: $(READY)  ## write requirements.lock anew, with the newest versions that requirements.txt admits
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --upgrade requirements.txt -o requirements.lock

execute: $(KERNELS)  ## run every notebook again and store its outputs
	@$(STARTED); $(BIN)/unrolled execute && $(BIN)/unrolled derive && $(ELAPSED)

derive: $(READY)  ## rewrite what follows from _config.yml and from the solutions
	@$(BIN)/unrolled derive

check: $(READY)  ## check your answers to a chapter's exercises, e.g. make check EX=04
	@test -n "$(EX)" || { echo "Name the chapter, for example: make check EX=04" >&2; exit 2; }
	@$(BIN)/unrolled check $(EX)

lab: $(READY)  ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab

.venv-bench/ready: benchmarks/requirements.txt pyproject.toml
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -e '.[jit]' -r benchmarks/requirements.txt
	@touch $@

bench: .venv-bench/ready  ## measure minigrad beside NumPy by hand, PyTorch, JAX, HIPS autograd and MyGrad
	@.venv-bench/bin/python -m benchmarks

clean:  ## remove the built book and caches, but neither .venv nor your answers
	@rm -rf _build build dist .pytest_cache .ruff_cache .hypothesis
	@find . -path ./.venv -prune -o -name __pycache__ -type d -print | tr '\n' '\0' | xargs -0 rm -rf
