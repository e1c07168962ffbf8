"""The decoding cache as `generate` wants it: handed from step to step, growing, its rows reordered for beams.

Shapes: B batch, T tokens, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from star_search.liv.padding import Padding
from star_search.model.backbone import Backbone
from star_search.model.cache import DecodingCache

FIRST_CACHE_LENGTH = 64


@dataclass
class StarCache:
    """A decoding cache that grows."""

    backbone: Backbone
    held: DecodingCache

    @classmethod
    def empty(cls, backbone: Backbone, batch_size: int, length: int) -> StarCache:
        """Return a cache with room for a prompt of `length` tokens and some more."""
        return cls(backbone, backbone.init_cache(batch_size, max(FIRST_CACHE_LENGTH, 2 * length)))

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return how many tokens it has read, padding included."""
        return self.held.length

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Let row b go on as row beam_idx[b] did: beam search drops and doubles beams."""
        self.held.select(beam_idx.to(self.backbone.norms[0].device))

    def read(self, x_BTD: Tensor, padding: Padding | None = None) -> Tensor:
        """Read embedded tokens, after `padding` where they are the first, and return the hidden states [B, T, D]."""
        batch_size, count = x_BTD.shape[:2]
        self._reserve(batch_size, self.held.length + count)
        if self.held.length == 0 and count:
            return self.backbone.prefill(x_BTD, self.held, padding)
        return torch.stack([self.backbone.step(x_BD, self.held) for x_BD in x_BTD.unbind(1)], dim=1)

    def _reserve(self, batch_size: int, length: int) -> None:
        """Move to a cache of at least twice the size when this one is too short."""
        if length > self.held.max_length:
            larger = self.backbone.init_cache(batch_size, 2 * length)
            larger.take(self.held)
            self.held = larger
