"""What makes a genome legal, and one sentence for everything that does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from star_search.errors import InputError
from star_search.genome.catalogue import Catalogue
from star_search.genome.composition import MIXED, ROUTED, SEQUENTIAL
from star_search.genome.encoding import GENE_NAMES, GENES_PER_LIV, Genome, LIVGenes
from star_search.genome.evolved import Factors, catalogue_for, evolved_id, inactive_legal, slot_genes
from star_search.genome.grid import ranges
from star_search.genome.layout import Layout
from star_search.genome.sharing import Kind, membership

CLASS, FEATURIZER_GROUP, FEATURIZER_STRATEGY, FEATURE_GROUP, FEATURE_STRATEGY = range(GENES_PER_LIV)
COMPOSITION = GENES_PER_LIV

_GENES_OF: dict[Kind, tuple[int, int]] = {
    "featurizer": (FEATURIZER_GROUP, FEATURIZER_STRATEGY),
    "features": (FEATURE_GROUP, FEATURE_STRATEGY),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One gene that is illegal: its unit (LIVs from 0 in depth order, then the genome's classes), gene index, legal values and why."""

    position: int
    gene: int
    legal: tuple[int, ...]
    sentence: str


@dataclass(frozen=True)
class Rules:
    """The legal values of every gene: which classes, how many groups, whether LIVs may share, how many mixers at least, which factors
    the classes of a genome's own may have (any, without `factors`)."""

    catalogue: Catalogue
    classes: tuple[int, ...]
    groups: int
    minimum_mixers: int = 0
    sharing: bool = True
    factors: Factors | None = None

    @classmethod
    def of(cls, catalogue: Catalogue, layout: Layout | int) -> Rules:
        """Return the widest rules for a layout or depth: every class, as many groups as LIVs."""
        return cls(catalogue, tuple(catalogue.ids), layout.depth if isinstance(layout, Layout) else layout)

    def for_genome(self, genome: Genome) -> Rules:
        """Return the rules with the classes that a genome brings; their genes must be legal."""
        if not genome.classes:
            return self
        own = tuple(map(evolved_id, range(len(genome.classes))))
        return replace(self, catalogue=catalogue_for(genome, self.catalogue), classes=(*self.classes, *own))

    @property
    def mixers(self) -> tuple[int, ...]:
        """Allowed classes in which tokens see other tokens."""
        return tuple(class_id for class_id in self.classes if self.catalogue[class_id].is_mixer)

    def legal_values(self, class_id: int, gene: int) -> tuple[int, ...]:
        """Return the legal values of one gene of a LIV of this class, other LIVs aside."""
        if gene == CLASS:
            return self.classes
        if gene == COMPOSITION:
            return (SEQUENTIAL, MIXED, ROUTED)
        if gene in (FEATURIZER_GROUP, FEATURE_GROUP):
            return tuple(range(1, self.groups + 1))
        if not self.sharing:
            return (1,)
        return (1, 2) if gene == FEATURIZER_STRATEGY else tuple(self.catalogue[class_id].feature_strategies)

    def gene_values(self, genome: Genome, unit: int, gene: int) -> tuple[int, ...]:
        """Return the legal values of one gene of a genome, given the other genes of its unit and the genome's classes.

        Empty for a gene of a class in which a gene read before it is illegal.
        """
        if unit >= genome.depth:
            return self.class_gene_values(genome, unit - genome.depth).get(gene, ())
        if gene == COMPOSITION:
            return self.composition_legal(unit)
        class_id = genome.livs[unit].liv_class
        if gene in (CLASS, FEATURE_STRATEGY):
            if not any(self._class_problems(genome)):
                return self.for_genome(genome).legal_values(class_id, gene)
            if class_id not in self.catalogue:
                return (1,)
        return self.legal_values(class_id, gene)

    def class_gene_values(self, genome: Genome, number: int) -> dict[int, tuple[int, ...]]:
        """Return the legal values of the genes of the genome's class `number`, up to its first illegal one, in the order they are read;
        then, for a legal class, those of the genes that it does not read."""
        genes = genome.classes[number]
        read = list(slot_genes(genes, self.catalogue, self.factors))
        legal = {gene.offset: gene.legal for gene in read}
        if all(gene.problem is None for gene in read):
            for offset in range(len(genes.integers())):
                if offset not in legal:
                    legal[offset] = inactive_legal(offset, self.factors)
        return legal

    def problems(self, genome: Genome) -> list[Problem]:
        """Return every problem, those of the genome's classes first and alone, then in depth order; empty for a legal genome."""
        return list(self._class_problems(genome)) or self.for_genome(genome)._liv_problems(genome)

    def _class_problems(self, genome: Genome) -> Iterator[Problem]:
        for number, genes in enumerate(genome.classes):
            for gene in slot_genes(genes, self.catalogue, self.factors):
                if gene.problem is not None:
                    sentence = f"class {evolved_id(number)}: {gene.problem.sentence}"
                    yield Problem(genome.depth + number, gene.offset, gene.legal, sentence)

    def _liv_problems(self, genome: Genome) -> list[Problem]:
        strategies: dict[tuple[Kind, int, int], tuple[int, int]] = {}
        found = []
        for position, genes in enumerate(genome.livs):
            own = list(self.gene_problems(position, genes))
            found += own or list(self._conflicts(position, genes, strategies))
            if not own:
                for kind in _GENES_OF:
                    group, strategy = membership(genes, kind)
                    if strategy >= 2:
                        strategies.setdefault((kind, genes.liv_class, group), (position, strategy))
        return found + self._missing_mixers(genome, found) + list(self._composition_problems(genome))

    def gene_problems(self, position: int, genes: LIVGenes) -> Iterator[Problem]:
        """Yield the genes of one LIV that are illegal by themselves; after an illegal class the rest has no meaning."""
        for gene, value in enumerate(genes):
            legal = self.legal_values(genes.liv_class, gene)
            if value not in legal:
                yield Problem(position, gene, legal, self._sentence(position, gene, value, genes, legal))
                if gene == CLASS:
                    return

    def _sentence(self, position: int, gene: int, value: int, genes: LIVGenes, legal: tuple[int, ...]) -> str:
        start = f"LIV {position + 1}: {GENE_NAMES[gene]} {value}"
        if gene == CLASS:
            if value in self.catalogue:
                return f"{start} ({self.catalogue[value].name}): is not among the classes of this search space"
            return f"{start} is not in catalogue {self.catalogue.name}, which has {self.catalogue.span()}"
        owner = f" for {self.catalogue[genes.liv_class].name}" if gene == FEATURE_STRATEGY else ""
        return f"{start} is not legal{owner}; legal: {ranges(legal)}"

    def _conflicts(self, position: int, genes: LIVGenes, earlier: dict[tuple[Kind, int, int], tuple[int, int]]) -> Iterator[Problem]:
        for kind, (_, strategy_gene) in _GENES_OF.items():
            group, strategy = membership(genes, kind)
            first, expected = earlier.get((kind, genes.liv_class, group), (position, strategy))
            if strategy >= 2 and strategy != expected:
                name = self.catalogue[genes.liv_class].name
                yield Problem(
                    position,
                    strategy_gene,
                    (1, expected),
                    f"LIV {position + 1}: {GENE_NAMES[strategy_gene]} {strategy} differs from {expected}, the strategy of LIV {first + 1} "
                    f"in the same group {group} of {name}",
                )

    def _missing_mixers(self, genome: Genome, found: list[Problem]) -> list[Problem]:
        illegal = {problem.position for problem in found if problem.gene == CLASS}
        memoryless = [
            position
            for position, genes in enumerate(genome.livs)
            if position not in illegal and not self.catalogue[genes.liv_class].is_mixer
        ]
        count = genome.depth - len(memoryless) - len(illegal)
        if count >= self.minimum_mixers or not memoryless:
            return []
        sentence = f"the genome has {count} LIVs that mix tokens; at least {self.minimum_mixers} are needed"
        return [Problem(position, CLASS, self.mixers, sentence) for position in memoryless]

    def composition_legal(self, position: int) -> tuple[int, ...]:
        """Return the legal composition digits of a LIV: the first has none before it to be parallel with."""
        return (SEQUENTIAL,) if position == 0 else self.legal_values(0, COMPOSITION)

    def _composition_problems(self, genome: Genome) -> Iterator[Problem]:
        for position, digit in enumerate(genome.composition):
            legal = self.composition_legal(position)
            if digit not in legal:
                yield Problem(position, COMPOSITION, legal, f"LIV {position + 1}: composition {digit} is not legal; legal: {ranges(legal)}")

    def check(self, genome: Genome) -> None:
        """Refuse an illegal genome.

        Raises:
            InputError: naming the first illegal gene.
        """
        problems = self.problems(genome)
        if problems:
            raise InputError(f"genome {genome.format()} is illegal: {problems[0].sentence}")
