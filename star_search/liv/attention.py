"""Low-rank token mixing: softmax attention and linear attention.

Shapes: B batch, T tokens, D width, H heads, K key and value heads, P channels of a head, C chunks, L chunk length.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from star_search.liv import reference
from star_search.liv.kernels.window import has_windows, windowed_attention
from star_search.liv.token_mixing import Allocate, Features, State, TokenMixing

CHUNK = 64
BANDED, BLOCK_DIAGONAL = 2, 3
ROTARY_BASE = 10_000.0


class SoftmaxAttention(TokenMixing):
    """`T = softmax(q k^T / sqrt(P))` per head; keys and values may be fewer than heads (grouped queries).

    Sparsity 2 lets a token see the last `window` tokens, itself included; sparsity 3 those of its own block of `block` tokens.
    """

    keeps_value = True

    def mix(self, features: Features) -> Tensor:
        """Return [B, T, D] by fused attention, in pieces of the window or block where there is one."""
        q, k, v = self._heads(features)
        span = self.sizes.span
        if span is None or q.shape[2] <= span:
            return _merge(_attend(q, k, v, is_causal=True))
        return _merge(self._local(q, k, v, span))

    def _local(self, q: Tensor, k: Tensor, v: Tensor, span: int) -> Tensor:
        length = q.shape[2]
        if self.sizes.liv_class.operator.sparsity == BANDED and has_windows(q, v):
            return windowed_attention(*_widened(q, k, v), v, span)
        q, k, v = (functional.pad(x, (0, 0, 0, -length % span)).unflatten(2, (-1, span)).transpose(1, 2) for x in (q, k, v))
        if self.sizes.liv_class.operator.sparsity == BLOCK_DIAGONAL:
            out = _attend(q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1), is_causal=True)
        else:
            k, v = (torch.cat((functional.pad(x, (0, 0, 0, 0, 0, 0, 1, 0))[:, :-1], x), dim=3) for x in (k, v))
            mask = _band(span, q.shape[1], q.device).repeat(q.shape[0], 1, 1).unsqueeze(1)
            out = _attend(q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1), attn_mask=mask)
        return out.unflatten(0, q.shape[:2]).transpose(1, 2).flatten(2, 3)[:, :, :length]

    def reference(self, features: Features) -> Tensor:
        """Return [B, T, D] by the explicit T x T matrix."""
        window, block = (self.sizes.span if self.sizes.liv_class.operator.sparsity == kind else None for kind in (BANDED, BLOCK_DIAGONAL))
        return _merge(reference.softmax_attention(*self._heads(features), window=window, block=block))

    def _heads(self, features: Features) -> tuple[Tensor, Tensor, Tensor]:
        heads, groups = self.sizes.heads, self.sizes.liv_class.groups
        return (
            split_heads(features["q"], heads),
            split_heads(features["k"], heads // groups["k"].repeat),
            split_heads(features["v"], heads // groups["v"].repeat),
        )

    def allocate(self, allocate: Allocate, max_length: int, forms: tuple[str, ...]) -> State:
        """Return the keys and values of every token that can still be seen."""
        held = max_length if self.sizes.span is None else min(max_length, self.sizes.span)
        branches = self.sizes.liv_class.branches
        widths = {"k": self.sizes.group_width("k") // branches, "v": self.sizes.group_width("v")}
        return {name: allocate(held, width) for name, width in widths.items() if name in forms}

    def write(self, features: Features, state: State) -> None:
        """Keep the prompt's keys and values, each in the place that `update` would give it."""
        for name, history in state.items():
            length, span = features[name].shape[1], self.sizes.span or history.shape[1]
            first = self._first_held(length - 1)
            places = torch.arange(first, length, device=history.device) % span
            history[:, places] = features[name][:, first:]

    def _first_held(self, position: int) -> int:
        """Return the first position that the token at `position` sees."""
        span = self.sizes.span
        if span is None:
            return 0
        return position // span * span if self.sizes.liv_class.operator.sparsity == BLOCK_DIAGONAL else max(0, position - span + 1)

    def update(self, token: Features, state: State, position: int, shared: Features) -> State:
        """Put the token's key and value in their place; the context is all that it sees, in any order."""
        place = position if self.sizes.span is None else position % self.sizes.span
        held = position - self._first_held(position) + 1
        for name, history in state.items():
            history[:, place] = token[name]
        return {name: state[name][:, :held] if name in state else shared[name] for name in ("k", "v")}

    def read(self, token: Features, context: State) -> Tensor:
        """Return [B, D]: the token's query against the context."""
        q, k, v = self._heads({"q": token["q"].unsqueeze(1), **context})
        return _merge(_attend(q, k, v)).squeeze(1)


def _attend(q: Tensor, k: Tensor, v: Tensor, is_causal: bool = False, attn_mask: Tensor | None = None) -> Tensor:
    grouped = k.shape[1] != q.shape[1]
    q, k, scale = _widened(q, k, v)
    return functional.scaled_dot_product_attention(q, k, v, attn_mask, is_causal=is_causal, scale=scale, enable_gqa=grouped)


def _widened(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, float | None]:
    """Return q, k and their scale for kernels of a GPU, which want heads of one width: zeros change no product."""
    if not q.is_cuda or q.shape[-1] >= v.shape[-1]:
        return q, k, None
    padding = (0, v.shape[-1] - q.shape[-1])
    return functional.pad(q, padding), functional.pad(k, padding), q.shape[-1] ** -0.5


