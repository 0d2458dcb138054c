# Each target installs what it needs: .venv at the versions of constraints.txt, Debian packages for the tests.
PYTHON := .venv/bin/python
# Most tests wait for processes and sockets, so more of them run in parallel than there are cores.
TESTS := pytest --numprocesses 4 --dist worksteal -m "not slow"
# Duration of `make soak`.
MINUTES := 60

.PHONY: help demo quick test check coverage fault soak bench install clean audit

help:
	@echo "make demo    run the demonstration, in under two minutes"
	@echo "make quick   run lint, import contracts and the quick tests: under a minute, no Debian packages"
	@echo "make test    run all tests except the long ones"
	@echo "make check   run format check, lint, type check, import contracts and tests"
	@echo "make coverage    run the tests of make test, and print which lines they did not execute"
	@echo "make fault   run the long fault suite: kills, outages, full disks"
	@echo "make soak    run one line with all drivers and random faults, for MINUTES=60; the results are in soak-run"
	@echo "make install LINE=line-02.yaml    as root: install the program in /opt/linewitness, and a line as a service"
	@echo "make bench   measure append, end to end, drivers, and stations"
	@echo "make audit   check all pinned versions against the database of known vulnerabilities; needs the internet"

demo: venv
	.venv/bin/linewitness demo

# A first change needs no more than this.
quick: venv
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/lint-imports
	$(PYTHON) -m pytest --numprocesses 2 --dist worksteal -m "not slow and not heavy" tests/unit

test: venv packages
	$(PYTHON) -m $(TESTS)

coverage: venv packages
	rm -f .coverage.*
	$(PYTHON) -m coverage run -m $(TESTS)
	$(PYTHON) -m coverage combine --quiet
	$(PYTHON) -m coverage report

check: venv packages
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PYTHON) -m $(TESTS)

fault: venv packages
	$(PYTHON) -m pytest -m slow tests

soak: venv packages
	PYTHONPATH=tests $(PYTHON) -m soak --minutes $(MINUTES) --output soak-run

bench: venv
	$(PYTHON) bench/append.py --sizes 10000,1000000
	$(PYTHON) bench/verify.py --workers 1
	$(PYTHON) bench/store_rate.py
	$(PYTHON) bench/store_rate.py --records 4000 --batch 4 --messages 2
	$(PYTHON) bench/store_views.py --records 200000
	$(PYTHON) bench/end_to_end.py
	$(PYTHON) bench/clock_block.py
	$(PYTHON) bench/modbus_rate.py
	PYTHONPATH=tests $(PYTHON) bench/evidence_rate.py modbus
	PYTHONPATH=tests $(PYTHON) bench/evidence_rate.py modbus --rates 5000 --round-trip-ms 50
	PYTHONPATH=tests $(PYTHON) bench/evidence_rate.py opcua --rates 2500
	PYTHONPATH=tests $(PYTHON) bench/telemetry_rate.py
	PYTHONPATH=tests $(PYTHON) bench/telemetry_rate.py --round-trip-ms 50
	$(PYTHON) bench/three_drivers.py
	$(PYTHON) bench/three_drivers.py --record change
	$(PYTHON) bench/many_points.py
	PYTHONPATH=tests $(PYTHON) bench/station_cost.py
	PYTHONPATH=tests $(PYTHON) bench/station_view.py

install:
	python3 -m venv /opt/linewitness
	/opt/linewitness/bin/pip install --quiet --constraint constraints.txt '.[status]'
	/opt/linewitness/bin/linewitness install $(LINE)

# Without --strict, a version that could not be looked up counts as free of vulnerabilities.
audit:
	python3 -m venv .venv/audit
	.venv/audit/bin/pip install --quiet pip-audit
	.venv/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: venv packages
venv:
	@tools/venv

packages: venv
	@tools/debian-packages
	@tools/tpm-library
