# `make run` and `make test` need Python 3.11 or later, make, git and a package index for pip.
# Another Python than python3: `make test PYTHON=python3.13`. Each has a virtual environment.
PYTHON ?= python3
ifeq ($(PYTHON),python3)
VENV ?= .venv
else
VENV ?= .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
endif
BIN = $(VENV)/bin

BENCH = .bench_cache/venv
LOAD_HOST ?= http://127.0.0.1:8000
LOAD ?= --headless --run-time 1m --html .bench_cache/load.html --p99 250

.PHONY: run test coverage faults slow deploy-check check audit diagrams mail-pictures page-pictures format lock bench load soak clean

run: $(VENV)/run
	@exec $(BIN)/python server.py

test: $(VENV)/dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# The suite, without the tests of time, with the lines and branches that it covers: each file and each
# package. Fails below 95 % of the branches of handlers or store. Python 3.11 reports fewer of them.
coverage: $(VENV)/dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --ignore tests/handlers/test_event_loop.py \
		--cov --cov-report=term-missing:skip-covered --cov-report=json:.coverage_cache/report.json
	@$(BIN)/python tools/branch_coverage.py

# What breaks while the server is under load, and what must hold then; under ten minutes.
faults: $(VENV)/dev
	$(BIN)/python -m pytest tests/faults -m "slow or not slow" --timeout 180 -v

# The image, with whatever can build it here, and the balancer; what is missing is skipped, by name.
deploy-check: $(VENV)/dev
	$(BIN)/python -m pytest deploy/tests -v --timeout 600

# What takes long or needs more programs: a browser, every command of the documentation, Citus' triggers.
slow: $(VENV)/dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow --ignore tests/faults

check: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@$(MAKE) --no-print-directory audit

# Known vulnerabilities in what is pinned. Without a way to the advisories it says "SKIPPED".
audit: $(VENV)/dev
	@$(BIN)/python tools/audit.py

# Draws docs/diagrams/*.svg again from their sources. Needs Graphviz.
diagrams: $(VENV)/run
	$(BIN)/python tools/diagrams.py

# Takes docs/images/mail/*.png again, of the e-mails as Chromium shows them. Needs chromium.
mail-pictures: $(VENV)/dev
	$(BIN)/python -m tools.mail_pictures

# Takes docs/images/pages/*.png again, of the account page as Chromium shows it. Needs chromium.
page-pictures: $(VENV)/dev
	$(BIN)/python -m tools.page_pictures

format: $(VENV)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Re-makes every pin, transitive ones too, from pyproject.toml.
lock:
	uv pip compile -q --no-strip-extras --generate-hashes --universal --python-version 3.11 --no-emit-index-url --custom-compile-command "make lock" pyproject.toml -o requirements.txt
	uv pip compile -q --no-strip-extras --generate-hashes --universal --python-version 3.11 --no-emit-index-url --custom-compile-command "make lock" pyproject.toml --extra tracing -c requirements.txt -o requirements-tracing.txt
	uv pip compile -q --no-strip-extras --generate-hashes --universal --python-version 3.11 --no-emit-index-url --custom-compile-command "make lock" --group embedded -c requirements.txt -o requirements-embedded.txt
	uv pip compile -q --no-strip-extras --generate-hashes --universal --python-version 3.11 --no-emit-index-url --custom-compile-command "make lock" --group dev -c requirements.txt -c requirements-embedded.txt -c requirements-tracing.txt -o requirements-dev.txt

# Side by side with what people would pick instead; wrk and Node are used where they are there.
bench: $(VENV)/run $(BENCH)/done
	@$(BIN)/python bench/run.py $(BENCH_OPTIONS)

# Mobile users against a server that runs already: `make run`, or LOAD_HOST=http://…
load: $(BENCH)/done
	$(BENCH)/bin/locust -f tests/load/locustfile.py --host $(LOAD_HOST) $(LOAD)

# Half an hour of constant load: memory, descriptors and latency must stay. SOAK='--minutes 3'
soak: $(VENV)/run $(BENCH)/done
	@$(BIN)/python bench/soak.py $(SOAK)

clean:
	rm -rf .venv .venv-* .bench_cache

$(VENV)/run: requirements.txt requirements-embedded.txt
	@echo "latchkey: installing into $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo "latchkey: Python 3.11 or later is needed: make $(MAKECMDGOALS) PYTHON=python3.13"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-embedded.txt
	@touch $@

$(VENV)/dev: $(VENV)/run requirements-dev.txt requirements-tracing.txt
	@echo "latchkey: installing what the tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -r requirements-tracing.txt
	@touch $@

$(BENCH)/done: bench/requirements.txt
	@echo "latchkey: installing what the benchmark needs"
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt
	@touch $@
