"""Encoding files: segmentation, scheduling, rate allocation and the partial file."""
