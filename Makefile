# The first Python of this list that is one of ours; `make PYTHON=/path/to/python` chooses another.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.10 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
VENV_MIN ?= .venv-min
# Tests run in this many processes, each of which holds TensorFlow (about 2 GB).
JOBS ?= 2
PYTEST_ARGS ?=
FUZZ_MINUTES ?= 60
# What `make fuzz` runs; by default all of tests/fuzz.
FUZZ_PATHS ?=

export TF_CPP_MIN_LOG_LEVEL ?= 3
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

.DEFAULT_GOAL := help
.PHONY: help dev demo test test-all test-min test-versions fuzz check docs docs-links format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

dev: $(VENV)/.installed ## Set up .venv with the package, editable, and all its tools

$(VENV)/.installed: setup.cfg pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.10 to 3.13 found; give one: make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(VENV_MIN)/.installed: setup.cfg pyproject.toml constraints-min.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.10 to 3.13 found; give one: make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV_MIN)
	$(VENV_MIN)/bin/python -m pip install --quiet --editable '.[test]' --constraint constraints-min.txt
	touch $@

demo: dev ## Fit flows to real data and to two moons, export and serve them: pictures in demo/
	$(VENV)/bin/python -m tfp_nvp demo

# The tests in parts, each in new processes, since TensorFlow keeps all that it has traced and compiled; or the tests
# that PYTEST_ARGS names. Tests of serving share their exports and servers in one process, which starts with them.
# Conformance is compiled as for users; where compiling is not what is tested, LLVM optimizes nothing, which takes a
# quarter off.
PYTEST = -m pytest -n $(JOBS) --dist loadgroup
QUICKLY = XLA_FLAGS=--xla_backend_optimization_level=0
RUN_TESTS = $(if $(strip $(PYTEST_ARGS)),$(1)/bin/python $(PYTEST) $(PYTEST_ARGS) $(2),\
	$(1)/bin/python $(PYTEST) tests/conformance $(2) && \
	$(QUICKLY) $(1)/bin/python $(PYTEST) tests --ignore=tests/conformance $(2))

test: dev ## Run the tests, but for the exhaustive ones
	$(call RUN_TESTS,$(VENV))

test-all: QUICKLY :=

test-all: dev ## Run all tests: the exhaustive ones, of more cases of the same kinds, too
	$(call RUN_TESTS,$(VENV),-m '')

test-min: $(VENV_MIN)/.installed ## Run all tests with the oldest supported dependencies (Python 3.10 to 3.12)
	$(call RUN_TESTS,$(VENV_MIN))

# Exports of the oldest and of the newest TensorFlow, each run natively by the other and by itself.
EXPORTS := build/exports
test-versions: dev $(VENV_MIN)/.installed ## Run the exports of the oldest TensorFlow in the newest, and the other way
	rm -rf $(EXPORTS)
	mkdir -p $(EXPORTS)/newest $(EXPORTS)/oldest
	$(VENV)/bin/python -m tests.serving.versions export $(EXPORTS)/newest
	$(VENV_MIN)/bin/python -m tests.serving.versions export $(EXPORTS)/oldest
	for python in $(VENV) $(VENV_MIN); do for exports in newest oldest; do \
		$$python/bin/python -m tests.serving.versions check $(EXPORTS)/$$exports || exit 1; done; done

fuzz: dev ## Run tests/fuzz with new seeds for FUZZ_MINUTES (60); fuzz.log says what it finds
	$(VENV)/bin/python -m tests.fuzz $(FUZZ_MINUTES) $(FUZZ_PATHS)

check: dev ## Lint, types and doctests
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest --doctest-modules tfp_nvp -n $(JOBS) --quiet

# Of its own extra: the tests need none of it. All it writes is ignored by git.
docs: dev ## Build the documentation site into build/docs
	$(VENV)/bin/python -m pip install --quiet --editable '.[docs]'
	$(VENV)/bin/python -m sphinx -W --keep-going -E -q -b html -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

docs-links: docs ## Follow the external links of the documentation
	$(VENV)/bin/python -m sphinx -q -b linkcheck docs build/links

format: dev ## Let ruff mend layout and imports
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .

clean: ## Remove environments, caches and what the demo made
	rm -rf $(VENV) $(VENV_MIN) demo build docs/reference docs/sources dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
