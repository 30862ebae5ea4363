"""Convolutional decoders: layers, blocks, time conditioning and inference of the NeRV line."""
