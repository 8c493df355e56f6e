# Each target sets up what it needs; `make install` is quick when nothing changed (a stamp file).

SHELL := /bin/bash
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell command -v $(p) 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PAGE := src/posthouse/webpage/.stamp
PAGE_SOURCES := $(shell find webmail -path webmail/node_modules -prune -o -path webmail/dist -prune -o -type f -print)
JOBS ?= 2

.PHONY: install demo test check format interop browser bench shots soak manual requirements clean
.DEFAULT_GOAL := install

install: $(STAMP) $(PAGE)

$(STAMP): requirements/dev.txt pyproject.toml hatch_build.py
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# The web page; Node comes with the packages for developing.
$(PAGE): $(PAGE_SOURCES) hatch_build.py | $(STAMP)
	$(BIN)/python hatch_build.py build
	@touch $@

demo: install
	$(BIN)/posthouse demo

test: install
	$(BIN)/python hatch_build.py test
	$(BIN)/python -m pytest -n $(JOBS) -m "not interop and not soak"

check: install
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache | grep -vE '^ *[╔╚║╣╠╗╝]|^$$' ; exit $${PIPESTATUS[0]}
	$(BIN)/deptry src
	$(BIN)/python -m tools.check_size
	$(BIN)/python -m tools.check_rfcs
	$(BIN)/python -m tools.check_docs
	$(BIN)/python -m tools.check_hygiene
	$(BIN)/python hatch_build.py check

format: install
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	$(BIN)/python hatch_build.py format

interop: install
	tests/interop/install.sh
	$(BIN)/python -m pytest -m interop tests/interop tests/scenarios

# The web page in Debian's Chromium, each file with a server of its own.
browser: install
	tests/interop/install.sh
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m interop tests/browser

# Pictures of the web page in docs/images, by Debian's Chromium.
shots: install
	$(BIN)/python -m pytest -m interop tests/browser --shots docs/images

bench: install
	tests/interop/install.sh
	$(BIN)/python -m bench.run
	$(BIN)/python -m bench.store_array
	$(BIN)/python -m bench.store_import
	$(BIN)/python -m bench.mime_scan
	$(BIN)/python -m bench.store_search
	$(BIN)/python -m bench.imap
	$(BIN)/python -m bench.html_pages
	$(BIN)/python -m bench.jmap
	$(BIN)/python -m bench.jmap_push
	$(BIN)/python -m bench.page

soak: install
	$(BIN)/python -m pytest -m soak --timeout 7200 tests
	$(BIN)/python -m tests.fuzz.mutate 600
	! $(BIN)/python -c 'import atheris' 2>/dev/null || { mkdir -p build/fuzz; $(BIN)/python -m tests.fuzz.fuzz_smtp_server build/fuzz tests/fuzz/seeds/smtp_server -max_total_time=600; }

# The tables of the manual come from the settings.
manual: install
	$(BIN)/python -m tools.write_manual

# The pinned files name no registry: index and find-links lines of the machine's own configuration stay out.
requirements: install
	$(BIN)/pip-compile -q --upgrade --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host -o requirements/run.txt pyproject.toml
	$(BIN)/pip-compile -q --upgrade --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host -c requirements/run.txt -o requirements/dev.txt requirements/dev.in pyproject.toml

clean:
	rm -rf $(VENV) dist build src/posthouse/webpage webmail/node_modules webmail/dist .mypy_cache .ruff_cache .pytest_cache
