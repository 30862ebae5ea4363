"""Encoding of files: segmentation, scheduling, rate allocation, output files and progress."""
