"""Sequences of several lengths in one batch: padding before a row's first token, which no operator may see.

Shapes: B batch, T tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Padding:
    """How many places before the first token of each row are padding, [B].

    A causal operator never sees what follows, so rows that begin at place 0 are exact in every form of every class, whatever stands behind
    them. Caches hold rows that end at one place: a decoded token then has one place for all rows.
    """

    starts_B: Tensor

    def to_front(self, x_BT: Tensor) -> Tensor:
        """Return [B, T, ...] with every row's first token at place 0; behind its last, that one is repeated."""
        places_T = torch.arange(x_BT.shape[1], device=x_BT.device)
        return _gather(x_BT, (places_T + self.starts_B[:, None]).clamp(max=x_BT.shape[1] - 1))

    def to_back(self, x_BT: Tensor, fill: float = 0.0) -> Tensor:
        """Return [B, T, ...] with every row's last token at the last place, and `fill` before its first: `to_front` undone."""
        places_BT = torch.arange(x_BT.shape[1], device=x_BT.device) - self.starts_B[:, None]
        return _gather(x_BT, places_BT.clamp(min=0)).masked_fill(_spread(places_BT < 0, x_BT), fill)

    def last(self, x_BT: Tensor) -> Tensor:
        """Return what stands at the last token of every row of a sequence in front, [B, ...]."""
        return _gather(x_BT, x_BT.shape[1] - 1 - self.starts_B[:, None]).squeeze(1)

    def select(self, rows: Tensor) -> Padding:
        """Return the padding of the rows named, in their order."""
        return Padding(self.starts_B.index_select(0, rows))


def _gather(x_BT: Tensor, places_BT: Tensor) -> Tensor:
    return x_BT.gather(1, _spread(places_BT, x_BT).expand(*places_BT.shape, *x_BT.shape[2:]))


def _spread(places_BT: Tensor, like: Tensor) -> Tensor:
    return places_BT.reshape(*places_BT.shape, *[1] * (like.dim() - 2))


@dataclass(frozen=True)
class Place:
    """Where a decoded token stands: its place in the cache, one for all rows, and the padding before each row's first token.

    A position that is a tensor [] may be any: what depends on it is masked and not cut, so that one graph serves every token.
    """

    position: int | Tensor
    padding: Padding | None = None
    # By channels that rotate together and dtype: made once for all LIVs that a token passes.
    rotary_tables: dict[tuple[int, torch.dtype], Tensor] = field(default_factory=dict, compare=False)

    @property
    def is_plain(self) -> bool:
        """Whether a token sees all that the cache holds up to its place."""
        return isinstance(self.position, int) and self.padding is None

    @property
    def since_start(self) -> int | Tensor:
        """How many tokens of its row came before: one number for all rows, or [B]."""
        return self.position if self.padding is None else self.position - self.padding.starts_B

    def put(self, history_BS: Tensor, token_B: Tensor, ring: int | None = None) -> None:
        """Write a token's features into its place of a history, which goes round after `ring` places."""
        place = self.position if ring is None else self.position % ring
        if isinstance(place, int):
            history_BS[:, place] = token_B
        else:
            history_BS.index_copy_(1, place.reshape(1), token_B.unsqueeze(1).to(history_BS.dtype))
