"""Procedural pictures, scenes and videos with known contents."""