def _band(span: int, chunks: int, device: torch.device) -> Tensor:
    """Return which keys of the chunk before and its own each query of a chunk sees, [C, L, 2 L]; the first chunk has none before."""
    query, key = torch.arange(span, device=device)[:, None] + span, torch.arange(2 * span, device=device)
    seen = (key <= query) & (key > query - span)
    return torch.stack([seen & (key >= span), *[seen] * (chunks - 1)])


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
        q, k, v = (split_heads(features[name], self.sizes.heads) for name in "qkv")
        q, k = positive(q), positive(k)
        v = functional.pad(v.to(q.dtype), (0, 1), value=1.0)
        # Padded queries are ones, so that their rows divide by something positive; padded keys are zero.
        q = functional.pad(q, (0, 0, 0, padding), value=1.0)
        k, v = functional.pad(k, (0, 0, 0, padding)), functional.pad(v, (0, 0, 0, padding))
        return q.unflatten(2, (-1, CHUNK)), k.unflatten(2, (-1, CHUNK)), v.unflatten(2, (-1, CHUNK))

    def reference(self, features: Features) -> Tensor:
        """Return [B, T, D] by the explicit T x T matrix."""
        q, k, v = (split_heads(features[name], self.sizes.heads) for name in "qkv")
        return _merge(reference.linear_attention(positive(q), positive(k), v)).to(features["v"].dtype)

    def allocate(self, allocate: Allocate, max_length: int, forms: tuple[str, ...]) -> State:
        """Return the sum of outer products and the sum of keys."""
        if not forms:
            return {}
        heads, width = self.sizes.heads, self.sizes.head_width
        key_width = width // self.sizes.liv_class.branches
        return {"state": allocate(heads, key_width, width), "normaliser": allocate(heads, key_width)}

    def write(self, features: Features, state: State) -> None:
        """Sum over the prompt."""
        if state:
            k, v = (split_heads(features[name], self.sizes.heads) for name in "kv")
            state["state"].copy_(positive(k).transpose(-1, -2) @ v.to(positive(k).dtype))
            state["normaliser"].copy_(positive(k).sum(2))

    def update(self, token: Features, state: State, position: int, shared: Features) -> State:
        """Add the token's outer product."""
        if not state:
            return dict(shared)
        k, v = (split_heads(token[name].unsqueeze(1), self.sizes.heads) for name in "kv")
        state["state"] += (positive(k).transpose(-1, -2) @ v.to(positive(k).dtype)).to(state["state"].dtype)
        state["normaliser"] += positive(k).sum(2).to(state["normaliser"].dtype)
        return state

    def read(self, token: Features, context: State) -> Tensor:
        """Return [B, D]: the state seen by the token's query."""
        q = positive(split_heads(token["q"].unsqueeze(1), self.sizes.heads))
        numerator = q @ context["state"].to(q.dtype)
        denominator = q @ context["normaliser"].to(q.dtype).unsqueeze(-1)
        return _merge(numerator / denominator).squeeze(1).to(token["q"].dtype)


def positive(x: Tensor) -> Tensor:
    """Return elu(x) + 1, in fp32 at least."""
    return functional.elu(x.to(torch.promote_types(x.dtype, torch.float32))) + 1


def split_heads(x_BTD: Tensor, heads: int) -> Tensor:
    """Return [B, heads, T, D / heads]."""
    return x_BTD.unflatten(-1, (heads, -1)).transpose(1, 2)


def _merge(x_BHTP: Tensor) -> Tensor:
    return x_BHTP.transpose(1, 2).flatten(2)


def rotary_table(length: int, head_width: int, like: Tensor, start: int = 0) -> Tensor:
    """Return what `rotate` multiplies pairs with, [2, T, 2, P / 2] in the dtype and on the device of `like`; positions from `start`.

    The first part is the cosines, twice; the second the sines, negative for the first half of a head.
    """
    half = head_width // 2
    frequencies = ROTARY_BASE ** (-torch.arange(half, device=like.device, dtype=torch.float64) / half)
    angles = torch.arange(start, start + length, device=like.device, dtype=torch.float64)[:, None] * frequencies
    cosine, sine = angles.cos(), angles.sin()
    return torch.stack((torch.stack((cosine, cosine), 1), torch.stack((-sine, sine), 1))).to(like.dtype)


def rotate(x_BTD: Tensor, head_width: int, start: int = 0, table: Tensor | None = None) -> Tensor:
    """Apply rotary position embedding to every head (Su et al. 2021), halves paired as in Llama; positions count from `start`.

    `table` is a `rotary_table` that is there already.
    """
    if table is None:
        length = x_BTD.shape[1]
        table = (
            _whole_table(length, head_width, x_BTD.dtype, x_BTD.device) if start == 0 else rotary_table(length, head_width, x_BTD, start)
        )
    cosine, sine = table.unsqueeze(2)
    # The other half by a flip, not by slices and a concatenation: compiled, those are many masked loads, in the backward pass above all.
    halves = x_BTD.unflatten(-1, (-1, 2, head_width // 2))
    return (halves * cosine + halves.flip(-2) * sine).flatten(-3)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _whole_table(length: int, head_width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the table from position 0: every LIV of every step asks for the same one."""
    return rotary_table(length, head_width, torch.empty(0, dtype=dtype, device=device))
