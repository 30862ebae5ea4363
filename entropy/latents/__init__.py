"""Wavelet latents: context modelling with integer networks, encoder and decoder."""
