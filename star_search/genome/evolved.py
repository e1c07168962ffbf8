"""LIV classes that a genome brings with it: what their genes mean, which are legal, and the catalogue that includes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from star_search.genome.catalogue import Catalogue
from star_search.genome.catalogue_rows import HIGHEST_ID, READOUT_ORDER
from star_search.genome.encoding import ClassGenes, Genome
from star_search.genome.genes import (
    CHANNEL_MIXING,
    DENSE,
    DIAGONAL,
    GROUPED,
    INPUT_DEPENDENT,
    LINEAR,
    LOW_RANK,
    NONLINEARITY,
    PARAMETRISATION,
    PER_CHANNEL,
    REPARAMETRISED,
    SEMI_SEPARABLE,
    SILU,
    SOFTMAX,
    TOEPLITZ,
    TOKEN_MIXING,
    GroupGenome,
    OperatorGenome,
)
from star_search.genome.grid import (
    GROUPS_OF,
    GeneProblem,
    Groups,
    class_problems,
    context_names,
    default_fields,
    group_legal,
    operator_legal,
)
from star_search.genome.layout import CLASS_GENES, GROUP_GENES, ROLES
from star_search.genome.liv_class import LIVClass, family_of

FIRST_EVOLVED_ID = HIGHEST_ID + 2
OWN_FEATURIZER = 0
# Groups that do the same in their operators have one place, so that a change of token mixing keeps their genes.
ROLE_OF = {"v": 0, "B": 1, "k": 1, "C": 2, "q": 2, "A": 3, "kernel": 3, "gate": 4}
_GENES = {name.replace("_", " "): index for index, name in enumerate(GroupGenome._fields)}


@dataclass(frozen=True, slots=True)
class Factors:
    """Expansion and repeat factors among which a search draws."""

    expansions: tuple[int, ...] = (1, 2, 4, 8, 16)
    repeats: tuple[int, ...] = (1, 2, 4)
    key_expansions: tuple[int, ...] = (1, 2)

    def among(self, name: str, gene: str, legal: tuple[int, ...]) -> tuple[int, ...]:
        """Return the legal values that the search draws; all of them where none is a factor of its."""
        if gene not in ("expansion", "repeat"):
            return legal
        allowed = self.repeats if gene == "repeat" else self.key_expansions if name == "k" else self.expansions
        return tuple(value for value in legal if value in allowed) or legal


@dataclass(frozen=True, slots=True)
class SlotGene:
    """One gene of a class: its place, its legal values given the genes read before it, and what is wrong, if anything."""

    offset: int
    legal: tuple[int, ...]
    problem: GeneProblem | None


def evolved_id(number: int) -> int:
    """Return the id of the genome's class `number`, from 0."""
    return FIRST_EVOLVED_ID + number


def featurizer_genomes(catalogue: Catalogue) -> dict[int, Groups]:
    """Return the feature groups that each featurizer digit of a catalogue stands for."""
    found: dict[int, Groups] = {}
    for liv_class in catalogue.classes.values():
        found.setdefault(liv_class.operator.featurizer, liv_class.groups)
    return found


def groups_of(genes: ClassGenes, catalogue: Catalogue) -> Groups:
    """Return the feature groups that a class reads, by name."""
    if not genes.groups:
        return featurizer_genomes(catalogue).get(genes.operator.featurizer, {})
    return {name: genes.groups[ROLE_OF[name]] for name in GROUPS_OF.get(genes.operator.token_mixing, ())}


def class_of(genes: ClassGenes, number: int, catalogue: Catalogue) -> LIVClass:
    """Return the class that legal genes describe, under the id and name that it has in its genome."""
    groups = groups_of(genes, catalogue)
    context = () if genes.operator.token_mixing == DIAGONAL else context_names(groups)
    readout = [name for name in READOUT_ORDER if name in groups and name not in context]
    return LIVClass(
        id=evolved_id(number),
        name=f"Evolved-{number + 1}",
        family=family_of(genes.operator, groups),
        operator=genes.operator,
        context={name: groups[name] for name in context},
        readout={name: groups[name] for name in readout},
        differential=bool(genes.differential),
        fields=default_fields(genes.operator, groups),
    )


def catalogue_for(genome: Genome, catalogue: Catalogue) -> Catalogue:
    """Return the catalogue with the classes that a genome with legal class genes brings."""
    return catalogue.with_classes({evolved_id(i): class_of(genes, i, catalogue) for i, genes in enumerate(genome.classes)})


def genes_of(liv_class: LIVClass) -> ClassGenes:
    """Return the genes of a class that bring its featurizer genome, inactive ones 1."""
    roles = [GroupGenome(1, 1, 1, 1, 1)] * ROLES
    for name, group in liv_class.groups.items():
        roles[ROLE_OF[name]] = group
    return ClassGenes(liv_class.operator._replace(featurizer=OWN_FEATURIZER), int(liv_class.differential), tuple(roles))


def slot_genes(genes: ClassGenes, catalogue: Catalogue, factors: Factors | None) -> Iterator[SlotGene]:
    """Yield the active genes in the order in which they are read, up to the first that is illegal.

    Legal values depend on the genes before; with `factors`, expansion and repeat factors are those that a search draws.
    """
    for found in _all_genes(genes, catalogue, factors):
        yield found
        if found.problem is not None:
            return


