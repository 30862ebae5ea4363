"""The shared video tokenizer: encoder, FSQ and token sections of a file."""
