"""Network tensors: quantisation, choice of entropy model, and coding to bytes."""
