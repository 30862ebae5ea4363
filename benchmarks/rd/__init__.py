"""Rate-distortion benchmark: `python -m benchmarks.rd`."""
