"""Stacks of upsampling convolutions: layers, blocks, time conditioning and inference."""
