"""Differential operators: `T = T1 - lambda T2`, two branches of half the size over one common value.

Shapes: B batch, T tokens, D width.
"""

from __future__ import annotations

import math
from functools import partial

from torch import Tensor

from star_search.genome.accounting import Dimensions
from star_search.liv.padding import Place
from star_search.liv.token_mixing import Allocate, Features, State, TokenMixing

WHOLE = ("v", "gate", "lambda")


class Differential(TokenMixing):
    """Two branches of one family of operators (Ye et al. 2024, equation 1); each sees half of every feature but the value."""

    def __init__(self, sizes: Dimensions, branch: TokenMixing) -> None:
        super().__init__(sizes)
        self.branch = branch
        self.padding_fill = branch.padding_fill

    def _half(self, features: Features, index: int) -> dict[str, Tensor]:
        """Return the features of one branch."""
        return {name: each if name in WHOLE else self.branch.half(name, each, index) for name, each in features.items()}

    def mix(self, features: Features) -> Tensor:
        """Return the difference of the branches' fast forms."""
        return self.branch.difference(features, partial(self._half, features))

    def reference(self, features: Features) -> Tensor:
        """Return the difference of the branches' reference forms."""
        return self.branch.reference(self._half(features, 0)) - features["lambda"] * self.branch.reference(self._half(features, 1))

    def allocate(self, allocate: Allocate, max_length: int, forms: tuple[str, ...]) -> State:
        """Return the state of both branches; a value that is kept as it is, is kept once."""
        second = tuple(name for name in forms if name != "v") if self.branch.keeps_value else forms
        return {
            f"{index}.{name}": tensor
            for index, own in enumerate((forms, second))
            for name, tensor in self.branch.allocate(allocate, max_length, own).items()
        }

    def write(self, features: Features, state: State) -> None:
        """Fill the state of both branches."""
        for index in (0, 1):
            self.branch.write(self._half(features, index), _of(index, state))

    def update(self, token: Features, state: State, place: Place, shared: Features) -> State:
        """Advance both branches; the second sees the value that the first keeps."""
        first = self.branch.update(self._half(token, 0), _of(0, state), place, _of(0, shared))
        theirs = _of(1, shared) | ({"v": first["v"]} if self.branch.keeps_value else {})
        second = self.branch.update(self._half(token, 1), _of(1, state), place, theirs)
        return {f"{index}.{name}": tensor for index, context in enumerate((first, second)) for name, tensor in context.items()}

    def read(self, token: Features, context: State) -> Tensor:
        """Return the difference of what the branches read."""
        first, second = (self.branch.read(self._half(token, index), _of(index, context)) for index in (0, 1))
        return first - token["lambda"] * second


def _of(index: int, state: Features) -> State:
    return {name[2:]: tensor for name, tensor in state.items() if name.startswith(f"{index}.")}


def initial_lambda(position: int) -> float:
    """Return lambda's constant part, `0.8 - 0.6 exp(-0.3 layer)`, two LIVs making a layer (Ye et al. 2024, section 2.1)."""
    return 0.8 - 0.6 * math.exp(-0.3 * (position // 2))
