"""Entropy coding of motion: contexts with adaptive tables, and the syntax of a frame's motion."""
