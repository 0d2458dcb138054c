# Everything here sets itself up: .venv from constraints.txt, Debian packages for the tests.
PYTHON := .venv/bin/python
# Most tests wait for processes and sockets: more of them at once than there are cores.
TESTS := $(PYTHON) -m pytest --numprocesses 4 --dist worksteal -m "not slow"
# How long `make soak` lasts.
MINUTES := 60

.PHONY: help demo test check fault soak bench install clean audit

help:
	@echo "make demo    see the whole way once, in under two minutes"
	@echo "make test    all tests but the long ones"
	@echo "make check   format, lint, types, import contracts, tests"
	@echo "make fault   the long fault suite: kills, outages, full disks"
	@echo "make soak    one line, all drivers, random faults, for MINUTES=60; the account is in soak-run"
	@echo "make install LINE=line-02.yaml    as root: put a line on this machine, under /opt/linewitness"
	@echo "make bench   measure: append, end to end, drivers"
	@echo "make audit   look all pinned versions up in the database of known weaknesses; needs the internet"

demo: venv
	.venv/bin/linewitness demo

test: venv packages
	$(TESTS)

check: venv packages
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(TESTS)

fault: venv packages
	$(PYTHON) -m pytest -m slow tests

soak: venv packages
	PYTHONPATH=tests $(PYTHON) -m soak --minutes $(MINUTES) --output soak-run

bench: venv
	$(PYTHON) bench/append.py --sizes 10000,1000000
	$(PYTHON) bench/end_to_end.py
	$(PYTHON) bench/clock_block.py
	$(PYTHON) bench/modbus_rate.py

install:
	python3 -m venv /opt/linewitness
	/opt/linewitness/bin/pip install --quiet --constraint constraints.txt '.[status]'
	/opt/linewitness/bin/linewitness install $(LINE)

# Strict: without that, what could not be looked up counts as free of weaknesses.
audit:
	python3 -m venv .venv/audit
	.venv/audit/bin/pip install --quiet pip-audit
	.venv/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: venv packages
venv:
	@tools/venv

packages:
	@tools/debian-packages
