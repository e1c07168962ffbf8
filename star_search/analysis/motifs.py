"""What a genome is made of, counted: classes, pairs of neighbours, what is shared, and over which distance."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from star_search.analysis.run_view import RunView
from star_search.genome.catalogue import Catalogue
from star_search.genome.encoding import Genome
from star_search.genome.evolved import catalogue_for
from star_search.genome.sharing import Kind, resolve_sharing
from star_search.runs.records import CandidateRecord, GenerationRecord

MotifKind = Literal["class", "pair", "sharing", "distance"]
SHARED = {"featurizer": "weights", "features": "features"}
# The first distance of every range.
DISTANCES = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Link:
    """Two LIVs (positions from 0) that share, neighbours among the members of their group."""

    kind: Kind
    first: int
    second: int
    groups: tuple[str, ...]

    @property
    def distance(self) -> int:
        """LIVs from one to the other; 1 for neighbours."""
        return self.second - self.first


@dataclass(frozen=True, slots=True, order=True)
class Motif:
    """Something that can be counted in a genome."""

    kind: MotifKind
    name: str


def links(genome: Genome, catalogue: Catalogue) -> list[Link]:
    """Return the links of a legal genome: a group of n members has n - 1, each from a member to the next."""
    groups = resolve_sharing(genome, catalogue).groups
    return [Link(group.kind, *pair, group.groups) for group in groups for pair in pairwise(group.members)]


def class_names(genome: Genome, catalogue: Catalogue) -> list[str]:
    """Return the class of every LIV; one that the genome brings by its family, since its number means another class in every genome."""
    classes = (catalogue_for(genome, catalogue)[liv.liv_class] for liv in genome.livs)
    return [each.name if each.id in catalogue else f"own {each.family}" for each in classes]


def motif_counts(genome: Genome, catalogue: Catalogue) -> Counter[Motif]:
    """Return how often every motif stands in a legal genome."""
    names, found = class_names(genome, catalogue), links(genome, catalogue)
    counts = Counter(Motif("class", name) for name in names)
    counts.update(Motif("pair", f"{first} then {second}") for first, second in pairwise(names))
    counts.update(Motif("sharing", f"{SHARED[link.kind]} {', '.join(link.groups)} of {names[link.first]}") for link in found)
    counts.update(Motif("distance", f"{SHARED[link.kind]} {distance_range(link.distance)}") for link in found)
    return counts


def distance_range(distance: int) -> str:
    """Return the range of a distance in words: `1 apart`, `2 to 3 apart`, `4 to 7 apart`, `8 or more apart`."""
    place = max(index for index, first in enumerate(DISTANCES) if first <= distance)
    first = DISTANCES[place]
    if place == len(DISTANCES) - 1:
        return f"{first} or more apart"
    last = DISTANCES[place + 1] - 1
    return f"{first} apart" if first == last else f"{first} to {last} apart"


def genomes_of(view: RunView, records: list[CandidateRecord]) -> list[Genome]:
    """Return the canonical genomes of those that are legal."""
    return [Genome.parse(record.canonical) for record in records if view.account(record) is not None]


def population_of(view: RunView, generation: GenerationRecord) -> list[Genome]:
    """Return the genomes of a generation's population."""
    return genomes_of(view, [view.by_id[number] for number in generation.population if number in view.by_id])
