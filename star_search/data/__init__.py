"""Text to train on: corpus, tokenizer, token store and token stream."""
