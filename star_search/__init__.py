"""star-search: find sequence-model architectures for a budget."""
