"""Token mixing: how the operator T is applied to the value, chosen by the class's operator genome.

Shapes: B batch, T tokens, D width, E inner width. Features are named by their group and have the shapes of `featurizers`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from torch import Tensor

from star_search.genome.accounting import Dimensions
from star_search.genome.genes import GROUPED
from star_search.liv.padding import Place

Features = Mapping[str, Tensor]
State = dict[str, Tensor]
Allocate = Callable[..., Tensor]


class TokenMixing(ABC):
    """One family of operators T(x). Holds no parameters.

    Decoding goes token by token: `update` writes the token's context features into `state` and returns the context that `read`
    needs. A LIV that shares context features reads those parts of the context that another LIV returned.
    """

    # How `half` halves each feature: along which dimension (the last where nothing is said), and which halves are then repeated over
    # two channels or heads.
    branch_dims: ClassVar[dict[str, int]] = {}
    repeated: ClassVar[tuple[str, ...]] = ()
    keeps_value = False
    # What `write` may be handed for padding where zero would count.
    padding_fill: Mapping[str, float] = MappingProxyType({})

    def __init__(self, sizes: Dimensions) -> None:
        self.sizes = sizes

    def half(self, name: str, feature: Tensor, index: int) -> Tensor:
        """Return what branch `index` of a differential operator sees of a feature, as wide as the operator needs it."""
        dim = self.branch_dims.get(name, -1)
        half = feature.chunk(2, dim)[index]
        return half.repeat_interleave(2, dim) if name in self.repeated else half

    def by_channel(self, feature: Tensor, dim: int = -1) -> Tensor:
        """Return a feature for every channel: where channel mixing is grouped, it came with one number a head."""
        grouped = self.sizes.liv_class.operator.channel_mixing == GROUPED
        return feature.repeat_interleave(self.sizes.head_width, dim) if grouped else feature

    @abstractmethod
    def mix(self, features: Features) -> Tensor:
        """Apply T to the value by the fast form, [B, T, E]."""

    def difference(self, features: Features, half: Callable[[int], Features]) -> Tensor:
        """Return what T makes of the first half of a differential operator's features, less lambda times what it makes of the second; fast
        form."""
        return self.mix(half(0)) - features["lambda"] * self.mix(half(1))

    def of_projection(self, projected: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """Return what `mix` may take from the product [B, T, ...] of x and the named groups' weights, all of them plain projections."""
        return {}

    @abstractmethod
    def reference(self, features: Features) -> Tensor:
        """Apply T to the value by the plain form of `reference`, [B, T, E]."""

    def allocate(self, allocate: Allocate, max_length: int, forms: tuple[str, ...]) -> State:
        """Return empty state, where the named groups make this LIV's memory its own; `allocate(*shape)` adds the batch in front."""
        return {}

    def write(self, features: Features, state: State) -> None:  # noqa: B027 (a mixing without state writes nothing)
        """Fill empty state from the features of a prompt, which padding before a row's first token leaves at `padding_fill`."""

    def update(self, token: Features, state: State, place: Place, shared: Features) -> State:
        """Take in one token's features ([B, G]) and return the context after it."""
        return {}

    @abstractmethod
    def read(self, token: Features, context: State) -> Tensor:
        """Return the output of one token, [B, E], from its readout features and the context."""

    def state_size(self) -> int:
        """Return N, the state size of one branch."""
        return self.sizes.liv_class.groups["B"].expansion // self.sizes.liv_class.branches
