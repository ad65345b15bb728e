# Everything runs in .venv, which is created if it does not exist. PYTHON is its interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
CORPUS ?= corpus
export PYTHONPATH := $(CURDIR)

.PHONY: help dev-env compile bindings tests run-integration-tests integration-tests fmt lint \
	wheel wheels installed run-installed-tests docs demo corpus recordings bench bench-quick \
	demo-distributed run-spiff-versions bench-async bench-instances bench-instructions bench-sql \
	bench-stores bench-versions stress sanitize fuzz coverage soak drift clean

help:
	@echo "make demo     cache a workflow, run it on units, and show what was loaded"
	@echo "make tests    build the extension and run all tests"
	@echo "make demo-distributed   run 1,000 instances with Celery, Redis and PostgreSQL"
	@echo "others: dev-env compile bindings integration-tests run-integration-tests fmt lint"
	@echo "        bench bench-quick bench-async bench-instances bench-instructions bench-sql"
	@echo "        bench-stores bench-versions wheel wheels installed docs recordings clean corpus CORPUS=FOLDER"
	@echo "for long: stress sanitize coverage drift fuzz SECONDS=60 soak SECONDS=3600"

$(VENV)/made: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --group test --group stores --group distributed \
		--group lint --group build --group dist orjson
	$(BIN)/python -m pip install --quiet --no-deps \
		'spiff-arena-common>=0.1.50; python_version >= "3.10"' 'axe-playwright-python>=0.1.8'
	touch $@

dev-env: $(VENV)/made

# Translate to C and compile; a compiler warning is an error.
compile: dev-env
	SPIFF_ELEMENT_UNITS_WERROR=1 $(BIN)/python setup.py --quiet build_ext --force \
		--build-lib build/compile --build-temp build/compile

# Build the extension in place.
bindings: dev-env
	$(BIN)/python setup.py --quiet build_ext --inplace

# One process for each core, but at most eight: more would only wait for the longest file. All tests
# of a file run in one process, because they share data. tests/conftest.py says which files begin.
PARALLEL = --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder
tests: bindings
	@echo "10,000 tests take about 13 minutes on two cores."
	$(BIN)/python -m pytest tests $(PARALLEL)

run-integration-tests:
	$(BIN)/python -m pytest tests/test_integration.py

integration-tests: bindings run-integration-tests

