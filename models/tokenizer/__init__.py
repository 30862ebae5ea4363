"""Networks of the shared video tokenizer, and the conditioning of a model on tokens."""
