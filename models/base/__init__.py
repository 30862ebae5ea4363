"""What every model family shares: configurations, tensor specifications, the network base class."""
