"""Training of shipped weights: `python -m benchmarks.training.<name>`."""
