"""The search space: which genomes may be drawn, how they are drawn and repaired, and their integer arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from star_search.config import SpaceConfig
from star_search.errors import InputError
from star_search.genome.accounting import Accounting, head_count
from star_search.genome.catalogue import load_catalogue
from star_search.genome.composition import ROUTED, SEQUENTIAL
from star_search.genome.encoding import ClassGenes, Genome, LIVGenes
from star_search.genome.evolved import Factors, classes_with_featurizers_of, evolved_id, largest_classes
from star_search.genome.genes import DIGITS, MAXIMUM_FACTOR
from star_search.genome.layout import Layout, Segment
from star_search.genome.repair import Method, Repaired, repair, sample_class, sample_liv
from star_search.genome.rules import FEATURE_STRATEGY, Rules

IntegerArray = NDArray[np.int64]
MOST_STRATEGIES = 5  # of any class: nothing, all, A, B or v


@dataclass(frozen=True)
class SearchSpace:
    """Genomes of one layout over the allowed classes of a catalogue and, where the levels say so, classes that evolve."""

    layout: Layout
    width: int
    rules: Rules

    @classmethod
    def from_config(cls, config: SpaceConfig) -> SearchSpace:
        """Build the space.

        Raises:
            InputError: for an unknown catalogue or class, or too few mixers among the classes.
        """
        catalogue = load_catalogue(config.catalogue)
        classes = [catalogue.find(key) for key in config.classes] if config.classes is not None else list(catalogue.classes.values())
        if not classes and not config.evolved_classes:
            raise InputError("space.classes must name at least one class")
        groups = config.groups or max(2, config.depth // 8)
        ids = tuple(dict.fromkeys(liv_class.id for liv_class in classes))
        rules = Rules(catalogue, ids, min(groups, config.depth), config.minimum_mixers, config.sharing, _factors(config))
        if config.minimum_mixers and not rules.mixers:
            raise InputError(f"space.classes holds no class that mixes tokens, and space.minimum_mixers is {config.minimum_mixers}")
        if config.minimum_mixers > config.depth:
            raise InputError(f"space.minimum_mixers must be at most space.depth ({config.depth}), got {config.minimum_mixers}")
        layout = Layout(config.depth, config.composition, config.evolved_classes, "featurizer" in config.levels)
        return cls(layout, config.width, rules)

    @property
    def depth(self) -> int:
        """Number of LIVs."""
        return self.layout.depth

    @property
    def size(self) -> int:
        """Number of genes."""
        return self.layout.size

    def check_width(self) -> None:
        """Refuse a width that one of the classes does not fit.

        Raises:
            InputError: naming the width, the class and what is needed.
        """
        for genome in self.largest_genomes():
            Accounting.of(genome, self.width, self.rules.catalogue).liv_parameters()

    def bounds(self) -> tuple[IntegerArray, IntegerArray]:
        """Return a lower and an upper bound of every gene; which values between them are legal is a question of its own."""
        upper = {
            "backbone": self._highest_backbone_genes(),
            "composition": [ROUTED],
            "operator": [max(len(DIGITS) - 1, *self.rules.catalogue.ids)],
            "featurizer": [MAXIMUM_FACTOR],
        }
        segments = [(self.layout.segment_of(index), self.layout.locate(index)[1]) for index in range(self.size)]
        lower = [0 if segment == "operator" else 1 for segment, _ in segments]
        return np.array(lower), np.array([upper[segment][gene % len(upper[segment])] for segment, gene in segments])

    def _highest_backbone_genes(self) -> list[int]:
        evolved = self.layout.evolved
        ids = [*self.rules.classes, *([evolved_id(evolved - 1)] if evolved else [])]
        strategies = [max(self.rules.legal_values(class_id, FEATURE_STRATEGY)) for class_id in self.rules.classes]
        most = max([*strategies, *([MOST_STRATEGIES] if evolved and self.rules.sharing else [])])
        return [max(ids), self.rules.groups, 2 if self.rules.sharing else 1, self.rules.groups, most]

    def largest_genomes(self) -> list[Genome]:
        """Return genomes of one class at every depth, in one routed block where there is composition: none of the space is larger."""
        composition = (SEQUENTIAL, *[ROUTED] * (self.depth - 1)) if self.layout.composition else ()
        own: list[ClassGenes] = []
        if self.layout.evolved:
            drawn = self.layout.featurizers
            own = largest_classes(self.rules.factors or Factors()) if drawn else classes_with_featurizers_of(self.rules.catalogue)
        alone = [Genome((LIVGenes(class_id, 1, 1, 1, 1),) * self.depth, composition) for class_id in self.rules.classes]
        return alone + [Genome((LIVGenes(evolved_id(0), 1, 1, 1, 1),) * self.depth, composition, (genes,)) for genes in own]

    def sample(self, random_state: np.random.Generator) -> Repaired:
        """Draw units with uniform genes and repair what clashes."""
        classes = tuple(sample_class(self.layout, self.rules, random_state) for _ in range(self.layout.evolved))
        rules = self.rules.for_genome(Genome((), (), classes))
        livs = [gene for position in range(self.depth) for gene in sample_liv(rules, random_state, position, self.layout)]
        return self.repair(self.read([*livs, *(gene for each in classes for gene in each.integers())]), random_state)

    def read(self, values: Sequence[int] | IntegerArray) -> Genome:
        """Return the genome that an integer array of this space's layout holds."""
        return Genome.from_integers(values.tolist() if isinstance(values, np.ndarray) else values, self.layout)

    def repair(self, genome: Genome, random_state: np.random.Generator, method: Method = "resample") -> Repaired:
        """Make a genome legal in this space."""
        return repair(genome, self.rules, random_state, method)

    def legal_values(self, values: Sequence[int] | IntegerArray, index: int) -> tuple[int, ...]:
        """Return the legal values of the gene at a flat index, given the other genes of its unit and the genome's classes.

        Empty for a gene of a class in which a gene read before it is illegal: it has no meaning until that is repaired.
        """
        return self.rules.gene_values(self.read(values), *self.layout.locate(index))

    def segment_of(self, index: int) -> Segment:
        """Return which part of the genome a flat index belongs to."""
        return self.layout.segment_of(index)

    @property
    def unit_starts(self) -> list[int]:
        """Return the flat indices at which LIVs and classes begin."""
        return self.layout.unit_starts


def _factors(config: SpaceConfig) -> Factors:
    """Return the factors that classes of a genome's own may have: only repeats that divide the heads of this width."""
    heads = head_count(config.width)
    return Factors(tuple(config.expansions), tuple(repeat for repeat in config.repeats if heads % repeat == 0) or (1,))
