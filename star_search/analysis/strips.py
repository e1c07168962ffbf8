"""Genomes as strips: one letter per LIV, coloured by operator family."""

from collections.abc import Sequence
from itertools import pairwise

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

BLOCKS = "▁▂▃▄▅▆▇█"
LEVEL = BLOCKS[3]


def families(genome: Genome, catalogue: Catalogue) -> list[str]:
    """Return the operator family of every LIV."""
    complete = catalogue_for(genome, catalogue)
    names = (complete[liv.liv_class].family for liv in genome.livs)
    return [name if name in FAMILY_LETTERS else "custom" for name in names]


def strip_markup(genome: Genome, catalogue: Catalogue) -> str:
    """Return the strip with rich markup."""
    return "".join(f"[bold white on {FAMILY_COLOURS[name]}]{FAMILY_LETTERS[name]}[/]" for name in families(genome, catalogue))


def legend_markup() -> list[str]:
    """Return what each of the letters means."""
    shown = [name for name in FAMILY_LETTERS if name != "custom"]
    return [f"[bold white on {FAMILY_COLOURS[name]}]{FAMILY_LETTERS[name]}[/] {name}" for name in shown]


def link_rows(genome: Genome, catalogue: Catalogue) -> list[tuple[str, str]]:
    """Return one row for every group that shares, its members as dots under the strip's letters, and what they share."""
    rows = []
    for group in genome.sharing(catalogue).groups:
        first, last = group.members[0], group.members[-1]
        marks = "".join("●" if place in group.members else "─" if first < place < last else " " for place in range(genome.depth))
        kind = "weights" if group.kind == "featurizer" else "features"
        rows.append((marks, f"{kind} {', '.join(group.groups)} of LIVs {', '.join(str(place + 1) for place in group.members)}"))
    return rows


def sparkline(values: Sequence[float], width: int) -> str:
    """Return values as a line of blocks, means of stretches where there are more values than columns; equal ones at half height."""
    if not values:
        return ""
    count = min(width, len(values))
    bounds = [round(place * len(values) / count) for place in range(count + 1)]
    means = [sum(values[start:stop]) / (stop - start) for start, stop in pairwise(bounds)]
    lowest, span = min(means), max(means) - min(means)
    return "".join(BLOCKS[round((len(BLOCKS) - 1) * (value - lowest) / span)] if span else LEVEL for value in means)
