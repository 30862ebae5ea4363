"""The shared video tokenizer: networks, FSQ, token ids, and the token sections of a file."""
