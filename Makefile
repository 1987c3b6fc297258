# Everything that people do with this project. `make` alone lists it.
#
# Each target sets up what it needs, may be repeated, and may be interrupted.

SHELL := /bin/bash
IN := .venv/bin
STACK := $(IN)/python -m infra.stack
SOURCES := infra tasks flows
# How many test files run at once, each worker on a stack of its own: one more than processors, because tests wait for servers.
AT_ONCE ?= $(shell nproc 2>/dev/null | awk '{print ($$1 > 3) ? 5 : $$1 + 1}')

.DEFAULT_GOAL := help
.PHONY: help setup tools up down status demo test test-minio test-dss test-browser pictures test-production test-all drill bench-latency check bench bench-sign bench-memory bench-history bench-reports bench-exchange bench-fixity bench-neighbours faults faults-twins

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Debian packages, Python packages, the command .venv/bin/hoso
	@infra/stack/setup.sh

tools: ## what `make setup` makes ready, and the programs that only the tests need
	@infra/stack/setup.sh --tests

up: setup ## start the embedded stack and keep it up
	@$(STACK) up

down: ## end the embedded stack; its data stays under var/stack
	@if [ -x $(IN)/python ]; then $(STACK) down; else echo "nothing is set up here"; fi

status: ## how each part of the stack is, and what it costs
	@if [ -x $(IN)/python ]; then $(STACK) status; else echo "nothing is set up here" && exit 1; fi

demo: setup ## one dossier from the booking to the archive, on real servers
	@$(STACK) run -- $(IN)/hoso demo

test: tools ## the tests, on a stack of their own; LONG=yes: also those in which whole offices are killed or released anew
	@PYTHONDONTWRITEBYTECODE= $(IN)/python -m pytest -n $(AT_ONCE) --no-loadscope-reorder $(if $(LONG),,-m "not long")

test-minio: tools ## the object store's tests and one whole life on MinIO; says so if Go is absent
	@$(IN)/python -m infra.stack.minio_from_source --life tests/acceptance/test_life.py

test-dss: tools ## EU DSS and veraPDF over documents of every level; says so if Java or Maven is absent
	@$(IN)/python -m pytest tests/outside

test-browser: setup ## a supervisor's morning in Chromium, and the proxy before it; says so if there is no Chromium
	@$(IN)/python -m tests.browser

test-production: setup ## the files of infra/deploy before Docker Compose, Kubernetes' schemas, systemd and pip
	@$(IN)/python -m pytest tests/production

pictures: setup ## take the pictures of the documentation anew, in Chromium
	@$(IN)/python -m tests.browser.pictures

test-all: ## the tests, the long ones too, and those that need more than every machine has
	@$(MAKE) --no-print-directory test LONG=yes
	@$(IN)/python -m infra.stack.minio_from_source --life tests/acceptance/test_life.py || { answer=$$?; [ $$answer -eq 77 ] || exit $$answer; }
	@$(IN)/python -m tests.faults.runner
	@$(IN)/python -m pytest tests/faults/long
	@$(IN)/python -m tests.browser || { answer=$$?; [ $$answer -eq 77 ] || exit $$answer; }
	@$(IN)/python -m pytest tests/production
	@$(IN)/python -m tests.fuzz.edxml 60 || { answer=$$?; [ $$answer -eq 77 ] || exit $$answer; }
	@$(IN)/python -m pytest tests/outside || { answer=$$?; [ $$answer -eq 77 ] || exit $$answer; }

faults: tools ## break a running office for some minutes and count what is left; FAULTS_FULL=1 for long, SEEDS="1 2"
	@$(IN)/python -m tests.faults.runner $(foreach seed,$(SEEDS),--seed $(seed)) $(if $(FAULTS_FULL),--full)

faults-twins: tools ## switch one protection off at a time: the checker of the faults must find it
	@$(IN)/python -m pytest tests/faults/long

drill: setup ## destroy the database of a stack of its own, restore it, and say what is missing
	@trap '$(STACK) down --root var/drill >/dev/null 2>&1; rm -rf var/drill' EXIT; $(IN)/python -m infra.stack.drill --root var/drill

bench: setup ## batches of 1,000 (BENCH_FULL=1: and 10,000) beside a plain pyHanko loop; writes var/bench.json
	@trap '$(STACK) down --root var/bench >/dev/null 2>&1; rm -rf var/bench' EXIT; $(STACK) run --root var/bench -- $(IN)/hoso bench $(if $(BENCH_SIZE),--size $(BENCH_SIZE),--size 1000 $(if $(BENCH_FULL),--size 10000)) $(if $(BENCH_SINGLES),--singles $(BENCH_SINGLES))

bench-sign: setup ## signatures a second at each level, beside a plain pyHanko loop; ends with "ratio B"
	@$(STACK) run --parts database,token -- $(IN)/python -m infra.stack.bench_sign

bench-memory: setup ## the memory that signing a scan of 100 MB takes
	@$(STACK) run --parts database,token -- $(IN)/python -m infra.stack.bench_sign --memory

bench-exchange: setup ## two offices exchange 200 signed documents of 1 MB and one of 100 MB, over an axis between them
	@$(IN)/python -m tests.benches.exchange

bench-history: setup ## 100,000 entries appended, proved and checked, on a database of its own
	@rm -rf var/bench-history; trap '$(STACK) down --root var/bench-history >/dev/null 2>&1; rm -rf var/bench-history' EXIT; $(STACK) run --root var/bench-history --parts database -- $(IN)/python -m infra.stack.bench_history

bench-fixity: setup ## how fast the archive is read again, on a database and an object store of its own
	@rm -rf var/bench-fixity; trap '$(STACK) down --root var/bench-fixity >/dev/null 2>&1; rm -rf var/bench-fixity' EXIT; $(STACK) run --root var/bench-fixity --parts database,store -- $(IN)/python -m tests.benches.fixity

bench-reports: setup ## the board over 100,000 dossiers and the report on a year of 200,000, on a database of its own
	@rm -rf var/bench-reports; trap '$(STACK) down --root var/bench-reports >/dev/null 2>&1; rm -rf var/bench-reports' EXIT; $(STACK) run --root var/bench-reports --parts database,pki -- $(IN)/python -m flows.bench_reports $(BENCH_REPORTS)

bench-latency: setup ## seconds from an act to what follows from it
	@$(STACK) run -- $(IN)/hoso bench-latency

bench-neighbours: setup ## the same, alone and while another desk brings hostile files to the counter
	@$(STACK) run -- $(IN)/python -m tests.benches.neighbours

check: setup ## format, lint, types, imports, docstrings, examples in docstrings
	@echo "check: format"
	@$(IN)/python -m ruff format --check .
	@echo "check: lint"
	@$(IN)/python -m ruff check .
	@echo "check: types"
	@$(IN)/python -m mypy $(SOURCES)
	@echo "check: imports"
	@$(IN)/lint-imports
	@echo "check: docstrings"
	@$(IN)/interrogate $(SOURCES)
	@echo "check: examples"
	@$(IN)/python -m pytest -q --doctest-modules --ignore=infra/migrations $(SOURCES)
