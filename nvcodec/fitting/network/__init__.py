"""Fitting of networks by gradient descent: training loop, stages, losses and rate control."""
