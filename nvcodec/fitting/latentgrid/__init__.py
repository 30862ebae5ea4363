"""Fitting `latentgrid`: motion estimation, RDOQ, training of context networks, step size search."""
