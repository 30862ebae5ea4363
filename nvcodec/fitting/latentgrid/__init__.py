"""Fitting `latentgrid`: motion, latents in closed form, context networks, steps for a wanted size."""
