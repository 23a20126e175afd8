# Every target makes what it needs in .venv by itself; the second time that takes no time.
#
#   make demo              the whole pipeline on this machine, until Ctrl-C   (make demo ARGS=--once: and end)
#   make test  make lint   what CI runs                                       (make test ARGS='-k watcher')
#   make bench             the figures of the performance page
#   make chaos             the figures of the reliability page; an hour         (make chaos ARGS=kill-storm)
#   make clean             removes all that was made

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

# The first Python that is recent enough; PYTHON=... chooses another one.
PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$each >/dev/null 2>&1 && $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$each && break; done)

.PHONY: demo test lint bench chaos clean
.DEFAULT_GOAL := demo

demo: $(VENV)/demo.stamp
	@$(BIN)/ako dev $(ARGS)

test: $(VENV)/develop.stamp
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

lint: $(VENV)/develop.stamp
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --no-cache --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry --no-ansi .
	$(BIN)/hadolint Dockerfile
	$(BIN)/shellcheck .ci/run deploy/compose/*.sh

bench: $(VENV)/develop.stamp
	$(BIN)/python -m bench $(ARGS)

chaos: $(VENV)/develop.stamp
	$(BIN)/python -m tests.chaos $(ARGS)

clean:
	rm -rf $(VENV) .ako build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/demo.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev-server]'
	@touch $@

$(VENV)/develop.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,lint]'
	@touch $@ $(VENV)/demo.stamp

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed; install it, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than Python 3.11; name a newer one: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
