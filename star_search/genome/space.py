"""The search space: which genomes may be drawn, how they are drawn and repaired, and their integer arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from star_search.config import SpaceConfig
from star_search.errors import InputError
from star_search.genome.accounting import Dimensions
from star_search.genome.catalogue import load_catalogue
from star_search.genome.encoding import GENES_PER_LIV, Genome
from star_search.genome.repair import Method, Repaired, repair, sample_liv
from star_search.genome.rules import Rules

IntegerArray = NDArray[np.int64]


@dataclass(frozen=True)
class SearchSpace:
    """Genomes of one depth over the allowed classes of a catalogue."""

    depth: int
    width: int
    rules: Rules

    @classmethod
    def from_config(cls, config: SpaceConfig) -> SearchSpace:
        """Build the space.

        Raises:
            InputError: for an unknown catalogue or class, a class that cannot be built, or too few mixers among the classes.
        """
        catalogue = load_catalogue(config.catalogue)
        classes = [catalogue.find(key) for key in config.classes] if config.classes is not None else [catalogue[i] for i in catalogue.built]
        if not classes:
            raise InputError("space.classes must name at least one class")
        for liv_class in classes:
            if liv_class.not_built:
                raise InputError(f"space.classes: class {liv_class.id} ({liv_class.name}) cannot be built: {liv_class.not_built}")
        groups = config.groups or max(2, config.depth // 8)
        ids = tuple(dict.fromkeys(liv_class.id for liv_class in classes))
        rules = Rules(catalogue, ids, min(groups, config.depth), config.minimum_mixers, config.sharing)
        if config.minimum_mixers and not rules.mixers:
            raise InputError(f"space.classes holds no class that mixes tokens, and space.minimum_mixers is {config.minimum_mixers}")
        if config.minimum_mixers > config.depth:
            raise InputError(f"space.minimum_mixers must be at most space.depth ({config.depth}), got {config.minimum_mixers}")
        return cls(config.depth, config.width, rules)

    @property
    def size(self) -> int:
        """Number of genes."""
        return self.depth * GENES_PER_LIV

    def check_width(self) -> None:
        """Refuse a width that one of the classes does not fit.

        Raises:
            InputError: naming the width, the class and what is needed.
        """
        for class_id in self.rules.classes:
            Dimensions(self.rules.catalogue[class_id], self.width)

    def bounds(self) -> tuple[IntegerArray, IntegerArray]:
        """Return the lowest and highest legal value of every gene."""
        strategies = [max(self.rules.legal_values(class_id, 4)) for class_id in self.rules.classes]
        upper = [max(self.rules.classes), self.rules.groups, 2 if self.rules.sharing else 1, self.rules.groups, max(strategies)]
        lower = [min(self.rules.classes), 1, 1, 1, 1]
        return np.tile(np.array(lower), self.depth), np.tile(np.array(upper), self.depth)

    def sample(self, random_state: np.random.Generator) -> Repaired:
        """Draw LIVs with uniform genes and repair what clashes."""
        genome = Genome(tuple(sample_liv(self.rules, random_state) for _ in range(self.depth)))
        return repair(genome, self.rules, random_state)

    def repair(self, genome: Genome, random_state: np.random.Generator, method: Method = "resample") -> Repaired:
        """Make a genome legal in this space."""
        return repair(genome, self.rules, random_state, method)

    def read(self, values: Iterable[int]) -> Genome:
        """Return the genome that an array of integers stands for."""
        return Genome.from_integers(values)

    def legal_values(self, values: Sequence[int] | IntegerArray, index: int) -> tuple[int, ...]:
        """Return the legal values of one gene of an integer array, given the class of its LIV."""
        return tuple(self.rules.legal_values(int(values[index - index % GENES_PER_LIV]), index % GENES_PER_LIV))

    def segment_of(self, index: int) -> Literal["backbone", "composition", "operator", "featurizer"]:
        """Return which part of the genome a gene belongs to."""
        return "backbone"

    @property
    def unit_starts(self) -> list[int]:
        """Return where in the integer array each LIV begins."""
        return list(range(0, self.size, GENES_PER_LIV))
