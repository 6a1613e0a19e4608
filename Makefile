# Everything below works from a clean clone: each target sets up what it needs first, inside
# this folder. `make` alone prints the targets.

.DEFAULT_GOAL := help

# Overridable on the command line, for example `make demo PROMPT="the left kidney"`. They are
# set here so that a variable of the same name in the environment is not taken by mistake.
PYTHON =
IMAGE =
PROMPT =
STUDIES = studies
PYTEST_ARGS =

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp

# `uv` is run and not only looked for: a version manager may leave a shim that does not work.
LOCAL_UV := .venv-uv/bin/uv
UV := $(shell if uv --version >/dev/null 2>&1; then echo uv; else echo $(LOCAL_UV); fi)
ifeq ($(UV),$(LOCAL_UV))
UV_NEEDED := $(LOCAL_UV)
export UV_PYTHON_INSTALL_DIR := $(CURDIR)/.venv-uv/python
endif

# PyTorch's wheels are large: a slow connection needs more than the 30 s that uv allows.
export UV_HTTP_TIMEOUT ?= 300
# MONAI Label would start an MLflow file store, which current MLflow no longer has.
export MONAI_LABEL_TRACKING_ENABLED := false

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: $(STAMP) ## prompt in, clicks and mask out, through a real server; IMAGE=file PROMPT="..."
	$(BIN)/python demo/run.py --out demo_out $(if $(IMAGE),--image "$(IMAGE)") \
		$(if $(PROMPT),--prompt "$$PROMPT")

# One process a core, each with some 3 GB: its own models, and servers that it starts.
PROCESSES := --numprocesses=auto --maxprocesses=4 --dist=loadfile

.PHONY: test
test: $(STAMP) ## fast tests, with coverage; PYTEST_ARGS="-k name"
	$(BIN)/python -m pytest --cov -m "not slow" $(PROCESSES) $(PYTEST_ARGS)

.PHONY: test-slow
test-slow: $(STAMP) ## the tests that take longer than 20 s each
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

.PHONY: serve
serve: $(STAMP) ## start the server on this machine; STUDIES=folder of images
	@test -d "$(STUDIES)" || { \
		echo "There is no folder '$(STUDIES)'. Put images (.nii.gz, .nrrd, ...) into one and" \
			"run: make serve STUDIES=that-folder" >&2; exit 2; }
	$(BIN)/ibisagent serve --studies "$(STUDIES)"

.PHONY: lint
lint: $(STAMP) ## style, format and types, as CI checks them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: format
format: $(STAMP) ## put right what ruff can put right
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

.PHONY: types
types: $(STAMP) ## types only
	$(BIN)/mypy

.PHONY: bench
bench: $(STAMP) ## measure quality and speed on this machine
	$(BIN)/python benchmarks/run.py

.PHONY: bench-quality
bench-quality: $(STAMP) ## compare ways to a mask on held-back subjects; DATA=folder of sets
	$(BIN)/python benchmarks/quality.py --data "$(DATA)"

.PHONY: bench-failures
bench-failures: $(STAMP) ## show what the default agent makes of every slice of a head, good or bad
	$(BIN)/python benchmarks/failures.py

.PHONY: bench-policies
bench-policies: $(STAMP) ## measure ways of running a policy: batched, served, and the rest
	$(BIN)/python benchmarks/policies.py

.PHONY: bench-server
bench-server: $(STAMP) ## measure runs on a server: latency, clients, memory, a volume; IMAGE=volume
	$(BIN)/python benchmarks/runs.py $(if $(IMAGE),--image "$(IMAGE)") \
		$(if $(PROMPT),--prompt "$$PROMPT")

.PHONY: bench-propagation
bench-propagation: $(STAMP) ## compare carrying masks with asking on every slice; takes half an hour
	$(BIN)/python benchmarks/propagation.py

.PHONY: bench-training
bench-training: $(STAMP) ## measure simulation, fine-tuning and reinforcement learning
	$(BIN)/python benchmarks/training.py --data $(DATA)

.PHONY: bench-accepted
bench-accepted: $(STAMP) ## what accepted studies teach the default policy; takes half an hour
	$(BIN)/python benchmarks/accepted.py

.PHONY: bench-proof
bench-proof: $(STAMP) ## what each stage of training is good for; over an hour on one core
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/ablation.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/ablation.py --rewards
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/active_learning.py

.PHONY: docs
docs: $(STAMP) ## write the generated pages of docs/ anew
	$(BIN)/python docs/generate.py

.PHONY: lock
lock: $(UV_NEEDED) ## resolve pyproject.toml into requirements.lock
	$(UV) pip compile --universal --python-version 3.10 --all-extras --no-emit-index-url \
		--no-annotate --no-header pyproject.toml -o requirements.lock

