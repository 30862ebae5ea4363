"""Quantisation, entropy models and entropy coding: from named tensors to bytes and back."""
