"""The genome: five integers per LIV, composition digits and classes of its own where it has them, and its text form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from star_search.errors import InputError, check_whole
from star_search.genome.genes import DIGITS, GroupGenome, OperatorGenome
from star_search.genome.layout import CLASS_GENES, Layout

if TYPE_CHECKING:
    import numpy as np

    from star_search.genome.catalogue import Catalogue
    from star_search.genome.sharing import Sharing

_DIGIT = re.compile(r"\(([0-9]{1,9})\)|([0-9a-z])")


class LIVGenes(NamedTuple):
    """The five genes of one LIV (docs/design.md; STAR section 4.1)."""

    liv_class: int
    featurizer_group: int
    featurizer_strategy: int
    feature_group: int
    feature_strategy: int


GENE_NAMES = tuple(name.replace("_", " ").replace("liv ", "") for name in LIVGenes._fields)
GENES_PER_LIV = len(GENE_NAMES)


class ClassGenes(NamedTuple):
    """A LIV class that a genome brings with it: operator genes, and the genes of its feature groups by role.

    Featurizer digit 0 means that `groups` says how features are made; another digit is that of a class of the catalogue, whose
    featurizer genome is used, and `groups` is empty.
    """

    operator: OperatorGenome
    differential: int
    groups: tuple[GroupGenome, ...] = ()

    def integers(self) -> list[int]:
        """Return its genes in order."""
        return [*self.operator, self.differential, *(gene for group in self.groups for gene in group)]

    @classmethod
    def from_integers(cls, values: Sequence[int]) -> ClassGenes:
        """Build it from its genes in order, `CLASS_GENES` of them or five more for each role."""
        per_group = len(GroupGenome._fields)
        groups = (GroupGenome(*values[start : start + per_group]) for start in range(CLASS_GENES, len(values), per_group))
        return cls(OperatorGenome(*values[: CLASS_GENES - 1]), values[CLASS_GENES - 1], tuple(groups))


@dataclass(frozen=True, slots=True)
class Genome:
    """An architecture as LIVs in depth order. Holds any integers: legality is a question to a catalogue.

    `composition` has one digit per LIV, or is empty: LIVs in sequence. `classes` are LIV classes of the genome's own, 101, 102, ...
    """

    livs: tuple[LIVGenes, ...]
    composition: tuple[int, ...] = ()
    classes: tuple[ClassGenes, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Genome:
        """Read the text form, for example `21211-31112`, `11111-71111|12` or `(101)1111+021230:12113:12113:12113:11111:11111`.

        Raises:
            InputError: naming the LIV, composition or class (from 1) and what stands there.
        """
        if not text.strip():
            raise InputError("the genome is empty; five base-36 digits per LIV are joined by '-', for example 11111-91111")
        backbone, *classes = text.strip().lower().split("+")
        livs_text, bar, composition_text = backbone.partition("|")
        livs = tuple(_parse_liv(part, position) for position, part in enumerate(livs_text.split("-"), 1))
        composition = tuple(_digits(composition_text, f"the composition '{composition_text}'")) if bar else ()
        if bar and len(composition) != len(livs):
            raise InputError(f"the composition '{composition_text}' has {len(composition)} digits for {len(livs)} LIVs")
        genome = cls(livs, composition, tuple(_parse_class(part, number) for number, part in enumerate(classes, 1)))
        if len({len(each.groups) for each in genome.classes}) > 1:
            raise InputError("the genome's classes must all bring their featurizer genes, or none of them")
        return genome

    @classmethod
    def from_integers(cls, values: Iterable[int], layout: Layout | None = None) -> Genome:
        """Build a genome from its genes in order; without a layout, five per LIV.

        Raises:
            InputError: for a gene that is no whole number of at least 0, or a number of genes that the layout does not have.
        """
        flat = list(values)
        for place, value in enumerate(flat):
            if type(value) is not int or value < 0:
                flat[place] = check_whole(value, f"gene {place + 1} of the genome", 0)
        if layout is None:
            if not flat or len(flat) % GENES_PER_LIV:
                raise InputError(f"a genome needs {GENES_PER_LIV} integers per LIV, got {len(flat)}")
            layout = Layout(len(flat) // GENES_PER_LIV)
        if len(flat) != layout.size:
            raise InputError(f"a genome of {layout.depth} LIVs needs {layout.size} integers, got {len(flat)}")
        units = [flat[layout.unit_slice(unit)] for unit in range(layout.units)]
        livs, classes = units[: layout.depth], units[layout.depth :]
        composition = tuple(genes[GENES_PER_LIV] for genes in livs) if layout.composition else ()
        return cls(tuple(LIVGenes(*genes[:GENES_PER_LIV]) for genes in livs), composition, tuple(map(ClassGenes.from_integers, classes)))

    @property
    def depth(self) -> int:
        """Number of LIVs."""
        return len(self.livs)

    @property
    def layout(self) -> Layout:
        """Where its genes stand in the integer form."""
        return Layout(self.depth, bool(self.composition), len(self.classes), bool(self.classes and self.classes[0].groups))

    def integers(self) -> list[int]:
        """Return the genes in order: those of each LIV with its composition digit last, then those of each class."""
        digits: list[tuple[int, ...]] = [(digit,) for digit in self.composition] or [()] * self.depth
        genes = [gene for liv, digit in zip(self.livs, digits, strict=True) for gene in (*liv, *digit)]
        return genes + [gene for each in self.classes for gene in each.integers()]

    def format(self) -> str:
        """Return the text form that `parse` reads."""
        backbone = "-".join(map(format_digits, self.livs))
        composition = f"|{format_digits(self.composition)}" if self.composition else ""
        return backbone + composition + "".join(f"+{_format_class(each)}" for each in self.classes)

    def __str__(self) -> str:
        return self.format()

    def canonical(self, catalogue: Catalogue | str = "star") -> Genome:
        """Return the one genome that stands for every genome of this architecture (docs/design.md)."""
        from star_search.genome.canonical import canonical

        return canonical(self, _catalogue(catalogue))

    def repair(self, catalogue: Catalogue | str = "star", random_state: np.random.Generator | int = 0) -> Genome:
        """Return a legal genome, re-sampling illegal genes; a legal genome comes back unchanged and draws nothing."""
        import numpy as np

        from star_search.genome.repair import repair
        from star_search.genome.rules import Rules

        return repair(self, Rules.of(_catalogue(catalogue), self.layout), np.random.default_rng(random_state)).genome

    def sharing(self, catalogue: Catalogue | str = "star") -> Sharing:
        """Return who shares what with whom; the genome must be legal."""
        from star_search.genome.sharing import resolve_sharing

        return resolve_sharing(self, _catalogue(catalogue))


def format_digit(value: int) -> str:
    """Return one base-36 digit, or the decimal in brackets for values above 35."""
    return DIGITS[value] if 0 <= value < len(DIGITS) else f"({value})"


def format_digits(values: Iterable[int]) -> str:
    """Return genes as one text."""
    return "".join(map(format_digit, values))


def _format_class(genes: ClassGenes) -> str:
    return ":".join(format_digits(part) for part in ((*genes.operator, genes.differential), *genes.groups))


def _digits(part: str, where: str) -> list[int]:
    left_over = _DIGIT.sub("", part)
    if left_over:
        raise InputError(f"{where} holds '{left_over[0]}', which is no base-36 digit")
    return [int(bracketed) if bracketed else DIGITS.index(digit) for bracketed, digit in _DIGIT.findall(part)]


def _parse_liv(part: str, position: int) -> LIVGenes:
    genes = _digits(part, f"LIV {position} of the genome, '{part}',")
    if len(genes) != GENES_PER_LIV:
        raise InputError(f"LIV {position} of the genome, '{part}', has {len(genes)} genes; five are needed: {', '.join(GENE_NAMES)}")
    return LIVGenes(*genes)


def _parse_class(part: str, number: int) -> ClassGenes:
    where = f"class {number} of the genome, '{part}',"
    operator, *groups = (_digits(piece, where) for piece in part.split(":"))
    sizes = [len(piece) for piece in (operator, *groups)]
    layout = Layout(1, evolved=1, featurizers=operator[:1] == [0])
    if sizes[0] != CLASS_GENES or sum(sizes) != layout.genes_per_class or any(size != len(GroupGenome._fields) for size in sizes[1:]):
        raise InputError(
            f"{where} must be five operator genes and 0 or 1 for differential, and where the first is 0, five times ':' and the five "
            "genes of a feature group"
        )
    return ClassGenes.from_integers([gene for piece in (operator, *groups) for gene in piece])


def _catalogue(catalogue: Catalogue | str) -> Catalogue:
    from star_search.genome.catalogue import as_catalogue

    return as_catalogue(catalogue)