fmt: dev-env
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lint: bindings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(abspath $(BIN)):$$PATH" cython-lint --max-line-length 100 spiff_element_units
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python tools/check_types.py
	$(BIN)/python tools/lint_page.py $(BIN)/oxlint
	$(BIN)/zizmor --offline --quiet .github/workflows
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/python -m mypy.stubtest --mypy-config-file pyproject.toml --ignore-missing-stub \
		--ignore-disjoint-bases --allowlist tools/stubtest.allow --ignore-unused-allowlist \
		$(patsubst spiff_element_units/core/%.pyx,spiff_element_units.core.%,\
			$(wildcard spiff_element_units/core/*.pyx))

# The sdist and a wheel for PYTHON, repaired and checked.
wheel: dev-env
	rm -rf dist
	$(BIN)/nox --session wheel --force-python "$(PYTHON)"
	$(BIN)/validate-pyproject pyproject.toml
	$(BIN)/check-manifest --no-build-isolation
	$(BIN)/pyroma --min 9 .

# The same for every Python that is found.
wheels: dev-env
	rm -rf dist
	$(BIN)/nox --session wheel

# Try the wheel as a user has it: in an environment of its own, outside the source tree.
installed: export PYTHONPATH =
installed: wheel
	rm -rf build/installed
	$(PYTHON) -m venv build/installed
	wheel=$$(ls -t dist/*.whl | head -n 1) && \
		build/installed/bin/python -m pip install --quiet "$$wheel[cli]"
	cd build/installed && bin/python ../../examples/demo.py
	cd build/installed && bin/spiff-element-units cache unit-cache ../../examples && \
		bin/spiff-element-units graph unit-cache Claim --format html -o claim.html

# Test wheels: on the lowest Python with the oldest dependencies that we allow, and on a high one. A
# Python that is not found is skipped, unless REQUIRE says otherwise, as in CI. This leaves out
# tests that take minutes and do not depend on how the package is installed, and tries fewer
# examples in others; `make tests` has run all of them already. On the high Python, only the tests
# of the compiled modules, of files and of the engine run: the workflow files run all tests on all
# versions.
LONG_TESTS = core/test_growth cache/test_crashes cli/test_page cli/test_page_graph \
	cli/test_page_diagram sql/test_lockstep
FURTHER_TESTS = spiff/test_lockstep spiff/test_walks spiff/test_random_versions
run-installed-tests: export STRESS_EXAMPLES = 30
run-installed-tests: dev-env
	$(BIN)/nox $(REQUIRE) --session minimums-3.9 -- $(LONG_TESTS:%=--ignore=tests/%.py)
	$(BIN)/nox $(REQUIRE) --session tests-3.13 -- tests/core tests/cache tests/spiff \
		$(LONG_TESTS:%=--ignore=tests/%.py) $(FURTHER_TESTS:%=--ignore=tests/%.py)

$(VENV)/for-bench: $(VENV)/made
	$(BIN)/python -m pip install --quiet --group bench
	touch $@

# Version 0.3.1 has an environment of its own, because both versions are imported by the same name.
$(VENV)/rival: $(VENV)/for-bench
	$(PYTHON) -m venv $(VENV)/rival
	$(VENV)/rival/bin/python -m pip install --quiet spiff-element-units==0.3.1 pyperf
	touch $@

# 0.4.0 is measured too, with the same libraries. No index has it, so it is built from its commit.
BEFORE = dd8f220
$(VENV)/before/made: $(VENV)/for-bench
	rm -rf build/before && mkdir -p build/before
	git archive $(BEFORE) | tar -x -C build/before
	$(PYTHON) -m venv $(VENV)/before
	$(BIN)/python -m pip freeze | grep -iE '^(SpiffWorkflow|lxml|orjson)==' > build/before/same.txt
	$(VENV)/before/bin/python -m pip install --quiet pyperf ./build/before \
		--requirement build/before/same.txt
	touch $@

bench: bindings $(VENV)/rival bench-instances
	$(BIN)/python benchmarks/run.py --rival $(VENV)/rival/bin/python

bench-quick: bindings $(VENV)/rival $(VENV)/before/made
	$(BIN)/python benchmarks/run.py --quick --rival $(VENV)/rival/bin/python $(SPECS)
	$(BIN)/python benchmarks/run.py --quick --instances --before $(VENV)/before/bin/python

# Instances with a history alone.
bench-instances: bindings $(VENV)/before/made
	$(BIN)/python benchmarks/run.py --instances --before $(VENV)/before/bin/python

# 1,000 instances and a new version of their workflow; fails if SpiffWorkflow decides otherwise.
bench-versions: bindings
	$(BIN)/python benchmarks/versions.py

# How long an event loop stands still while an `async` application uses the library.
bench-async: bindings
	$(BIN)/python benchmarks/async_starts.py

# Instances in SQLite and PostgreSQL: steps with a long history, and many instances.
bench-sql: bindings
	$(BIN)/python benchmarks/sql_instances.py

# Gets from stores on the servers that are installed; fails if one takes over twice as long as a
# read.
bench-stores: bindings
	$(BIN)/python benchmarks/store_gets.py

# Fails if an operation needs over 2 % more instructions than in 0.4.0. Needs valgrind.
bench-instructions: bindings $(VENV)/before/made
	$(BIN)/python benchmarks/instructions.py --before $(VENV)/before/bin/python

$(VENV)/for-docs: $(VENV)/made
	$(BIN)/python -m pip install --quiet --group docs
	touch $@

# The documentation, in build/docs; a warning is an error. Needs Python 3.11 or newer.
docs: bindings $(VENV)/for-docs
	$(BIN)/sphinx-build --fail-on-warning --keep-going --fresh-env --quiet \
		--builder html docs build/docs

# The tests with SpiffWorkflow, on each version that we test.
SPIFF_VERSIONS = 3.0.0 3.1.2 3.2.0 3.2.1a1788363675
SPIFF_TESTS = tests/spiff tests/test_integration.py tests/test_models.py
build/spiff/%: $(VENV)/made
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target $@ SpiffWorkflow==$*

run-spiff-versions: bindings $(SPIFF_VERSIONS:%=build/spiff/%)
	for version in $(SPIFF_VERSIONS); do \
		echo "SpiffWorkflow $$version" && PYTHONPATH=build/spiff/$$version:$(PYTHONPATH) \
			$(BIN)/python -m pytest $(SPIFF_TESTS) $(PARALLEL) || exit; \
	done

demo: bindings
	$(BIN)/python examples/demo.py

# Celery, Redis and PostgreSQL: 1,000 instances, two workers, one of which is killed. Installs the
# servers if they are missing and this is root on a Debian.
demo-distributed: bindings
	$(BIN)/python -W ignore benchmarks/distributed.py

# Write what the command prints into docs/cli.md and into the README's pictures.
recordings: bindings
	$(BIN)/python docs/transcripts.py docs/cli.md
	$(BIN)/python docs/recordings.py

corpus: bindings
	$(BIN)/python tests/corpus.py "$(CORPUS)"

# Run some tests for longer than `make tests` does. STRESS_* says how much each of them does.
stress: export STRESS_KILLS = 4000
stress: export STRESS_ROUNDS = 400
stress: export STRESS_SEQUENCES = 1500
stress: export STRESS_STEPS = 60
stress: export STRESS_PACKS = 100000
stress: export STRESS_FLIPS = 20000
stress: export STRESS_RANGES = 10000
stress: export STRESS_FILES = 10000
stress: export STRESS_JSON = 30
stress: export STRESS_GROWTH = 8
stress: export STRESS_CYCLE = 1000
STRESSED = cache/concurrency cache/crashes cache/stateful cache/large_cache cache/full_disk \
	core/hostile core/json core/growth
stress: bindings
	$(BIN)/python -m pytest -rP $(foreach name,$(STRESSED),tests/$(subst /,/test_,$(name)).py)

# Test damage and hostile input. A wrong read, a wrong write or undefined arithmetic ends the run.
SANITIZE = -w -fno-omit-frame-pointer -fno-sanitize-recover=undefined -fsanitize=address,undefined
SANITIZED = $(patsubst %,tests/core/test_%.py,text pack hostile slicer fuzz state state_json \
	encoder run)
sanitize: export PYTHONPATH = $(CURDIR)/build/sanitize
sanitize: dev-env
	CFLAGS="$(SANITIZE)" LDFLAGS="-fsanitize=address,undefined" $(BIN)/python setup.py --quiet \
		build --build-lib build/sanitize --build-temp build/sanitize-objects
	LD_PRELOAD="$$($(CC) -print-file-name=libasan.so)" ASAN_OPTIONS=detect_leaks=0 \
		$(BIN)/python -c "import sys; del sys.path[0]; import spiff_element_units as s; \
		assert s.__file__.startswith('$(PYTHONPATH)'), s.__file__"
	LD_PRELOAD="$$($(CC) -print-file-name=libasan.so)" PYTHONMALLOC=malloc \
		ASAN_OPTIONS=detect_leaks=0 $(BIN)/pytest --capture=sys $(PARALLEL) $(SANITIZED)

# Fuzz caching, reading and the cutting of states for SECONDS seconds each. Needs clang, and a
# Python that atheris supports. KEEP=--keep adds inputs that reach new code to tests/fuzz/corpus.
SECONDS ?= 60
CLANG ?= clang
FUZZ = $(SANITIZE),fuzzer-no-link -fno-sanitize=pointer-overflow
fuzz: bindings
	$(BIN)/python -m pip install --quiet --group fuzz
	CC=$(CLANG) LDSHARED="$(CLANG) -shared" CFLAGS="$(FUZZ)" $(BIN)/python setup.py --quiet \
		build --build-lib build/fuzz --build-temp build/fuzz-objects
	$(BIN)/python tests/fuzz/run.py $(SECONDS) $(KEEP)

# Fails if less than 95 % of the lines of a module have run, .py or .pyx. The tests run in a copy of
# the tree that is compiled to report each line to coverage.py. A report takes a hundred times as
# long as the line itself. So this leaves out tests that do one thing many thousand times, and lets
# others do it less often. Some lines are for older versions of SpiffWorkflow, so a part of the
# tests runs again with one of them.
TRACED = build/trace
# The tests of interrupts are left out too, because coverage.py writes its data after the interrupt.
MANY_TIMES = interrupt or flip or truncated or wild or harmless or no_trouble or exhaust or \
	does_not_grow or walk
MANY_TESTS = core/test_json core/test_growth core/test_hostile cache/test_large_cache \
	cache/test_crashes cache/test_concurrency test_benchmarks test_docs
coverage: export PYTHONPATH = $(CURDIR)/$(TRACED)
coverage: export COVERAGE_CORE = ctrace
coverage: export STRESS_EXAMPLES = 15
coverage: export STRESS_SEQUENCES = 8
coverage: dev-env
	$(BIN)/python -m pip install --quiet --group coverage
	rm -rf $(TRACED) && mkdir -p $(TRACED)
	tar -cf - --exclude=./build --exclude=./dist --exclude='./.*' --exclude='*.so' . | \
		tar -xf - -C $(TRACED)
	cd $(TRACED) && SPIFF_ELEMENT_UNITS_TRACE=1 CFLAGS=-w $(abspath $(BIN))/python setup.py \
		--quiet build_ext --inplace
	cd $(TRACED) && $(abspath $(BIN))/coverage run -m pytest tests -k "not ($(MANY_TIMES))" \
		$(MANY_TESTS:%=--ignore=tests/%.py)
	$(BIN)/python -m pip install --quiet --no-deps --target $(TRACED)/older 'SpiffWorkflow==3.1.*'
	cd $(TRACED) && PYTHONPATH=older:$(PYTHONPATH) $(abspath $(BIN))/coverage run -m pytest \
		$$(ls tests/spiff/test_*.py | grep -v walks)
	cd $(TRACED) && $(abspath $(BIN))/coverage combine --quiet && \
		$(abspath $(BIN))/python tests/covered.py 95

# Run all tests again and again, for SECONDS seconds or until one crashes. build/crashes then has
# what explains the crash.
soak: bindings
	$(BIN)/python tools/watch.py --seconds $(SECONDS) build/crashes $(BIN)/python -m pytest tests

# Find operations that lose references. Needs a debug build of Python, which counts them. Python
# 3.11 and older also count the references to None.
DEBUG_PYTHON ?= python3-dbg
$(VENV)/debug: pyproject.toml
	@$(DEBUG_PYTHON) -c "import sys, venv; sys.gettotalrefcount()" || { echo "$(DEBUG_PYTHON)\
	 is no debug build of Python: apt-get install python3-dbg python3-dev python3-venv, or say\
	 which: make drift DEBUG_PYTHON=python3.14-dbg"; exit 1; }
	$(DEBUG_PYTHON) -m venv --clear $(VENV)/debug
	$(VENV)/debug/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(VENV)/debug/bin/python -m pip install --quiet --group build 'SpiffWorkflow>=3.0,<4'

drift: export PYTHONPATH = $(CURDIR)/build/drift
drift: $(VENV)/debug
	$(VENV)/debug/bin/python setup.py --quiet build --build-lib build/drift \
		--build-temp build/drift-objects
	$(VENV)/debug/bin/python tests/drift.py $(TIMES)

clean:
	rm -rf build dist .nox $(VENV) *.egg-info spiff_element_units/*.so spiff_element_units/*/*.so
