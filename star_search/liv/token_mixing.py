"""Token mixing: how the operator T is applied to the value, chosen by the class's operator genome.

Shapes: B batch, T tokens, D width, E inner width. Features are named by their group and have the shapes of `featurizers`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from torch import Tensor

from star_search.genome.accounting import Dimensions

Features = Mapping[str, Tensor]
State = dict[str, Tensor]
Allocate = Callable[..., Tensor]


class TokenMixing(ABC):
    """One family of operators T(x). Holds no parameters.

    Decoding goes token by token: `update` writes the token's context features into `state` and returns the context that `read`
    needs. A LIV that shares context features reads those parts of the context that another LIV returned.
    """

    def __init__(self, sizes: Dimensions) -> None:
        self.sizes = sizes

    @abstractmethod
    def mix(self, features: Features) -> Tensor:
        """Apply T to the value by the fast form, [B, T, E]."""

    @abstractmethod
    def reference(self, features: Features) -> Tensor:
        """Apply T to the value by the plain form of `reference`, [B, T, E]."""

    def allocate(self, allocate: Allocate, max_length: int, computed: list[str]) -> State:
        """Return empty state for the context groups that this LIV computes itself; `allocate(*shape)` adds the batch in front."""
        return {}

    def write(self, features: Features, state: State) -> None:  # noqa: B027 (a mixing without state writes nothing)
        """Fill empty state from the features of a prompt."""

    def update(self, token: Features, state: State, position: int, shared: Features) -> State:
        """Take in one token's features ([B, G]) and return the context after it."""
        return {}

    @abstractmethod
    def read(self, token: Features, context: State) -> Tensor:
        """Return the output of one token, [B, E], from its readout features and the context."""

    def _owns_context(self, computed: list[str]) -> bool:
        return any(name in computed for name in self.sizes.liv_class.context)
