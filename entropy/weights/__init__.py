"""Network tensors: quantisation, choice of the entropy model, and coding to bytes."""
