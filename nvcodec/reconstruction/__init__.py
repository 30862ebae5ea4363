"""Decoding one segment: from a payload to planes of samples."""
