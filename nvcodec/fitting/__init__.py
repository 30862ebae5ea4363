"""Fitting one segment: the fitter interface and the fitters of networks and of `latentgrid`."""
