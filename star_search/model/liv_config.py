"""LIV classes by names: `LIVConfig` and its two enumerations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

from star_search.errors import InputError, check_whole, did_you_mean
from star_search.genome.catalogue import Catalogue
from star_search.genome.genes import (
    DENSE,
    DIAGONAL,
    DIGITS,
    GROUPED,
    LOW_RANK,
    MAXIMUM_FACTOR,
    PER_CHANNEL,
    SEMI_SEPARABLE,
    TOEPLITZ,
    GroupGenome,
    OperatorGenome,
)
from star_search.genome.grid import class_problems
from star_search.genome.liv_class import LIVClass

NONLINEARITY_NAMES = {None: 1, "none": 1, "softmax": 2, "relu": 3, "silu": 4, "swish": 4, "gelu": 5}


class TokenMixingStructure(IntEnum):
    """The token mixing digit of an operator genome."""

    DIAGONAL = DIAGONAL
    LOW_RANK = LOW_RANK
    SCALED_TOEPLITZ = TOEPLITZ
    SEQUENTIAL_SEMI_SEPARABLE = SEMI_SEPARABLE


class ChannelMixingStructure(IntEnum):
    """The channel mixing digit of an operator genome."""

    DIAGONAL = PER_CHANNEL
    DENSE = DENSE
    GROUPED = GROUPED


@dataclass(frozen=True)
class LIVConfig:
    """An operator genome by names; `sparsity_mask` is the sliding window.

    A factor of 1 leaves the class its own. `repeat_factor`: heads that share one key and value head, for low-rank token mixing.
    `expansion_factor`: states per channel or head, for semi-separable token mixing.

    Raises:
        InputError: for a value that is none of a field's, or a factor that has no meaning for the token mixing.
    """

    featurizer_class: int
    token_mixing: TokenMixingStructure
    sparsity_mask: bool
    nonlinearity: str | None
    channel_mixing: ChannelMixingStructure
    expansion_factor: int = 1
    repeat_factor: int = 1

    def __post_init__(self) -> None:
        check_whole(self.featurizer_class, "featurizer_class", 1, len(DIGITS) - 1)
        for name, kind in (("token_mixing", TokenMixingStructure), ("channel_mixing", ChannelMixingStructure)):
            if getattr(self, name) not in list(kind):
                raise InputError(f"{name} must be one of {', '.join(each.name for each in kind)}, got {getattr(self, name)!r}")
        if self.nonlinearity not in list(NONLINEARITY_NAMES):
            names = [name for name in NONLINEARITY_NAMES if name]
            raise InputError(f"unknown nonlinearity '{self.nonlinearity}'{did_you_mean(str(self.nonlinearity), names)}")
        for name, needed in (("expansion_factor", SEMI_SEPARABLE), ("repeat_factor", LOW_RANK)):
            value = check_whole(getattr(self, name), name, 1, MAXIMUM_FACTOR)
            if value > 1 and self.token_mixing != needed:
                there, meant = TokenMixingStructure(self.token_mixing).name, TokenMixingStructure(needed).name
                raise InputError(f"{name} {value} has no meaning for token mixing {there}; it is for {meant}, elsewhere it must be 1")

    @property
    def operator(self) -> OperatorGenome:
        """The five digits."""
        sparsity = 2 if self.sparsity_mask else 1
        nonlinearity = NONLINEARITY_NAMES[self.nonlinearity]
        return OperatorGenome(self.featurizer_class, int(self.token_mixing), sparsity, nonlinearity, int(self.channel_mixing))

    def find(self, catalogue: Catalogue, class_id: int) -> LIVClass:
        """Return the class of a catalogue that has this operator genome, under an id of one's own and with these factors.

        Raises:
            InputError: when there is none, with those there are, or a factor does not fit the class.
        """
        for liv_class in catalogue.classes.values():
            if liv_class.operator == self.operator and not liv_class.differential:
                return self._adjusted(liv_class, class_id)
        known = ", ".join(f"{each.operator.format()} ({each.name})" for each in catalogue.classes.values() if not each.differential)
        raise InputError(f"config {class_id} asks for operator {self.operator.format()}, which no class of {catalogue.name} has: {known}")

    def _adjusted(self, liv_class: LIVClass, class_id: int) -> LIVClass:
        if self.expansion_factor > 1 and all(group.expansion == 1 for group in liv_class.groups.values()):
            raise InputError(f"config {class_id}: {liv_class.name} has one state each, which no expansion_factor changes; it must be 1")
        context, readout = (self._with_factors(groups) for groups in (liv_class.context, liv_class.readout))
        adjusted = replace(liv_class, id=class_id, context=context, readout=readout)
        for problem in class_problems(adjusted.operator, adjusted.differential, adjusted.groups):
            raise InputError(f"config {class_id}: {problem.sentence}")
        return adjusted

    def _with_factors(self, groups: Mapping[str, GroupGenome]) -> dict[str, GroupGenome]:
        found = dict(groups)
        for name, group in groups.items():
            if self.repeat_factor > 1 and name in ("k", "v"):
                found[name] = group._replace(repeat=self.repeat_factor)
            if self.expansion_factor > 1 and name in ("A", "B", "C") and group.expansion > 1:
                found[name] = group._replace(expansion=self.expansion_factor)
        return found
