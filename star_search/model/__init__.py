"""Models: the backbone, the language model and its decoding cache."""
