"""What benchmarks share: clips, anchors, fits measured on real files, JSON records and tables."""
