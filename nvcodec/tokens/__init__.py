"""Stored latents as tokens: read from a file, reduced, handed to a language model."""
