"""A LIV as a pure function of its weights, so that every LIV of one kind can run the same compiled code.

Shapes: B batch, T tokens, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from star_search.genome.sharing import LIVSources
from star_search.liv.attention import rotary_table
from star_search.liv.operator import LIV

ELSEWHERE = -1

Weights = dict[str, Tensor]
# (x, weights, shared context features) -> (output, features handed on, in the kind's order)
Function = Callable[[Tensor, Weights, list[Tensor]], tuple[Tensor, list[Tensor]]]


@dataclass(frozen=True)
class LIVKind:
    """All that decides what a LIV computes from its input, its weights and the features it takes."""

    text: str
    taken: tuple[str, ...]
    handed_on: tuple[str, ...]

    @classmethod
    def of(cls, liv: LIV, handed_on: Sequence[str], dropout: float) -> LIVKind:
        """Return the kind of a LIV from which others read the features `handed_on`."""
        text = repr((liv.sizes, tuple(liv.computed), liv.taken, tuple(handed_on), dropout))
        return cls(text, liv.taken, tuple(handed_on))


def function_of(liv: LIV, kind: LIVKind, dropout: float) -> Function:
    """Return the function of every LIV of a kind; `liv` is one of them and lends its sizes."""
    features_from = {name: ELSEWHERE if name in kind.taken else 0 for name in liv.sources.features_from}
    with torch.device("meta"):
        template = LIV(liv.sizes, LIVSources(features_from, dict.fromkeys(liv.computed, 0), ()), 0, [], dropout)
    template.train(dropout > 0)
    template.fuses_projections = True
    for name in inputs_beside_weights(liv, 1, torch.empty(0)):
        delattr(template, name)
        template.register_buffer(name, torch.empty(0, device="meta"))

    def call(x_BTD: Tensor, weights: Weights, shared: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        given = dict(zip(kind.taken, shared, strict=True))
        y_BTD, features = functional_call(template, weights, (x_BTD, given))
        return y_BTD, [features[name] for name in kind.handed_on]

    return call


def inputs_beside_weights(liv: LIV, length: int, like: Tensor) -> dict[str, Any]:
    """Return what a functional LIV takes as tensors beside its weights: lambda's constant part, the table of rotary angles."""
    found: dict[str, Any] = {}
    if liv.sizes.liv_class.differential:
        found["initial_lambda"] = torch.tensor(liv.initial_lambda, dtype=torch.promote_types(like.dtype, torch.float32), device=like.device)
    if liv.sizes.liv_class.fields.get("rotary"):
        found["rotary"] = rotary_table(length, liv.rotary_width, like)
    return found
