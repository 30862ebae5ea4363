"""Benchmarks of tokens: `python -m benchmarks.tokens.<name>`."""
