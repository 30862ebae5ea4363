"""Inputs and outputs by name: pipes, URLs, unfinished files, their locks, and their publication."""
