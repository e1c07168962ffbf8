"""Where the genes of a genome stand in its integer form: units (LIVs, then classes of its own), segments and flat indices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Segment = Literal["backbone", "composition", "operator", "featurizer"]
SEGMENTS = get_args(Segment)

LIV_GENES = 5
CLASS_GENES = 6  # five operator genes, and whether it is differential
ROLES, GROUP_GENES = 5, 5


@dataclass(frozen=True, slots=True)
class Layout:
    """The shape of a genome: LIVs, whether they have composition digits, classes of its own, and whether these bring featurizer genes."""

    depth: int
    composition: bool = False
    evolved: int = 0
    featurizers: bool = False

    @property
    def genes_per_liv(self) -> int:
        """Five, or six with the composition digit last."""
        return LIV_GENES + self.composition

    @property
    def genes_per_class(self) -> int:
        """Genes of a class of the genome's own: those of the operator, and five for each feature group's role."""
        return CLASS_GENES + (ROLES * GROUP_GENES if self.featurizers else 0)

    @property
    def units(self) -> int:
        """Number of LIVs and classes."""
        return self.depth + self.evolved

    @property
    def size(self) -> int:
        """Number of genes."""
        return self.depth * self.genes_per_liv + self.evolved * self.genes_per_class

    @property
    def unit_starts(self) -> list[int]:
        """Return the flat index at which every unit begins."""
        return [self.unit_slice(unit).start for unit in range(self.units)]

    def unit_slice(self, unit: int) -> slice:
        """Return the flat indices of a unit's genes."""
        if unit < self.depth:
            return slice(unit * self.genes_per_liv, (unit + 1) * self.genes_per_liv)
        start = self.depth * self.genes_per_liv + (unit - self.depth) * self.genes_per_class
        return slice(start, start + self.genes_per_class)

    def locate(self, index: int) -> tuple[int, int]:
        """Return (unit, gene within it) of a flat index."""
        backbone = self.depth * self.genes_per_liv
        if index < backbone:
            return divmod(index, self.genes_per_liv)
        unit, gene = divmod(index - backbone, self.genes_per_class)
        return self.depth + unit, gene

    def segment_of(self, index: int) -> Segment:
        """Return which part of the genome a flat index belongs to."""
        unit, gene = self.locate(index)
        if unit < self.depth:
            return "backbone" if gene < LIV_GENES else "composition"
        return "operator" if gene < CLASS_GENES else "featurizer"
