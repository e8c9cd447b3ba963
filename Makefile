# make serve     a lab on port 50544, in a virtual environment of its own
# make test      all tests but the slow ones; make test-all has these too
# make quick     those that start no process: for work at the keyboard
# make check     style, types, documentation and coverage besides
# make bench     measure the echo servers beside each other; QUICK=1 only sees that it works
# make soak      try it with all that a peer can do; QUICK=1 only sees that it works, LONG=1 takes hours
# make clean     remove what the others have made
#
# PORT=8888 and ARGS="--behaviour echo" change what is served, PYTHON=python3.12 the Python,
# JOBS=1 how many tests run at a time.

VENV ?= .venv
PORT ?= 50544
ARGS ?=
JOBS ?= auto
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check

# The first of these that is new enough.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

help:
	@sed -n '/^#/!q;s/^# \{0,1\}//p' Makefile

serve: $(VENV)/installed
	@exec $(BIN)/tcplab serve --port $(PORT) $(ARGS)

# A plain "trial tests" runs every test there is. pytest shows that the tests, and tcplab.testing,
# run under it too, beside pytest-twisted. (Plain test functions, which trial would not see, are not
# allowed.)
TIER = $(BIN)/python -m tests
TRIAL = --jobs $(JOBS) --reporter=text

quick: $(VENV)/installed-test
	$(TIER) quick $(TRIAL)

test: $(VENV)/installed-test
	$(TIER) test $(TRIAL)
	$(BIN)/python -m pytest --quiet tests/wire tests/testing

# One at a time: they start many processes, or measure.
test-slow: $(VENV)/installed-test
	$(TIER) slow --reporter=text

test-all: test test-slow

check: lint types docs coverage

lint: $(VENV)/installed-check
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m tests.house

types: $(VENV)/installed-check
	$(BIN)/mypy
	$(BIN)/basedpyright --pythonpath $(BIN)/python

# The site, in build/docs, and in it the pages of the API.
docs: $(VENV)/installed-check
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs
	$(MAN)
	@for page in man/*.1; do cmp -s $$page build/$$page || \
		{ echo "$$page is not what docs/ makes: run make man" >&2; exit 1; }; done

# The pages of the manual; the wheel carries them as they are in man/.
MAN = $(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -t man -b man docs build/man

man: $(VENV)/installed-check
	$(MAN)
	cp build/man/*.1 man

# What to look at in the English of the pages, of --help and of the code.
prose: $(VENV)/installed-check
	$(BIN)/python -m tests.prose $(ARGS)

# Over the eager reactor this time: the tests pass over it and over Twisted's. Without those that only
# run other programs, of which coverage sees nothing, or programs of other users, where it cannot write.
WITHOUT = tests.integration tests.soak tests.examples tests.test_benchmarks tests.pages \
	tests.test_twistd_user
COVERED = $(filter-out $(WITHOUT),$(patsubst tests/%/__init__.py,tests.%,$(wildcard tests/*/__init__.py)) \
	$(patsubst tests/%.py,tests.%,$(wildcard tests/test_*.py)))

coverage: $(VENV)/installed-check
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m twisted.trial --reactor=eager $(TRIAL) $(COVERED)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=98

bench: $(VENV)/installed-bench
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(ARGS)

soak: $(VENV)/installed
	$(BIN)/python -m soak $(if $(QUICK),--quick) $(if $(LONG),--long) $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info _trial_temp* .coverage* .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -f twisted/plugins/dropin.cache twistd.log* twistd.pid

# What is installed; the project itself as it stands, so that only a change of what it needs counts.

$(VENV)/made:
	@test -n "$(PYTHON)" || { echo "tcplab needs Python 3.11 or newer, and there is none on the PATH:" \
		"install it, or name it as in make PYTHON=/usr/local/bin/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "tcplab needs Python" \
		"3.11 or newer, and $(PYTHON) is none: name another, as in make PYTHON=python3.12" >&2; exit 1; }
	@echo "making a virtual environment in $(VENV)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/made setup.cfg pyproject.toml
	@echo "installing tcplab into $(VENV): half a minute or more the first time"
	@$(PIP) --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	@echo "installing what the tests need into $(VENV): half a minute or more the first time"
	@$(PIP) --editable '.[test]'
	@touch $@

$(VENV)/installed-check: $(VENV)/installed-test
	@echo "installing what the checks need into $(VENV): half a minute or more the first time"
	@$(PIP) --editable '.[check]'
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed
	@echo "installing what the benchmarks need into $(VENV): half a minute or more the first time"
	@$(PIP) --editable '.[bench]'
	@touch $@

.PHONY: help serve quick test test-slow test-all check lint types docs man prose coverage bench soak clean
