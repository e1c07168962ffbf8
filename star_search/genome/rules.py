"""What makes a genome legal, and one sentence for everything that does not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from star_search.errors import InputError
from star_search.genome.catalogue import Catalogue
from star_search.genome.encoding import GENE_NAMES, Genome, LIVGenes
from star_search.genome.sharing import Kind, membership

CLASS, FEATURIZER_GROUP, FEATURIZER_STRATEGY, FEATURE_GROUP, FEATURE_STRATEGY = range(5)
_GENES_OF: dict[Kind, tuple[int, int]] = {
    "featurizer": (FEATURIZER_GROUP, FEATURIZER_STRATEGY),
    "features": (FEATURE_GROUP, FEATURE_STRATEGY),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One gene that is illegal: LIV position from 0, gene index, the legal values and why."""

    position: int
    gene: int
    legal: tuple[int, ...]
    sentence: str


@dataclass(frozen=True)
class Rules:
    """The legal values of every gene: which classes, how many groups, whether LIVs may share, how many mixers at least."""

    catalogue: Catalogue
    classes: tuple[int, ...]
    groups: int
    minimum_mixers: int = 0
    sharing: bool = True

    @classmethod
    def of(cls, catalogue: Catalogue, depth: int) -> Rules:
        """Return the widest rules for a depth: every built class, as many groups as LIVs."""
        return cls(catalogue, tuple(catalogue.ids), depth)

    @property
    def mixers(self) -> tuple[int, ...]:
        """Allowed classes in which tokens see other tokens."""
        return tuple(class_id for class_id in self.classes if self.catalogue[class_id].is_mixer)

    def legal_values(self, class_id: int, gene: int) -> tuple[int, ...]:
        """Return the legal values of one gene of a LIV of this class, other LIVs aside."""
        if gene == CLASS:
            return self.classes
        if gene in (FEATURIZER_GROUP, FEATURE_GROUP):
            return tuple(range(1, self.groups + 1))
        if not self.sharing:
            return (1,)
        return (1, 2) if gene == FEATURIZER_STRATEGY else tuple(self.catalogue[class_id].feature_strategies)

    def problems(self, genome: Genome) -> list[Problem]:
        """Return every problem in depth order; empty for a legal genome."""
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
        return found + self._missing_mixers(genome, found)

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
                reason = "is not among the classes of this search space"
                return f"{start} ({self.catalogue[value].name}): {reason}"
            return f"{start} is not in catalogue {self.catalogue.name}, which has {self.catalogue.span()}"
        owner = f" for {self.catalogue[genes.liv_class].name}" if gene == FEATURE_STRATEGY else ""
        return f"{start} is not legal{owner}; legal: {_ranges(legal)}"

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

    def check(self, genome: Genome) -> None:
        """Refuse an illegal genome.

        Raises:
            InputError: naming the first illegal gene.
        """
        problems = self.problems(genome)
        if problems:
            raise InputError(f"genome {genome.format()} is illegal: {problems[0].sentence}")


def _ranges(values: tuple[int, ...]) -> str:
    if len(values) > 2 and values == tuple(range(values[0], values[-1] + 1)):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(map(str, values))


def positions_by_problem(problems: list[Problem]) -> dict[int, list[Problem]]:
    """Return the problems of each LIV position."""
    by_position: dict[int, list[Problem]] = defaultdict(list)
    for problem in problems:
        by_position[problem.position].append(problem)
    return by_position
