"""Tokens as inputs of language models: vocabularies, projectors and processors."""
