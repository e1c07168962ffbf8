"""Repair of illegal genomes, and the canonical form of legal ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from star_search.genome.catalogue import Catalogue
from star_search.genome.encoding import GENES_PER_LIV, Genome, LIVGenes
from star_search.genome.rules import CLASS, Problem, Rules
from star_search.genome.sharing import Kind, resolve_sharing

Method = Literal["resample", "reinitialise"]


@dataclass(frozen=True, slots=True)
class Repaired:
    """A legal genome, how many genes were changed, and the problems that were found on the way."""

    genome: Genome
    changed: int
    problems: tuple[Problem, ...]


def repair(genome: Genome, rules: Rules, random_state: np.random.Generator, method: Method = "resample") -> Repaired:
    """Make a genome legal, drawing only from `random_state`; a legal genome comes back unchanged and draws nothing.

    `resample` draws every illegal gene anew among its legal values; `reinitialise` draws the whole LIV anew (STAR section 4.2;
    the paper does not say which of the legal values, see docs/design.md).
    """
    livs = list(genome.livs)
    seen: list[Problem] = []
    while problems := rules.problems(Genome(tuple(livs))):
        seen += problems
        if all(problem.gene == CLASS and problem.legal == rules.mixers for problem in problems):
            problems = [problems[int(random_state.integers(len(problems)))]]
        for problem in problems[:1]:
            livs[problem.position] = _mend(livs[problem.position], problem, rules, random_state, method, len(seen))
    repaired = Genome(tuple(livs))
    changed = sum(a != b for a, b in zip(genome.integers(), repaired.integers(), strict=True))
    return Repaired(repaired, changed, tuple(seen))


def _mend(genes: LIVGenes, problem: Problem, rules: Rules, random_state: np.random.Generator, method: Method, tries: int) -> LIVGenes:
    # Drawing whole LIVs anew can clash for long in a crowded group; past a hundred problems only the clashing gene is drawn.
    if method == "reinitialise" and tries < 100:
        classes = problem.legal if problem.gene == CLASS else rules.classes
        return sample_liv(rules, random_state, classes)
    values = list(genes)
    values[problem.gene] = choose(problem.legal, random_state)
    return LIVGenes(*values)


def sample_liv(rules: Rules, random_state: np.random.Generator, classes: Sequence[int] = ()) -> LIVGenes:
    """Draw one LIV, every gene uniform among its legal values."""
    class_id = choose(classes or rules.classes, random_state)
    return LIVGenes(class_id, *(choose(rules.legal_values(class_id, gene), random_state) for gene in range(1, GENES_PER_LIV)))


def choose(values: Sequence[int], random_state: np.random.Generator) -> int:
    """Draw one of the values uniformly."""
    return values[int(random_state.integers(len(values)))]


def canonical(genome: Genome, catalogue: Catalogue) -> Genome:
    """Return the canonical form: what shares nothing is inactive, inactive genes are 1, groups count from 1 by first appearance."""
    featurizer: dict[int, tuple[int, int]] = {}
    features: dict[int, tuple[int, int]] = {}
    count: dict[tuple[Kind, int], int] = defaultdict(int)
    for group in sorted(resolve_sharing(genome, catalogue).groups, key=lambda group: group.members[0]):
        count[group.kind, group.liv_class] += 1
        genes = featurizer if group.kind == "featurizer" else features
        genes.update(dict.fromkeys(group.members, (count[group.kind, group.liv_class], group.strategy)))
    return Genome(
        tuple(
            LIVGenes(liv.liv_class, *featurizer.get(position, (1, 1)), *features.get(position, (1, 1)))
            for position, liv in enumerate(genome.livs)
        )
    )
