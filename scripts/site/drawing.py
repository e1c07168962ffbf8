"""Write the drawing that docs/reading_a_genome.md shows: `python scripts/site/drawing.py`."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from matplotlib import rc_context

from star_search.analysis.figures.backbones import draw_backbones
from star_search.analysis.figures.style import SETTINGS
from star_search.genome.catalogue import load_catalogue
from star_search.genome.encoding import Genome

GENOME = "21211-31112-21221-32112"
TARGET = Path(__file__).parents[2] / "docs" / "screens" / f"genome-{GENOME}.svg"


def drawing() -> str:
    """Return the genome's drawing as SVG."""
    with rc_context(SETTINGS):
        figure = draw_backbones([(GENOME, Genome.parse(GENOME))], load_catalogue("star"))
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


if __name__ == "__main__":
    TARGET.write_text(drawing(), encoding="utf-8")
