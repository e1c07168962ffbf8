"""Genomes as strips: one letter per LIV, coloured by operator family."""

from star_search.genome.catalogue import Catalogue
from star_search.genome.encoding import Genome
from star_search.genome.evolved import catalogue_for

# Okabe and Ito's colours, which colour-blind readers tell apart.
FAMILY_COLOURS = {
    "attention": "#0072B2",
    "linear attention": "#56B4E9",
    "recurrence": "#D55E00",
    "gated convolution": "#009E73",
    "state space": "#CC79A7",
    "memoryless": "#999999",
    "custom": "#E69F00",
}
FAMILY_LETTERS = {
    "attention": "A",
    "linear attention": "L",
    "recurrence": "R",
    "gated convolution": "C",
    "state space": "S",
    "memoryless": "M",
    "custom": "X",
}


def families(genome: Genome, catalogue: Catalogue) -> list[str]:
    """Return the operator family of every LIV."""
    complete = catalogue_for(genome, catalogue)
    names = (complete[liv.liv_class].family for liv in genome.livs)
    return [name if name in FAMILY_LETTERS else "custom" for name in names]


def strip_markup(genome: Genome, catalogue: Catalogue) -> str:
    """Return the strip with rich markup."""
    return "".join(f"[bold white on {FAMILY_COLOURS[name]}]{FAMILY_LETTERS[name]}[/]" for name in families(genome, catalogue))


def legend_markup() -> str:
    """Return what the letters mean."""
    shown = [name for name in FAMILY_LETTERS if name != "custom"]
    return "  ".join(f"[bold white on {FAMILY_COLOURS[name]}]{FAMILY_LETTERS[name]}[/] {name}" for name in shown)
