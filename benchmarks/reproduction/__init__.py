"""Reproduction of published results: `python -m benchmarks.reproduction.<name>`."""
