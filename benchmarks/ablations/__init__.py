"""What single parts of a model are worth: `python -m benchmarks.ablations.<name>`."""
