"""Figures of a run, as vector graphics and as PNG."""

from star_search.analysis.figures.style import FORMATS
from star_search.analysis.figures.writing import write_figures

__all__ = ["FORMATS", "write_figures"]
