"""Token indices: context modelling, probability tables and coding to bytes."""
