# Plain `make` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
KERNELS := .venv/kernels
STARTED = started=$$(date +%s)
ELAPSED = echo "$@: $$(( $$(date +%s) - started )) s"

.PHONY: help book test execute derive check lab bench clean

help:
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /|/' | awk -F'|' '{printf "make %-10s %s\n", $$1, $$2}'

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing; on Debian or Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }
	@echo "Setting up .venv (some minutes the first time)"
	@$(STARTED); $(PYTHON) -m venv .venv && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt && touch $@ && $(ELAPSED)

$(KERNELS): $(READY) $(wildcard minigrad/updates.py minigrad/compiled/*.py minigrad/recurrent/kernels/*.py)
	@$(BIN)/python -m minigrad.compiled && touch $@

book: $(KERNELS)  ## build the book from its stored outputs and print the page to open
	@$(BIN)/unrolled book

test: $(KERNELS)  ## run every test
	@$(STARTED); $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadgroup; status=$$?; $(ELAPSED); exit $$status

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
