# Needs Python 3.11 or newer with venv, make, and g++; everything else goes into .venv from PyPI.
#
#   make attest   the whole chain on the simulated chip       make lint    ruff
#   make test     the tests, without the slow ones            make bench   the chip's cycles, into docs/performance.md
#   make slow     the slow tests                              make clean   remove what was made here
#   make coverage of the generated Verilog, and of the program in it
#   make postroute  what would be flashed, as a netlist, at its pins: builds two boards and runs all that they can do
#
# Variables: PYTHON (which Python), ARGS (more arguments for the command), JOBS (test processes).

PYTHON ?= python3
JOBS ?= 2
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
# Made anew when the requirements change, or when the clone was moved: a venv knows its own path.
STAMP := $(VENV)/installed-$(shell { pwd; cat pyproject.toml constraints.txt; } | sha256sum | cut -c1-16)

.PHONY: attest test slow coverage postroute lint bench clean install
.DELETE_ON_ERROR:

attest: $(STAMP)
	@$(BIN)/fusequote attest $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow and not pnr" $(ARGS)

slow: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) -m "slow or pnr" $(ARGS)

coverage: $(STAMP)
	$(BIN)/python -m pytest tests/rtl/test_coverage.py $(ARGS)

postroute: $(STAMP)
	$(BIN)/python -m pytest tests/boards/test_postroute.py -v $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .

bench: $(STAMP)
	$(BIN)/fusequote bench chip --write docs/performance.md $(ARGS)

install: $(STAMP)

$(STAMP):
	@echo "making $(VENV): once, a few minutes" >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; give another one with make PYTHON=..." >&2; exit 1; }
	@grep -qsF '$(CURDIR)/$(VENV)/' $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) \
	  || { echo "Python's venv module is needed: apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@# Metadata beside the sources would go stale, and hide the installed one from python -m pytest.
	@rm -rf *.egg-info
	@$(BIN)/python -m fusequote.epid.kernel.build >/dev/null \
	  || echo "no C kernel for EPID: the Python arithmetic is used" >&2
	@touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis *.egg-info host/fusequote/epid/_kernel*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
