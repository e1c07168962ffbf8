"""Scores of an exported model: benchmarks by lm-evaluation-harness, perplexity by our own evaluation."""
