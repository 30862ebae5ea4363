"""Decoding of one segment, from its payload to pictures."""
