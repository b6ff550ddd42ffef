# `make run` and `make test` need Python 3.11 or later, make, git and a package index for pip.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: run test check format lock clean

run: $(VENV)/run
	@exec $(BIN)/python server.py

test: $(VENV)/dev
	$(BIN)/python -m pytest

check: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Re-makes every pin, transitive ones too, from pyproject.toml.
lock:
	uv pip compile -q --universal --python-version 3.11 --no-emit-index-url --custom-compile-command "make lock" pyproject.toml -o requirements.txt
	uv pip compile -q --universal --python-version 3.11 --no-emit-index-url --custom-compile-command "make lock" --group embedded -c requirements.txt -o requirements-embedded.txt
	uv pip compile -q --universal --python-version 3.11 --no-emit-index-url --custom-compile-command "make lock" --group dev -c requirements.txt -c requirements-embedded.txt -o requirements-dev.txt

clean:
	rm -rf $(VENV)

$(VENV)/run: requirements.txt requirements-embedded.txt
	@echo "latchkey: installing into $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-embedded.txt
	@touch $@

$(VENV)/dev: $(VENV)/run requirements-dev.txt
	@echo "latchkey: installing what the tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
