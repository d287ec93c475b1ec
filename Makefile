# What one can do here. `make` alone prints the targets; each sets up .venv first if need be, and nothing outside it.

MAKEFLAGS += --no-print-directory
BIN := .venv/bin
# Written at the end of a set-up; it holds the directory, because a virtual environment does not survive a move.
STAMP := .venv/set-up-in
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
STAMP_IS_STALE := set-up-elsewhere
endif

# Settings for somebody's pytest would let `make test` be green with other tests, or with none. And a Python that keeps
# no compiled files compiles all of this anew in each of the thousand processes that the tests start.
unexport PYTEST_ADDOPTS PYTEST_PLUGINS PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := targets
.PHONY: targets set-up set-up-elsewhere test lint imports types unit hil matrix soak bench fmt gen gen-check clean

targets: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

$(STAMP): pyproject.toml constraints.txt scripts/set_up.sh $(STAMP_IS_STALE)
	@sh scripts/set_up.sh $(STAMP)

set-up: $(STAMP) ## make .venv and install into it what pyproject.toml and constraints.txt say
	@:

test: $(STAMP) ## everything that must hold before a commit: lint, imports, gen-check, types, unit
	@$(MAKE) lint
# These have one core: on another the tests are imported meanwhile, so that each worker finds them compiled, and begun.
	@{ $(MAKE) imports && $(MAKE) gen-check && $(MAKE) types; } >.venv/beside-told 2>&1 & beside=$$!; \
	$(BIN)/python -m pytest -q --collect-only -n 0 >/dev/null 2>&1; \
	$(MAKE) unit; unit=$$?; wait $$beside; beside=$$?; \
	cat .venv/beside-told; rm .venv/beside-told; exit $$((unit || beside))

lint: $(STAMP) ## ruff: rules and format
	@echo "== lint"
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { echo "not formatted: run 'make fmt'"; exit 1; }

imports: $(STAMP) ## import-linter: who may import whom
	@echo "== imports"
	@report=$$($(BIN)/lint-imports 2>&1) || { echo "$$report"; exit 1; }

types: $(STAMP) ## mypy --strict on everything
	@echo "== types"
	@$(BIN)/mypy --strict --no-error-summary

unit: $(STAMP) ## pytest: all of tests/, and the five slowest of them
	@echo "== tests"
	@$(BIN)/python -m pytest -q -n 4 --durations=5

TARGET = emulator:process

hil: $(STAMP) ## run the conformance suite on TARGET=ADDRESS (an emulated pump on a PTY where none is named); report in report/
	@$(BIN)/pumpbench hil run --target '$(TARGET)' --report report

matrix: $(STAMP) ## run the whole suite on each kind of target: in process, a process on a PTY, a port, TCP, RFC 2217; in report/matrix/
	@$(BIN)/python -m scripts.matrix

NIGHT_MINUTES = 20

soak: $(STAMP) ## the long run: all of tests/, every case of the loops of which `make test` plays a part, an hour of replay, 20 minutes of the campaign
	@PUMPBENCH_SOAK=1 $(BIN)/python -m pytest -q -n 4 --durations=20 -o timeout=900
	@$(BIN)/python -m scripts.replay_lateness
	@mkdir -p report
	@$(BIN)/pumpbench campaign run night --minutes $(NIGHT_MINUTES) --out report/night-$$(date +%Y%m%d-%H%M%S).sqlite3

bench: $(STAMP) ## measure speed as ratios to floors of the same run
	@$(BIN)/python -m scripts.bench

fmt: $(STAMP) ## format, and fix what ruff can fix
	@$(BIN)/ruff check --quiet --fix-only
	@$(BIN)/ruff format --quiet

# Programs with a --check twin: they write parts of documents, and lock the bytes of messages.
GENERATORS := $(sort $(wildcard scripts/generate_*.py)) scripts/lock_messages.py

gen: $(STAMP) ## write the generated parts of the documents anew, lock new messages, and record fixtures/sessions
	@for generator in $(GENERATORS); do $(BIN)/python $$generator || exit 1; done
	@$(BIN)/python -m scripts.record_sessions

gen-check: $(STAMP) ## see that what is generated is up to date, and what is locked holds
	@echo "== gen-check"
	@for generator in $(GENERATORS); do $(BIN)/python $$generator --check >/dev/null || { echo "run 'make gen'"; exit 1; }; done

clean: ## remove .venv, caches and reports
	@rm -rf .venv report hil-report build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
