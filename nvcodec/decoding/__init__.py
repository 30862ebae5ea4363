"""Decoding of files: random access, output files, comparison and inspection."""
