"""LIV classes drawn gene by gene from what the grid calls legal."""

from typing import Any

import numpy as np

from star_search.genome.catalogue import Catalogue
from star_search.genome.genes import GroupGenome, OperatorGenome
from star_search.genome.grid import GROUPS_OF, class_problems, context_names, default_fields, field_misfit, group_legal, operator_legal
from star_search.genome.liv_class import LIVClass, family_of

# What the genes leave open, small enough for short sequences to be longer.
FIELDS: dict[str, list[Any]] = {
    "rotary": [False, True],
    "window": [2, 8],
    "block": [2, 8],
    "kernel_length": [2, 5, 33],
    "inner_ratio": [[8, 3], [3, 2]],
    "inner_multiple": [1, 64],
    "convolution_activation": ["silu", "none"],
    "decay": ["step", "liquid"],
    "dense": ["dense", "monarch"],
}
LARGEST_FACTOR = 4


def drawn_class(seed: int) -> LIVClass:
    """Return a legal class; expansion and repeat factors are at most 4."""
    random = np.random.default_rng(seed)
    operator, differential = OperatorGenome(1, 1, 1, 1, 1), bool(random.integers(2))
    for index in range(1, len(operator)):
        legal = [each for each in operator_legal(operator, differential) if each[0] != "differential"][index - 1][2]
        operator = operator._replace(**{operator._fields[index]: int(random.choice(legal))})
    differential = differential and operator.token_mixing != 1
    groups: dict[str, GroupGenome] = {}
    for name in GROUPS_OF[operator.token_mixing]:
        groups[name] = GroupGenome(1, 1, 1, 1, 3)
        for index, (gene, *_) in enumerate(list(group_legal(operator, differential, groups, name))):
            legal = list(group_legal(operator, differential, groups, name))[index][2]
            small = [value for value in legal if (value <= LARGEST_FACTOR and value != 3) or "mixing" in gene or gene == "parametrisation"]
            groups[name] = groups[name]._replace(**{gene.replace(" ", "_"): int(random.choice(small or legal))})
    assert class_problems(operator, differential, groups) == []
    fields = {name: values[random.integers(len(values))] for name, values in FIELDS.items() if not field_misfit(name, operator, groups)}
    return as_class(operator, differential, groups, default_fields(operator, groups) | fields)


def neighbour_of(liv_class: LIVClass, seed: int) -> tuple[str, LIVClass]:
    """Return the name of a gene and the class with another legal value of it, drawn among all that leave the class legal."""
    operator, groups, found = liv_class.operator, liv_class.groups, []
    for gene in operator._fields[1:]:
        found += [(f"operator {gene}", operator._replace(**{gene: value}), liv_class.differential, groups) for value in range(1, 6)]
    found.append(("differential", operator, not liv_class.differential, groups))
    for name, group in groups.items():
        for gene in group._fields:
            changed = ({**groups, name: group._replace(**{gene: value})} for value in range(1, 5))
            found += [(f"{name} {gene}", operator, liv_class.differential, each) for each in changed]
    own = (operator, liv_class.differential, groups)
    legal = [each for each in found if each[1:] != own and not class_problems(*each[1:])]
    genes = sorted({gene for gene, *_ in legal})
    chosen = genes[seed % len(genes)]
    gene, operator, differential, groups = next(each for each in legal if each[0] == chosen)
    known = {"window": 8, "block": 8} | dict(liv_class.fields)
    kept = {name: value for name, value in known.items() if not field_misfit(name, operator, groups)}
    return gene, as_class(operator, differential, groups, default_fields(operator, groups) | kept)


def as_class(operator: OperatorGenome, differential: bool, groups: dict[str, GroupGenome], fields: dict[str, Any]) -> LIVClass:
    """Return class 1 with these genes."""
    context = context_names(groups) if operator.token_mixing != 1 else ()
    return LIVClass(
        1,
        "drawn",
        family_of(operator, groups),
        operator,
        {name: groups[name] for name in context},
        {name: group for name, group in groups.items() if name not in context},
        differential,
        fields,
    )


def alone(liv_class: LIVClass) -> Catalogue:
    """Return a catalogue of one class."""
    return Catalogue("drawn", 1, {liv_class.id: liv_class})
