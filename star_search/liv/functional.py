"""A LIV as a pure function of its weights, so that every LIV of one kind can run the same compiled code: whole, or part by part.

Shapes: B batch, T tokens, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from star_search.genome.sharing import LIVSources
from star_search.liv.attention import rotary_table, rotate
from star_search.liv.operator import LIV

ELSEWHERE = -1

Weights = dict[str, Tensor]
# (x, weights, shared context features) -> (output, features handed on, in the kind's order)
Function = Callable[[Tensor, Weights, list[Tensor]], tuple[Tensor, list[Tensor]]]
# (key of what it computes, function, name) -> the function compiled
Compiler = Callable[[object, Callable[..., Any], str], Callable[..., Any]]


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
    template = _template(liv, kind, dropout)
    template.fuses_projections = True

    def call(x_BTD: Tensor, weights: Weights, shared: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        given = dict(zip(kind.taken, shared, strict=True))
        y_BTD, features = functional_call(template, weights, (x_BTD, given))
        return y_BTD, [features[name] for name in kind.handed_on]

    return call


def function_by_parts(liv: LIV, kind: LIVKind, dropout: float, compiled: Compiler) -> Function:
    """Return what `function_of` returns, made of parts that `compiled` is given: each feature group, and all that follows from features.

    A part serves every class and every way of sharing that has it, so that a few dozen are a whole search's; `compiled` is told by a key
    which are the same.
    """
    template = _template(liv, kind, dropout)
    groups = {name: compiled(*_group_part(template, name)) for name in liv.computed}
    rest = _Rest(template)
    mixing = compiled(
        (repr(liv.sizes), dropout), lambda features, weights: functional_call(rest, weights, (features,)), liv.sizes.liv_class.name
    )

    def call(x_BTD: Tensor, weights: Weights, shared: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        features = dict(zip(kind.taken, shared, strict=True))
        for name, part in groups.items():
            start = f"featurizer.{name}."
            own = {key.removeprefix(start): weight for key, weight in weights.items() if key.startswith(start)}
            features[name] = part(x_BTD, own, weights.get("rotary"))
        others = {f"liv.{key}": weight for key, weight in weights.items() if not key.startswith("featurizer.") and key != "rotary"}
        # In one order, whichever are taken.
        ordered = {name: features[name] for name in sorted(features)}
        return mixing(ordered, others), [features[name] for name in kind.handed_on]

    return call


class _Rest(nn.Module):
    """What a LIV does with all its features."""

    def __init__(self, liv: LIV) -> None:
        super().__init__()
        self.liv = liv

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        return self.liv.apply_to(features | self.liv.constant_features())


def _group_part(template: LIV, name: str) -> tuple[object, Callable[..., Tensor], str]:
    """Return what decides what a feature group computes, the function of x, its weights and the rotation's table, and a name."""
    group, width = template.group(name), template.rotary_width if template.rotates(name) else None
    shapes = tuple((path, tuple(weight.shape)) for path, weight in group.named_parameters())
    settings = tuple(sorted((key, repr(value)) for key, value in vars(group).items() if not key.startswith("_")))

    def part(x_BTD: Tensor, weights: Weights, table: Tensor | None) -> Tensor:
        features = functional_call(group, weights, (x_BTD,))
        return features if width is None else rotate(features, width, table)

    return (type(group).__qualname__, shapes, settings, width), part, type(group).__name__


def _template(liv: LIV, kind: LIVKind, dropout: float) -> LIV:
    """Return a LIV of a kind without weights of its own."""
    features_from = {name: ELSEWHERE if name in kind.taken else 0 for name in liv.sources.features_from}
    with torch.device("meta"):
        template = LIV(liv.sizes, LIVSources(features_from, dict.fromkeys(liv.computed, 0), ()), 0, [], dropout)
    template.train(dropout > 0)
    for name in inputs_beside_weights(liv, 1, torch.empty(0)):
        delattr(template, name)
        template.register_buffer(name, torch.empty(0, device="meta"))
    return template


def inputs_beside_weights(liv: LIV, length: int, like: Tensor) -> dict[str, Any]:
    """Return what a functional LIV takes as tensors beside its weights: lambda's constant part, the table of rotary angles."""
    found: dict[str, Any] = {}
    if liv.sizes.liv_class.differential:
        found["initial_lambda"] = torch.tensor(liv.initial_lambda, dtype=torch.promote_types(like.dtype, torch.float32), device=like.device)
    if liv.sizes.liv_class.fields.get("rotary"):
        found["rotary"] = rotary_table(length, liv.rotary_width, like)
    return found
