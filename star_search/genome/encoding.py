"""The backbone genome: five integers per LIV, and its text form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from star_search.errors import InputError
from star_search.genome.genes import DIGITS

if TYPE_CHECKING:
    import numpy as np

    from star_search.genome.catalogue import Catalogue
    from star_search.genome.sharing import Sharing

_DIGIT = re.compile(r"\((\d{1,9})\)|([0-9a-z])")


class LIVGenes(NamedTuple):
    """The five genes of one LIV (docs/design.md; STAR section 4.1)."""

    liv_class: int
    featurizer_group: int
    featurizer_strategy: int
    feature_group: int
    feature_strategy: int


GENE_NAMES = tuple(name.replace("_", " ").replace("liv ", "") for name in LIVGenes._fields)
GENES_PER_LIV = len(GENE_NAMES)


@dataclass(frozen=True, slots=True)
class Genome:
    """An architecture as LIVs in depth order. Holds any integers: legality is a question to a catalogue."""

    livs: tuple[LIVGenes, ...]

    @classmethod
    def parse(cls, text: str) -> Genome:
        """Read the text form, for example `21211-31112`.

        Raises:
            InputError: naming the LIV (from 1) and what stands there.
        """
        if not text.strip():
            raise InputError("the genome is empty; five base-36 digits per LIV are joined by '-', for example 11111-91111")
        return cls(tuple(_parse_liv(part, position) for position, part in enumerate(text.strip().lower().split("-"), 1)))

    @classmethod
    def from_integers(cls, values: Iterable[int]) -> Genome:
        """Build a genome from its genes in order, five per LIV."""
        flat = [int(value) for value in values]
        if not flat or len(flat) % GENES_PER_LIV:
            raise InputError(f"a genome needs {GENES_PER_LIV} integers per LIV, got {len(flat)}")
        return cls(tuple(LIVGenes(*flat[start : start + GENES_PER_LIV]) for start in range(0, len(flat), GENES_PER_LIV)))

    @property
    def depth(self) -> int:
        """Number of LIVs."""
        return len(self.livs)

    def integers(self) -> list[int]:
        """Return the genes in order, five per LIV."""
        return [gene for liv in self.livs for gene in liv]

    def format(self) -> str:
        """Return the text form that `parse` reads."""
        return "-".join("".join(format_digit(gene) for gene in liv) for liv in self.livs)

    def __str__(self) -> str:
        return self.format()

    def canonical(self, catalogue: Catalogue | str = "star") -> Genome:
        """Return the one genome that stands for every genome of this architecture (docs/design.md)."""
        from star_search.genome.repair import canonical

        return canonical(self, _catalogue(catalogue))

    def repair(self, catalogue: Catalogue | str = "star", random_state: np.random.Generator | int = 0) -> Genome:
        """Return a legal genome, re-sampling illegal genes; a legal genome comes back unchanged and draws nothing."""
        import numpy as np

        from star_search.genome.repair import repair
        from star_search.genome.rules import Rules

        return repair(self, Rules.of(_catalogue(catalogue), self.depth), np.random.default_rng(random_state)).genome

    def sharing(self, catalogue: Catalogue | str = "star") -> Sharing:
        """Return who shares what with whom; the genome must be legal."""
        from star_search.genome.sharing import resolve_sharing

        return resolve_sharing(self, _catalogue(catalogue))


def format_digit(value: int) -> str:
    """Return one base-36 digit, or the decimal in brackets for values above 35."""
    return DIGITS[value] if 0 <= value < len(DIGITS) else f"({value})"


def hamming(first: Sequence[int], second: Sequence[int]) -> int:
    """Return in how many genes two genomes of one length differ."""
    return sum(a != b for a, b in zip(first, second, strict=True))


def _parse_liv(part: str, position: int) -> LIVGenes:
    genes = [int(bracketed) if bracketed else DIGITS.index(digit) for bracketed, digit in _DIGIT.findall(part)]
    left_over = _DIGIT.sub("", part)
    if left_over:
        raise InputError(f"LIV {position} of the genome, '{part}', holds '{left_over[0]}', which is no base-36 digit")
    if len(genes) != GENES_PER_LIV:
        raise InputError(f"LIV {position} of the genome, '{part}', has {len(genes)} genes; five are needed: {', '.join(GENE_NAMES)}")
    return LIVGenes(*genes)


def _catalogue(catalogue: Catalogue | str) -> Catalogue:
    from star_search.genome.catalogue import as_catalogue

    return as_catalogue(catalogue)
