"""Low-rank token mixing: softmax attention and linear attention.

Shapes: B batch, T tokens, D width, H heads, K key and value heads, P channels of a head, C chunks, L chunk length.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from star_search.liv import reference
from star_search.liv.token_mixing import Allocate, Features, State, TokenMixing

CHUNK = 64
ROTARY_BASE = 10_000.0


class SoftmaxAttention(TokenMixing):
    """`T = softmax(q k^T / sqrt(P))` per head; keys and values may be fewer than heads (grouped queries)."""

    def mix(self, features: Features) -> Tensor:
        """Return [B, T, D] by fused attention."""
        q, k, v = self._heads(features)
        return _merge(functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=k.shape[1] != q.shape[1]))

    def reference(self, features: Features) -> Tensor:
        """Return [B, T, D] by the explicit T x T matrix."""
        return _merge(reference.softmax_attention(*self._heads(features)))

    def _heads(self, features: Features) -> tuple[Tensor, Tensor, Tensor]:
        width = self.sizes.head_width
        return split_heads(features["q"], width), split_heads(features["k"], width), split_heads(features["v"], width)

    def allocate(self, allocate: Allocate, max_length: int, computed: list[str]) -> State:
        """Return the keys and values of every token to come."""
        return {name: allocate(max_length, self.sizes.group_width(name)) for name in ("k", "v") if name in computed}

    def write(self, features: Features, state: State) -> None:
        """Keep the prompt's keys and values."""
        for name, history in state.items():
            history[:, : features[name].shape[1]] = features[name]

    def update(self, token: Features, state: State, position: int, shared: Features) -> State:
        """Append the token's key and value; the context is all so far."""
        for name, history in state.items():
            history[:, position] = token[name]
        return {name: state[name][:, : position + 1] if name in state else shared[name] for name in ("k", "v")}

    def read(self, token: Features, context: State) -> Tensor:
        """Return [B, D]: the token's query against the context."""
        q, k, v = self._heads({"q": token["q"].unsqueeze(1), **context})
        return _merge(functional.scaled_dot_product_attention(q, k, v, enable_gqa=k.shape[1] != q.shape[1])).squeeze(1)


class LinearAttention(TokenMixing):
    """`T = phi(q) phi(k)^T` per head, rows normalised, phi = elu + 1 (Katharopoulos et al. 2020, equation 9)."""

    def mix(self, features: Features) -> Tensor:
        """Return [B, T, D] in chunks: a masked product within a chunk, a running sum of states between chunks."""
        q, k, v = self._chunks(features)
        scores = (q @ k.transpose(-1, -2)).tril()
        states = k.transpose(-1, -2) @ v
        before = functional.pad(states.cumsum(2)[:, :, :-1], (0, 0, 0, 0, 1, 0))
        sums = scores @ v + q @ before
        out = (sums[..., :-1] / sums[..., -1:]).flatten(2, 3)[:, :, : features["v"].shape[1]]
        return _merge(out).to(features["v"].dtype)

    def _chunks(self, features: Features) -> tuple[Tensor, Tensor, Tensor]:
        """Return phi(q), phi(k) and v with a column of ones, each [B, H, C, L, P]."""
        length = features["v"].shape[1]
        padding = -length % CHUNK
        q, k, v = (split_heads(features[name], self.sizes.head_width) for name in "qkv")
        q, k = positive(q), positive(k)
        v = functional.pad(v.to(q.dtype), (0, 1), value=1.0)
        # Padded queries are ones, so that their rows divide by something positive; padded keys are zero.
        q = functional.pad(q, (0, 0, 0, padding), value=1.0)
        k, v = functional.pad(k, (0, 0, 0, padding)), functional.pad(v, (0, 0, 0, padding))
        return q.unflatten(2, (-1, CHUNK)), k.unflatten(2, (-1, CHUNK)), v.unflatten(2, (-1, CHUNK))

    def reference(self, features: Features) -> Tensor:
        """Return [B, T, D] by the explicit T x T matrix."""
        q, k, v = (split_heads(features[name], self.sizes.head_width) for name in "qkv")
        return _merge(reference.linear_attention(positive(q), positive(k), v)).to(features["v"].dtype)

    def allocate(self, allocate: Allocate, max_length: int, computed: list[str]) -> State:
        """Return the sum of outer products and the sum of keys."""
        if not self._owns_context(computed):
            return {}
        heads, width = self.sizes.heads, self.sizes.head_width
        return {"state": allocate(heads, width, width), "normaliser": allocate(heads, width)}

    def write(self, features: Features, state: State) -> None:
        """Sum over the prompt."""
        if state:
            k, v = (split_heads(features[name], self.sizes.head_width) for name in "kv")
            state["state"].copy_(positive(k).transpose(-1, -2) @ v.to(positive(k).dtype))
            state["normaliser"].copy_(positive(k).sum(2))

    def update(self, token: Features, state: State, position: int, shared: Features) -> State:
        """Add the token's outer product."""
        if not state:
            return dict(shared)
        k, v = (split_heads(token[name].unsqueeze(1), self.sizes.head_width) for name in "kv")
        state["state"] += (positive(k).transpose(-1, -2) @ v.to(positive(k).dtype)).to(state["state"].dtype)
        state["normaliser"] += positive(k).sum(2).to(state["normaliser"].dtype)
        return state

    def read(self, token: Features, context: State) -> Tensor:
        """Return [B, D]: the state seen by the token's query."""
        q = positive(split_heads(token["q"].unsqueeze(1), self.sizes.head_width))
        numerator = q @ context["state"].to(q.dtype)
        denominator = q @ context["normaliser"].to(q.dtype).unsqueeze(-1)
        return _merge(numerator / denominator).squeeze(1).to(token["q"].dtype)


def positive(x: Tensor) -> Tensor:
    """Return elu(x) + 1, in fp32 at least."""
    return functional.elu(x.to(torch.promote_types(x.dtype, torch.float32))) + 1


def split_heads(x_BTD: Tensor, head_width: int) -> Tensor:
    """Return [B, heads, T, head width]."""
    return x_BTD.unflatten(-1, (-1, head_width)).transpose(1, 2)


def _merge(x_BHTP: Tensor) -> Tensor:
    return x_BHTP.transpose(1, 2).flatten(2)


def rotate(x_BTD: Tensor, head_width: int, start: int = 0) -> Tensor:
    """Apply rotary position embedding to every head (Su et al. 2021), halves paired as in Llama; positions count from `start`."""
    length, half = x_BTD.shape[1], head_width // 2
    frequencies = ROTARY_BASE ** (-torch.arange(half, device=x_BTD.device, dtype=torch.float64) / half)
    angles = torch.arange(start, start + length, device=x_BTD.device, dtype=torch.float64)[:, None] * frequencies
    cosine, sine = angles.cos().to(x_BTD.dtype)[:, None], angles.sin().to(x_BTD.dtype)[:, None]
    first, second = x_BTD.unflatten(-1, (-1, head_width)).chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1).flatten(-2)
