"""One LIV class: its operator and featurizer genomes, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from star_search.genome.genes import (
    DIAGONAL,
    DIRECT,
    INPUT_DEPENDENT,
    LINEAR,
    LOW_RANK,
    REPARAMETRISED,
    SEMI_SEPARABLE,
    TOEPLITZ,
    GroupGenome,
    OperatorGenome,
)

# What a field may say that it says by being absent.
_WITHOUT_EFFECT = {"rotary": False, "convolution_activation": "none", "decay": "step", "dense": "dense"}


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

    @cached_property
    def groups(self) -> dict[str, GroupGenome]:
        """Every feature group, context groups first."""
        return {**self.context, **self.readout}

    @property
    def is_mixer(self) -> bool:
        """Whether tokens see other tokens."""
        return self.operator.token_mixing != DIAGONAL

    @property
    def is_complex(self) -> bool:
        """Whether the recurrent state is complex (S4D): every tensor of the recurrence is learned, none is made from the input."""
        return self._made("A") == REPARAMETRISED and self._made("B") == DIRECT

    @property
    def keeps_history(self) -> bool:
        """Whether decoding keeps keys and values of the tokens seen, not a state: all attention but the linear without sparsity."""
        return self.operator.token_mixing == LOW_RANK and (self.operator.nonlinearity != LINEAR or self.operator.sparsity != 1)

    def _made(self, name: str) -> int | None:
        return self.groups[name].parametrisation if name in self.groups else None

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

    def same_operator(self, other: LIVClass) -> bool:
        """Return whether two classes are one architecture: all but number, name, family and the first digit are equal."""
        return self._architecture() == other._architecture()

    def _architecture(self) -> tuple[Any, ...]:
        fields = {name: value for name, value in self.fields.items() if _WITHOUT_EFFECT.get(name, ...) != value}
        return self.operator[1:], self.context, self.readout, self.differential, fields


def family_of(operator: OperatorGenome, groups: Mapping[str, GroupGenome]) -> str:
    """Return the operator family that the genes place a class in."""
    if operator.token_mixing == LOW_RANK:
        return "linear attention" if operator.nonlinearity == LINEAR else "attention"
    if operator.token_mixing == SEMI_SEPARABLE and "B" in groups and groups["B"].parametrisation == DIRECT:
        return "state space"
    return {DIAGONAL: "memoryless", TOEPLITZ: "gated convolution", SEMI_SEPARABLE: "recurrence"}.get(operator.token_mixing, "custom")
