"""Base classes of all model families: configurations, tensor specifications, networks."""
