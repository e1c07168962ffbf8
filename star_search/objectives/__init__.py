"""Objectives: what a candidate is scored on, and the assessment that scores it."""
