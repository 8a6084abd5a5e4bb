# Each target sets up what it needs; `make demo` and `make test` are all a fresh machine wants.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo browser test lint bench docs lock kernel lab clean

.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "nbtools needs Python 3.11 or newer: make demo PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: .venv/ready  ## train on real data and show what came out
	@mkdir -p .nbtools
	$(BIN)/nbtools run templates/train.ipynb --experiment train

# Widgets and JupyterLab's screens are tested in a browser. Who is not root installs it by hand,
# and is told so by those tests.
browser:
	@command -v chromium || command -v chromium-browser || command -v google-chrome || \
	    test "$$(id -u)" != 0 || \
	    { apt-get update -q && apt-get install -qy --no-install-recommends chromium; }

test: .venv/ready browser  ## the whole test-suite; two at a time, for most of a test is waiting
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/ready  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/ready  ## figures, beside the peers
	$(BIN)/pip install --quiet --disable-pip-version-check -r bench/requirements.txt
	$(BIN)/python bench/cli.py
	$(BIN)/python bench/run.py
	$(BIN)/python bench/lab.py
	$(BIN)/python bench/jobs_lab.py

docs: .venv/ready  ## the generated reference
	$(BIN)/python docs/generate.py

lock: .venv/ready  ## pin what is installed now
	$(BIN)/pip freeze --all --exclude-editable | grep -v '^pip==' | sed 's/+cpu//' > requirements.txt

kernel: .venv/ready  ## offer this environment to every JupyterLab of this user
	$(BIN)/nbtools kernels install

lab: .venv/ready  ## open the templates in JupyterLab
	$(BIN)/nbtools lab templates

clean:  ## remove the environment, not the results
	rm -rf .venv
