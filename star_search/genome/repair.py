"""Repair of illegal genomes, and the sampling of their units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from star_search.genome.encoding import ClassGenes, Genome
from star_search.genome.layout import Layout
from star_search.genome.rules import CLASS, FEATURIZER_GROUP, Problem, Rules

Method = Literal["resample", "reinitialise"]


@dataclass(frozen=True, slots=True)
class Repaired:
    """A legal genome, how many genes were changed, and the problems that were found on the way."""

    genome: Genome
    changed: int
    problems: tuple[Problem, ...]


def repair(genome: Genome, rules: Rules, random_state: np.random.Generator, method: Method = "resample") -> Repaired:
    """Make a genome legal, drawing only from `random_state`; a legal genome comes back unchanged and draws nothing.

    `resample` draws every illegal gene anew among its legal values; `reinitialise` draws the whole LIV or class anew (STAR section 4.2;
    the paper does not say which of the legal values, see docs/design.md).
    """
    layout, before = genome.layout, genome.integers()
    values, repaired = list(before), genome
    seen: list[Problem] = []
    while problems := rules.problems(repaired):
        seen += problems
        chosen = int(random_state.integers(len(problems))) if _lacks_mixers(repaired, problems, rules) else 0
        _mend(values, repaired, problems[chosen], rules, random_state, method, len(seen))
        repaired = Genome.from_integers(values, layout)
    changed = sum(a != b for a, b in zip(before, values, strict=True))
    return Repaired(repaired, changed, tuple(seen))


def _lacks_mixers(genome: Genome, problems: list[Problem], rules: Rules) -> bool:
    """Return whether nothing is wrong but that too few LIVs mix tokens, which any of them could mend."""
    if problems[0].position >= genome.depth:
        return False
    mixers = rules.for_genome(genome).mixers
    return all(problem.gene == CLASS and problem.legal == mixers for problem in problems)


def _mend(
    values: list[int], genome: Genome, problem: Problem, rules: Rules, random_state: np.random.Generator, method: Method, tries: int
) -> None:
    """Draw the illegal gene anew, or its whole unit."""
    layout = genome.layout
    place = layout.unit_slice(problem.position)
    # Drawing whole LIVs anew can clash for long in a crowded group; past a hundred problems only the clashing gene is drawn.
    if method == "resample" or tries >= 100:
        values[place.start + problem.gene] = choose(problem.legal, random_state)
    elif problem.position >= layout.depth:
        values[place] = sample_class(layout, rules, random_state).integers()
    else:
        classes = problem.legal if problem.gene == CLASS else ()
        values[place] = sample_liv(rules.for_genome(genome), random_state, problem.position, layout, classes)


def sample_liv(rules: Rules, random_state: np.random.Generator, position: int, layout: Layout, classes: Sequence[int] = ()) -> list[int]:
    """Draw the genes of one LIV, every gene uniform among its legal values."""
    class_id = choose(classes or rules.classes, random_state)
    genes = [choose(rules.legal_values(class_id, gene), random_state) for gene in range(FEATURIZER_GROUP, layout.genes_per_liv)]
    if layout.composition:
        genes[-1] = choose(rules.composition_legal(position), random_state)
    return [class_id, *genes]


def sample_class(layout: Layout, rules: Rules, random_state: np.random.Generator) -> ClassGenes:
    """Draw the genes of one class of a genome's own in the order they are read, uniform among the values that those before allow."""
    values = [1] * layout.genes_per_class
    drawn: set[int] = set()
    while True:
        genome = Genome((), (), (ClassGenes.from_integers(values),))
        legal = rules.class_gene_values(genome, 0)
        offset = next((offset for offset in legal if offset not in drawn), None)
        if offset is None:
            return genome.classes[0]
        values[offset] = choose(legal[offset], random_state)
        drawn.add(offset)


def choose(values: Sequence[int], random_state: np.random.Generator) -> int:
    """Draw one of the values uniformly."""
    return values[int(random_state.integers(len(values)))]
