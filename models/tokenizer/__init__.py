"""Networks of the shared video tokenizer, and token conditioning of a model."""
