"""Analysis of runs: fronts, progress, figures."""
