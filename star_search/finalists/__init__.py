"""Longer trainings of chosen architectures, and their comparison."""
