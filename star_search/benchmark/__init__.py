"""Measurements of speed and memory: operators class by class, models as they are trained."""
