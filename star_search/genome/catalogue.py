"""Catalogues: the tables that map a LIV class id to its operator and featurizer genomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from star_search.errors import InputError, did_you_mean
from star_search.genome.encoding import DIGITS
from star_search.yaml_loading import read_yaml_mapping

FOLDER = Path(__file__).parent / "catalogues"

DIAGONAL, LOW_RANK, TOEPLITZ, SEMI_SEPARABLE = 1, 2, 3, 4
PER_CHANNEL, DENSE, GROUPED = 1, 2, 3
DIRECT, REPARAMETRISED, INPUT_DEPENDENT = 1, 2, 3

TOKEN_MIXING = {
    DIAGONAL: "diagonal (memoryless)",
    LOW_RANK: "low rank (attention)",
    TOEPLITZ: "scaled Toeplitz (gated convolution)",
    SEMI_SEPARABLE: "sequentially semi-separable (recurrence)",
}
SPARSITY = {1: "none", 2: "banded (sliding window)", 3: "block-diagonal"}
NONLINEARITY = {1: "none", 2: "softmax", 3: "ReLU", 4: "swish (SiLU)", 5: "GELU"}
CHANNEL_MIXING = {PER_CHANNEL: "diagonal (per channel)", DENSE: "dense (through an inner width)", GROUPED: "grouped (per head)"}
PARAMETRISATION = {
    DIRECT: "direct (a learned tensor)",
    REPARAMETRISED: "reparametrised (computed from learned tensors)",
    INPUT_DEPENDENT: "input-dependent (computed from x by a featurizer)",
}


class OperatorGenome(NamedTuple):
    """The five integers of a LIV class (docs/design.md)."""

    featurizer: int
    token_mixing: int
    sparsity: int
    nonlinearity: int
    channel_mixing: int

    def format(self) -> str:
        """Return the five digits, for example `12123`."""
        return "".join(DIGITS[digit] for digit in self)


class GroupGenome(NamedTuple):
    """The featurizer genes of one feature group."""

    token_mixing: int
    channel_mixing: int
    expansion: int
    repeat: int
    parametrisation: int


_LEGAL = {
    "token mixing": TOKEN_MIXING,
    "sparsity": SPARSITY,
    "nonlinearity": NONLINEARITY,
    "channel mixing": CHANNEL_MIXING,
    "parametrisation": PARAMETRISATION,
}


@dataclass(frozen=True)
class LIVClass:
    """One LIV class: what its operator is, how its feature groups are made, and what its fields set."""

    id: int
    name: str
    family: str
    operator: OperatorGenome
    context: Mapping[str, GroupGenome]
    readout: Mapping[str, GroupGenome]
    differential: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def groups(self) -> dict[str, GroupGenome]:
        """Every feature group, context groups first."""
        return {**self.context, **self.readout}

    @property
    def is_mixer(self) -> bool:
        """Whether tokens see other tokens."""
        return self.operator.token_mixing != DIAGONAL

    @property
    def feature_strategies(self) -> list[int]:
        """Legal feature strategies: 1 none, 2 all context groups, 2+k the k-th alone when there are several."""
        count = len(self.context)
        return [1] if count == 0 else [1, 2] if count == 1 else list(range(1, count + 3))

    def shared_groups(self, strategy: int) -> list[str]:
        """Return the context groups that a feature strategy shares."""
        names = list(self.context)
        return [] if strategy == 1 else names if strategy == 2 else [names[strategy - 3]]

    @property
    def forming(self) -> list[str]:
        """The groups that form a recurrent state: context groups, and A and B where the input does not make them."""
        return [*self.context, *(name for name, group in self.readout.items() if name in "AB" and group.parametrisation != INPUT_DEPENDENT)]

    @property
    def branches(self) -> int:
        """Two for a differential operator, `T = T1 - lambda T2`."""
        return 2 if self.differential else 1

    @property
    def not_built(self) -> str:
        """Return why there is no operator for this combination of digits, empty when there is one."""
        _, token_mixing, sparsity, nonlinearity, _ = self.operator
        if token_mixing == DIAGONAL and (self.differential or nonlinearity == 2):
            return "a memoryless class has no softmax and no differential form"
        if sparsity != 1 and (token_mixing != LOW_RANK or nonlinearity != 2):
            return f"sparsity {sparsity}, {SPARSITY[sparsity]}, is for softmax attention alone"
        allowed = {DIAGONAL: (1, 3, 4, 5), LOW_RANK: (1, 2)}.get(token_mixing, (1,))
        if nonlinearity not in allowed:
            return f"nonlinearity {nonlinearity}, {NONLINEARITY[nonlinearity]}, is not for token mixing {TOKEN_MIXING[token_mixing]}"
        return ""


@dataclass(frozen=True)
class Catalogue:
    """A named, versioned table of LIV classes."""

    name: str
    version: int
    classes: Mapping[int, LIVClass]

    def __getitem__(self, class_id: int) -> LIVClass:
        try:
            return self.classes[class_id]
        except KeyError:
            raise InputError(f"catalogue {self.name} has no LIV class {class_id}; it has {self.span()}") from None

    def __contains__(self, class_id: int) -> bool:
        return class_id in self.classes

    @property
    def built(self) -> list[int]:
        """Ids of the classes whose operators exist."""
        return [class_id for class_id, liv_class in self.classes.items() if not liv_class.not_built]

    def span(self) -> str:
        """Return the ids as a short text."""
        return f"{min(self.classes)} to {max(self.classes)}"

    def find(self, key: int | str) -> LIVClass:
        """Return a class by id or by name.

        Raises:
            InputError: when there is none, with the nearest name.
        """
        if isinstance(key, int) or key.isdigit():
            return self[int(key)]
        by_name = {liv_class.name.lower(): liv_class for liv_class in self.classes.values()}
        if key.lower() not in by_name:
            names = [liv_class.name for liv_class in self.classes.values()]
            raise InputError(f"catalogue {self.name} has no LIV class '{key}'{did_you_mean(key, names)}")
        return by_name[key.lower()]


@cache
def load_catalogue(name: str) -> Catalogue:
    """Return a shipped catalogue by name.

    Raises:
        InputError: for an unknown name.
    """
    path = FOLDER / f"{name}.yaml"
    shipped = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    if name not in shipped:
        raise InputError(f"unknown catalogue '{name}'{did_you_mean(name, shipped)}")
    values = read_yaml_mapping(path)
    if "base" in values:
        base = load_catalogue(values["base"])
        return Catalogue(values["name"], values["version"], {new: _renumbered(base[old], new) for new, old in values["classes"].items()})
    classes: dict[int, LIVClass] = {}
    for class_id, row in values["classes"].items():
        classes[class_id] = _read_class(class_id, row, classes)
    return Catalogue(values["name"], values["version"], classes)


def _renumbered(liv_class: LIVClass, class_id: int) -> LIVClass:
    from dataclasses import replace

    return replace(liv_class, id=class_id)


def _read_class(class_id: int, row: Mapping[str, Any], earlier: Mapping[int, LIVClass]) -> LIVClass:
    base = earlier.get(row.get("like", -1))
    operator = OperatorGenome(*(DIGITS.index(digit) for digit in row["operator"])) if "operator" in row else getattr(base, "operator", None)
    if operator is None:
        raise InputError(f"class {class_id} needs an operator genome, for example operator: '12123'")
    for name, value in zip(OperatorGenome._fields[1:], operator[1:], strict=True):
        _check(class_id, name.replace("_", " "), value)
    return LIVClass(
        id=class_id,
        name=row["name"],
        family=row.get("family") or (base.family if base else "custom"),
        operator=operator,
        context=_read_groups(class_id, row["context"]) if "context" in row else base.context if base else {},
        readout=_read_groups(class_id, row["readout"]) if "readout" in row else base.readout if base else {},
        differential=row.get("differential", False),
        fields={**(base.fields if base else {}), **row.get("fields", {})},
    )


def _read_groups(class_id: int, rows: Mapping[str, list[int]]) -> dict[str, GroupGenome]:
    groups = {name: GroupGenome(*genes) for name, genes in rows.items()}
    for group in groups.values():
        for name in ("token_mixing", "channel_mixing", "parametrisation"):
            _check(class_id, name.replace("_", " "), getattr(group, name))
    return groups


def _check(class_id: int, gene: str, value: int) -> None:
    if value not in _LEGAL[gene]:
        raise InputError(f"class {class_id}: {gene} {value} is not one of {', '.join(map(str, _LEGAL[gene]))}")
