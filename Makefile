# `make help` lists what there is. Everything happens in .venv; the first target sets it up, a change of pyproject.toml
# sets it up anew.

PYTHON ?=
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
APPLIANCE := PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' WHEELS='$(WHEELS)' OPENRAFT='$(OPENRAFT)' PYTHON='$(PYTHON)' \
    SYSTEMD='$(SYSTEMD)' packaging/systemd/install

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help run test torture check format docs wheels install uninstall purge bench profile clean extension rust-check

help: ## This list
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 18
	@echo "  ARGS=... is passed on: make run ARGS='--id 2', make test ARGS='-k delete'"

run: extension ## Start a node on schemas.yaml at ws://127.0.0.1:8080, data in .data/
	@exec $(BIN)/qcore --settings /dev/null --id 1 --ws-addr 127.0.0.1:8080 --config-file schemas.yaml --data-dir .data $(ARGS)

test: $(VENV)/dev extension ## All tests
	@$(BIN)/python -m pytest $(ARGS)

torture: export MATURIN_PEP517_ARGS ?= --profile torture
torture: $(VENV)/dev extension ## Faults of every kind on clusters under load: make torture SEED=7 MINUTES=10
	@exec $(BIN)/python -m tests.torture $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

check: $(VENV)/dev rust-check ## Lint, format, types, and who imports whom
	@echo "ruff check"         && $(BIN)/ruff check --quiet
	@echo "ruff format"        && $(BIN)/ruff format --check --quiet || { echo "run: make format" >&2; exit 1; }
	@echo "mypy --strict"      && $(BIN)/mypy --no-error-summary
	@echo "lint-imports"       && { $(BIN)/lint-imports > $(VENV)/imports.txt || { cat $(VENV)/imports.txt; exit 1; }; }

rust-check:
	@if cargo fmt --version >/dev/null 2>&1; then \
	    echo "cargo fmt" && cargo fmt --manifest-path openraft/Cargo.toml --check || { echo "run: make format" >&2; exit 1; }; \
	fi
	@if cargo clippy --version >/dev/null 2>&1; then \
	    echo "cargo clippy" && cargo clippy --manifest-path openraft/Cargo.toml --quiet --locked --all-targets \
	        --no-default-features -- --deny warnings; \
	fi

format: $(VENV)/dev ## Format the sources, mend what can be mended
	@$(BIN)/ruff check --quiet --fix-only
	@$(BIN)/ruff format --quiet
	@if cargo fmt --version >/dev/null 2>&1; then cargo fmt --manifest-path openraft/Cargo.toml; fi

docs: $(VENV)/run ## Man pages and completions of all scripts, in build/docs
	@rm -rf build/docs && PYTHONPATH=packaging $(BIN)/python -m manual build/docs

wheels: $(VENV)/bin/pip ## Wheels of qcore, its extension and all that they need, in build/wheels
	@packaging/wheels $(VENV) build/wheels

install: ## As root: qcore as a service of this machine; see docs/deployment.md for PREFIX, DESTDIR, WHEELS
	@$(APPLIANCE) install

uninstall: ## As root: remove it again, but for data, backups, settings and the user
	@$(APPLIANCE) uninstall

purge: ## As root: remove all of it but backups
	@$(APPLIANCE) purge

bench: extension ## SET and GET beside Redis (appendfsync always) on this machine's disk
	@$(BIN)/python -m benchmarks.bench $(ARGS)

profile: extension ## Where the daemon's time goes under SET load
	@$(BIN)/python -m benchmarks.profile_node $(ARGS)

clean: ## Remove the environment, caches and benchmark data; keeps .data/
	@rm -rf $(VENV) openraft/target .bench build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/run: pyproject.toml | $(VENV)/bin/pip
	@echo "Installing qcore into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/dev: pyproject.toml | $(VENV)/bin/pip
	@echo "Installing qcore, its tests and its checks into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/run

# Built anew when anything of it or the Rust version changes; left out where there is no Rust.
extension: $(VENV)/run
	@openraft/install $(VENV)

# Every candidate is run, not only found: a version switcher's shim may be on PATH without a Python behind it.
# Debian ships venv without pip unless python3-venv is there.
$(VENV)/bin/pip:
	@for python in $(PYTHON) $(if $(PYTHON),,python3 python3.11 python3.12 python3.13 python3.14); do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    found=$$python; \
	    "$$python" -c 'import ensurepip, venv' 2>/dev/null || continue; \
	    echo "Creating $(VENV) with $$("$$python" -V)"; \
	    exec "$$python" -m venv --clear $(VENV); \
	done; \
	if [ -n "$$found" ]; then \
	    echo "qcore: $$found cannot create virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; \
	else \
	    echo "qcore: needs Python 3.11 or newer, found $(if $(PYTHON),$(PYTHON),$$(python3 -V 2>&1));" \
	         "name another one: make PYTHON=/path/to/python3.12" >&2; \
	fi; exit 1
