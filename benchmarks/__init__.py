"""Measurements of nvcodec, run from the repository root as `python -m benchmarks.NAME`.

Each script writes one JSON file to `benchmarks/results/`; `docs/benchmarks.md` is filled from
those files by `python -m benchmarks.harness.tables`.
"""
