"""Fitting of single segments: the fitter interface, and the fitters of all model families."""