.PHONY: clean
clean: ## remove what runs leave behind; training runs and the environment stay
	rm -rf build dist demo_out htmlcov .coverage .coverage.* .hypothesis
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find . -path './.venv*' -prune -o -type d -name __pycache__ -exec rm -rf {} +

# The environment. `--python` is always given, or uv would install into whatever environment
# the caller has activated. An interpreter that has gone (a link to nothing) starts it afresh.
INTERPRETER_MISSING := $(shell test -x $(BIN)/python || echo interpreter)

$(STAMP): requirements.lock pyproject.toml $(INTERPRETER_MISSING) | $(UV_NEEDED)
	$(UV) pip install --python $(BIN)/python -r requirements.lock
	$(UV) pip install --python $(BIN)/python --no-deps -e .
	@touch $@

# PYTHON= if given; else the first of 3.11, 3.12, 3.10 that is here; else uv fetches 3.11.
.PHONY: interpreter
interpreter: | $(UV_NEEDED)
	@rm -rf $(VENV)
	@python="$(PYTHON)"; \
	for version in 3.11 3.12 3.10; do \
		test -n "$$python" && break; \
		python=$$($(UV) python find --system --no-python-downloads $$version 2>/dev/null) || true; \
	done; \
	set -x; $(UV) venv --python "$${python:-3.11}" $(VENV)

$(LOCAL_UV):
	@rm -rf .venv-uv
	python3 -m venv .venv-uv || { rm -rf .venv-uv; echo "Python 3 with its venv module is" \
		"needed to set up (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }
	.venv-uv/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.8"

# Embedded tool and policy, some minutes each on a large GPU; each step continues where it was
# broken off. DATA= is the folder of labelled sets, or a file that `ibistrain pack` wrote (the
# evaluation needs the folder). MINUTES= ends each step after that long, LARGER=--larger makes a
# model of 11.6 instead of 6.5 million parameters. Without a GPU say WITH_TOOL= and BATCH=8: masks
# are imagined then. How the shipped edition came about is in docs/training.md.
DATA ?= $(or $(IBISAGENT_DATA),../shared/data)
RUNS := runs
EVALUATED := ct_brain_hemorrhage ct_headneck_openkbp ct_sammed2d_demo ct_spleen_msd \
	fundus_vessel_fives histo_glands_rings micro_nuclei_dsb2018 micro_wbc_krd \
	mr_brain_tumour_brisc mr_heart_left_atrium mr_spine_spider us_breast_busbra \
	us_carotid_ccaus us_fetal_head
MINUTES =
LARGER =
POSED =
WITH_TOOL := --with-tool
BATCH := 96
TIMED = $(if $(MINUTES),--minutes $(MINUTES))
SMALL = $(if $(POSED),--posed $(POSED) --pictures 2 --targets 3)

.PHONY: embedded-tool
embedded-tool: $(STAMP) ## teach the embedded tool to follow clicks; DATA=folder
	$(BIN)/ibistrain tool --data $(DATA) --out $(RUNS)/tool $(TIMED) $(SMALL) \
		--into lib/ibisagent/tools/embedded/litemedsam_clicks.safetensors

.PHONY: embedded-default
embedded-default: $(STAMP) ## train the embedded policy anew and publish it; DATA=folder
	test -f $(RUNS)/start/config.json || $(BIN)/ibistrain init --data $(DATA) \
		--out $(RUNS)/start $(LARGER)
	test -f $(RUNS)/seeing/model/config.json || $(BIN)/ibistrain embedded --data $(DATA) \
		--start $(RUNS)/start --out $(RUNS)/seeing --questions 0 --steps 3000 --batch $(BATCH) \
		--batches 2 --learning-rate 1.5e-3 $(WITH_TOOL) $(TIMED)
	test -f $(RUNS)/speaking/model/config.json || $(BIN)/ibistrain embedded --data $(DATA) \
		--start $(RUNS)/seeing/model --out $(RUNS)/speaking --steps 3000 --batch $(BATCH) \
		--batches 2 --learning-rate 1e-3 --refinement 0.7 $(WITH_TOOL) $(TIMED)
	$(BIN)/ibisagent evaluate $(addprefix $(DATA)/,$(EVALUATED)) --limit 6 --max-steps 6 \
		--policy $(RUNS)/speaking/model --out $(RUNS)/evaluation
	$(BIN)/ibistrain publish --data $(DATA) --checkpoint $(RUNS)/speaking/model \
		--results $(RUNS)/evaluation/results.json --out lib/ibisagent/policies/embedded
