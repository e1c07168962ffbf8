"""Measurements of speed and memory: operators class by class."""