def _all_genes(genes: ClassGenes, catalogue: Catalogue, factors: Factors | None) -> Iterator[SlotGene]:
    operator = genes.operator
    known = (OWN_FEATURIZER,) if genes.groups else tuple(featurizer_genomes(catalogue))
    yield _gene(0, "featurizer", operator.featurizer, known, {}, "is none of this catalogue's featurizers")
    groups = groups_of(genes, catalogue)
    mixing = f"does not go with token mixing {operator.token_mixing}"
    for offset, (gene, value, legal, meanings) in enumerate(operator_legal(operator, bool(genes.differential)), 1):
        fitting = legal if genes.groups else _fitting(gene, legal, operator, groups)
        yield _gene(offset, gene, value, fitting, meanings, mixing if gene != "token mixing" else "does not go with the featurizer")
    for name in GROUPS_OF[operator.token_mixing] if genes.groups else ():
        start = CLASS_GENES + GROUP_GENES * ROLE_OF[name]
        for gene, value, legal, meanings in group_legal(operator, bool(genes.differential), groups, name):
            drawn = legal if factors is None else factors.among(name, gene, legal)
            yield _gene(start + _GENES[gene], f"{name} {gene}", value, drawn, meanings, "does not fit this operator")


def _gene(offset: int, gene: str, value: int, legal: tuple[int, ...], meanings: Mapping[int, str], reason: str) -> SlotGene:
    problem = None if value in legal else GeneProblem(gene, value, legal, meanings.get(value, ""), reason)
    return SlotGene(offset, legal, problem)


def _fitting(gene: str, legal: tuple[int, ...], operator: OperatorGenome, groups: Groups) -> tuple[int, ...]:
    """Keep the operator genes with which a featurizer of the catalogue works."""
    if gene == "token mixing":
        return tuple(value for value in legal if set(GROUPS_OF[value]) == set(groups))
    if gene == "channel mixing":
        return tuple(value for value in legal if not _unfit(operator._replace(channel_mixing=value), False, groups))
    if gene == "differential":
        return tuple(value for value in legal if not _unfit(operator, bool(value), groups))
    return legal


def _unfit(operator: OperatorGenome, differential: bool, groups: Groups) -> bool:
    plain = operator._replace(sparsity=1, nonlinearity=1)
    return bool(class_problems(plain, differential, groups))


def classes_with_featurizers_of(catalogue: Catalogue) -> list[ClassGenes]:
    """Return every class without sparsity that uses a featurizer genome of the catalogue: those with sparsity are no larger."""
    operators = [
        ClassGenes(OperatorGenome(featurizer, mixing, 1, nonlinearity, channels), differential)
        for featurizer, mixing, nonlinearity, channels, differential in product(
            featurizer_genomes(catalogue), TOKEN_MIXING, NONLINEARITY, CHANNEL_MIXING, (0, 1)
        )
    ]
    return [genes for genes in operators if all(gene.problem is None for gene in slot_genes(genes, catalogue, None))]


def class_gene_name(offset: int) -> str:
    """Return the name of a gene of a class by its place; a feature group is named by every group that may stand there."""
    if offset < CLASS_GENES:
        return (*OperatorGenome._fields, "differential")[offset].replace("_", " ")
    role, gene = divmod(offset - CLASS_GENES, GROUP_GENES)
    names = "/".join(name for name, place in ROLE_OF.items() if place == role)
    return f"{names} {GroupGenome._fields[gene].replace('_', ' ')}"


def largest_classes(factors: Factors) -> list[ClassGenes]:
    """Return, for every token mixing, the class with the most parameters and cache among those that a search may draw."""
    keys, states = max(factors.key_expansions), max(factor for factor in (2, *factors.expansions) if factor % 2 == 0)
    convolved, kernel = (TOEPLITZ, DENSE, 1, 1, INPUT_DEPENDENT), (TOEPLITZ, PER_CHANNEL, 1, 1, REPARAMETRISED)
    wide = {factor: (TOEPLITZ, DENSE, factor, 1, INPUT_DEPENDENT) for factor in (keys, states)}
    step, modes = ((DIAGONAL, DENSE, factor, 1, INPUT_DEPENDENT) for factor in (1, states))
    alone = (DIAGONAL, DENSE, 1, 1, INPUT_DEPENDENT)
    rows = (
        ((OWN_FEATURIZER, DIAGONAL, 1, SILU, DENSE), 0, (alone, alone, alone, alone, alone)),
        ((OWN_FEATURIZER, LOW_RANK, 1, SOFTMAX, GROUPED), 1, (convolved, wide[keys], wide[keys], kernel, convolved)),
        ((OWN_FEATURIZER, TOEPLITZ, 1, LINEAR, PER_CHANNEL), 1, (convolved, convolved, convolved, kernel, convolved)),
        ((OWN_FEATURIZER, SEMI_SEPARABLE, 1, LINEAR, GROUPED), 1, (convolved, wide[states], wide[states], step, convolved)),
        ((OWN_FEATURIZER, SEMI_SEPARABLE, 1, LINEAR, PER_CHANNEL), 1, (convolved, modes, modes, modes, convolved)),
    )
    return [
        ClassGenes(OperatorGenome(*operator), differential, tuple(GroupGenome(*group) for group in groups))
        for operator, differential, groups in rows
    ]


def inactive_legal(offset: int, factors: Factors | None) -> tuple[int, ...]:
    """Return the values that a feature group's gene may have where the operator does not read it."""
    gene = GroupGenome._fields[(offset - CLASS_GENES) % GROUP_GENES]
    drawn = factors or Factors()
    return {
        "token_mixing": (DIAGONAL, TOEPLITZ),
        "channel_mixing": tuple(CHANNEL_MIXING),
        "expansion": drawn.expansions,
        "repeat": drawn.repeats,
        "parametrisation": tuple(PARAMETRISATION),
    }[gene]
