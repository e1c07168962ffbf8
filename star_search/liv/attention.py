"""Low-rank token mixing: softmax, pointwise and linear attention.

Shapes: B batch, T tokens, D width, H heads, K key and value heads, R = H / K, P channels of a head, C chunks, L queries and S keys of one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

from star_search.genome.genes import BANDED, BLOCK_DIAGONAL, GELU, LINEAR, RELU, SILU
from star_search.liv import reference
from star_search.liv.kernels import lowered
from star_search.liv.kernels.head_scan import has_head_scan, head_scan
from star_search.liv.kernels.window import has_windows, windowed_attention
from star_search.liv.memoryless import ACTIVATIONS
from star_search.liv.padding import Place
from star_search.liv.token_mixing import Allocate, Features, State, TokenMixing

CHUNK, QUERY_CHUNK = 64, 128
ROTARY_BASE = 10_000.0
UNPLANNED = (SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH)
# 1 / sqrt(E[act(z)^2]), z standard normal: without it, untrained scored attention moves the stream half as much as softmax attention.
SCORE_GAINS = {RELU: 2**0.5, SILU: 1.6765324703415536, GELU: 1.5335304412051052}


class HistoryAttention(TokenMixing):
    """Attention that remembers keys and values, which may be fewer than heads (grouped queries).

    Sparsity 2 lets a token see the last `window` tokens, itself included; sparsity 3 those of its own block of `block` tokens.
    """

    keeps_value = True

    def _heads(self, features: Features) -> tuple[Tensor, Tensor, Tensor]:
        heads, groups = self.sizes.heads, self.sizes.liv_class.groups
        return (
            split_heads(features["q"], heads),
            split_heads(features["k"], heads // groups["k"].repeat),
            split_heads(features["v"], heads // groups["v"].repeat),
        )

    def _span_of(self, sparsity: int) -> int | None:
        return self.sizes.span if self.sizes.liv_class.operator.sparsity == sparsity else None

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
            first = max(0, length - span)
            places = torch.arange(first, length, device=history.device) % span
            history[:, places] = features[name][:, first:]

    def _first_held(self, position: int) -> int:
        """Return the first position that the token at `position` sees."""
        span = self.sizes.span
        if span is None:
            return 0
        return position // span * span if self.sizes.liv_class.operator.sparsity == BLOCK_DIAGONAL else max(0, position - span + 1)

    def update(self, token: Features, state: State, place: Place, shared: Features) -> State:
        """Put the token's key and value in their place; the context is all that it sees, in any order, or more and `seen` [B, S]."""
        for name, history in state.items():
            place.put(history, token[name], self.sizes.span)
        context = {name: state[name] if name in state else shared[name] for name in ("k", "v")}
        position = place.position
        if isinstance(position, int):
            first = self._first_held(position) if place.is_plain else max(0, position + 1 - (self.sizes.span or position + 1))
            context = {name: history[:, : position - first + 1] for name, history in context.items()}
        return context if place.is_plain else context | {"seen": self._seen_places(place, context["k"])}

    def _seen_places(self, place: Place, k_BSG: Tensor) -> Tensor:
        """Return which places of a history the token sees, by how old what stands there is: [B, S], or [1, S] where rows see the same."""
        age_S = place.position - torch.arange(k_BSG.shape[1], device=k_BSG.device)
        span, oldest = self.sizes.span, place.since_start
        if span is not None:
            age_S = age_S % span
            oldest = oldest % span if self.sizes.liv_class.operator.sparsity == BLOCK_DIAGONAL else oldest
        oldest_B = torch.as_tensor(oldest, device=k_BSG.device).reshape(-1, 1)
        return (age_S >= 0) & (age_S <= oldest_B)


class SoftmaxAttention(HistoryAttention):
    """`T = softmax(q k^T / sqrt(P))` per head."""

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
        return _merge(reference.softmax_attention(*self._heads(features), self._span_of(BANDED), self._span_of(BLOCK_DIAGONAL)))

    def read(self, token: Features, context: State) -> Tensor:
        """Return [B, D]: the token's query against the context."""
        q, k, v = self._heads({"q": token["q"].unsqueeze(1), **context})
        if "seen" in context:
            return _merge(_attend(q, k, v, attn_mask=context["seen"][:, None, None])).squeeze(1)
        with _for_growing_keys(q.device):
            return _merge(_attend(q, k, v)).squeeze(1)


def _attend(q: Tensor, k: Tensor, v: Tensor, is_causal: bool = False, attn_mask: Tensor | None = None) -> Tensor:
    grouped = k.shape[1] != q.shape[1]
    q, k, scale = _widened(q, k, v)
    return functional.scaled_dot_product_attention(q, k, v, attn_mask, is_causal=is_causal, scale=scale, enable_gqa=grouped)


def _for_growing_keys(device: torch.device) -> AbstractContextManager[object]:
    """Return the context for keys of another number at every call, each of which cuDNN would plan anew."""
    return sdpa_kernel(list(UNPLANNED)) if device.type == "cuda" else nullcontext()


def _widened(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, float | None]:
    """Return q, k and their scale for fused kernels, which want heads of one width: zeros change no product."""
    if q.shape[-1] >= v.shape[-1]:
        return q, k, None
    padding = (0, v.shape[-1] - q.shape[-1])
    return functional.pad(q, padding), functional.pad(k, padding), q.shape[-1] ** -0.5


def _band(span: int, chunks: int, device: torch.device) -> Tensor:
    """Return which keys of the chunk before and its own each query of a chunk sees, [C, L, 2 L]; the first chunk has none before."""
    query, key = torch.arange(span, device=device)[:, None] + span, torch.arange(2 * span, device=device)
    seen = (key <= query) & (key > query - span)
    return torch.stack([seen & (key >= span), *[seen] * (chunks - 1)])


def score_activation(nonlinearity: int) -> Callable[[Tensor], Tensor]:
    """Return the activation of scores, of unit mean square over a standard normal distribution, which scores begin with."""
    activation, gain = ACTIVATIONS[nonlinearity], SCORE_GAINS[nonlinearity]
    return lambda scores: activation(scores) * gain


class ScoredAttention(HistoryAttention):
    """Attention whose scores are weighted one by one: `T = gain act(q k^T / sqrt(P)) / n` per head, n the number of tokens seen (Wortsman
    et al. 2023); or, without a nonlinearity, `phi(q) phi(k)^T` over a window or block, rows divided by their sum."""

    def mix(self, features: Features) -> Tensor:
        """Return [B, T, D], a chunk of queries at a time; the scores of a chunk are computed again for its gradient, not kept."""
        q, k, v = self._operands(features)
        length, heads, chunks = q.shape[2], k.shape[1], []
        for start in range(0, length, QUERY_CHUNK):
            end, first = min(length, start + QUERY_CHUNK), self._first_held(start)
            part = q[:, :, start:end].unflatten(1, (heads, -1)), k[:, :, first:end], v[:, :, first:end]
            seen = self._seen(start, end, first, q.device)
            again = length > QUERY_CHUNK and torch.is_grad_enabled()
            out = checkpoint(self._weigh, *part, seen, use_reentrant=False, preserve_rng_state=False) if again else self._weigh(*part, seen)
            chunks.append(out.flatten(1, 2))
        return _merge(torch.cat(chunks, 2)).to(features["v"].dtype)

    def _operands(self, features: Features) -> tuple[Tensor, Tensor, Tensor]:
        """Return q [B, H, T, P] and k and v [B, K, T, P] in one precision, q and k as positive features where there is no activation."""
        q, k, v = self._heads(features)
        if self.sizes.liv_class.operator.nonlinearity == LINEAR:
            q, k = positive(q), positive(k)
        precise = torch.promote_types(torch.promote_types(q.dtype, k.dtype), v.dtype)
        return q.to(precise), k.to(precise), v.to(precise)

    def _seen(self, start: int, end: int, first: int, device: torch.device) -> Tensor:
        """Return which keys from `first` on the queries from `start` to `end` see, [L, S]."""
        query, key = torch.arange(start, end, device=device)[:, None], torch.arange(first, end, device=device)
        span, seen = self.sizes.span, key <= query
        if span is None:
            return seen
        return seen & (key // span == query // span if self.sizes.liv_class.operator.sparsity == BLOCK_DIAGONAL else key > query - span)

    def _weigh(self, q_BKRLP: Tensor, k_BKSP: Tensor, v_BKSP: Tensor, seen_LS: Tensor) -> Tensor:
        """Return the weighted sums of values [B, K, R, L, P], R heads to every key head; `seen_LS` may have more dimensions before."""
        scores = (q_BKRLP.flatten(2, 3) @ k_BKSP.transpose(-1, -2)).unflatten(2, q_BKRLP.shape[2:4])
        nonlinearity = self.sizes.liv_class.operator.nonlinearity
        if nonlinearity == LINEAR:
            weights = scores.masked_fill(~seen_LS, 0)
            weights = weights / weights.sum(-1, keepdim=True)
        else:
            weights = score_activation(nonlinearity)(scores * q_BKRLP.shape[-1] ** -0.5).masked_fill(~seen_LS, 0)
            weights = weights / seen_LS.sum(-1, keepdim=True)
        return (weights.flatten(2, 3) @ v_BKSP).unflatten(2, q_BKRLP.shape[2:4])

    def reference(self, features: Features) -> Tensor:
        """Return [B, T, D] by the explicit T x T matrix."""
        q, k, v = self._operands(features)
        nonlinearity, spans = self.sizes.liv_class.operator.nonlinearity, (self._span_of(BANDED), self._span_of(BLOCK_DIAGONAL))
        if nonlinearity == LINEAR:
            out = reference.linear_attention(q, k, v, *spans)
        else:
            out = reference.pointwise_attention(q, k, v, score_activation(nonlinearity), *spans)
        return _merge(out).to(features["v"].dtype)

    def read(self, token: Features, context: State) -> Tensor:
        """Return [B, D]: the token's query against the context."""
        q, k, v = self._operands({"q": token["q"].unsqueeze(1), **context})
        everything = torch.ones(1, k.shape[2], dtype=torch.bool, device=k.device)
        seen = context.get("seen", everything)[:, None, None, None]
        out = self._weigh(q.unflatten(1, (k.shape[1], -1)), k, v, seen)
        return _merge(out.flatten(1, 2)).squeeze(1).to(token["q"].dtype)


class LinearAttention(TokenMixing):
    """`T = phi(q) phi(k)^T` per head, rows normalised, phi = elu + 1 (Katharopoulos et al. 2020, equation 9)."""

    padding_fill = MappingProxyType({"k": -torch.inf})  # phi of it is zero: a key of zero would count in the normaliser

    def mix(self, features: Features) -> Tensor:
        """Return [B, T, D] in chunks: a masked product within a chunk, a running sum of states between chunks; on a GPU by the kernels of a
        recurrence, which this is, without a decay."""
        if self._has_kernels(features):
            return self._by_kernels(features)
        return self._finished(self._mixed(*self._chunks(features)), features["v"])

    def difference(self, features: Features, half: Callable[[int], Features]) -> Tensor:
        """Return [B, T, D], the heads of both branches side by side; one after the other by kernels, which need no chunks laid out."""
        first = half(0)
        if self._has_kernels(first):
            return super().difference(features, half)
        chunks = zip(self._chunks(first), self._chunks(half(1)), strict=True)
        one, two = self._mixed(*(torch.cat(pair, 1) for pair in chunks)).chunk(2, 1)
        return self._finished(one - features["lambda"] * two, features["v"])

    def _has_kernels(self, features: Features) -> bool:
        return has_head_scan(features["v"], features["q"].shape[-1] // self.sizes.heads, self.sizes.head_width)

    def _by_kernels(self, features: Features) -> Tensor:
        width = features["q"].shape[-1] // self.sizes.heads
        v = lowered(features["v"]).unflatten(-1, (-1, self.sizes.head_width))
        q, k = (positive(features[name]).to(v.dtype).unflatten(-1, (-1, width)) for name in "qk")
        k, v = (x if self._repeat == 1 else x.repeat_interleave(self._repeat, 2) for x in (k, v))
        no_decay, ones = v.new_zeros(v.shape[:-1], dtype=torch.float32), v.new_ones(*v.shape[:-1], 1)
        sums, rows = (head_scan(no_decay, k, q, values)[0] for values in (v, ones))
        return (sums / rows).flatten(2).to(features["v"].dtype)

    def _mixed(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return [B, H, C, L, P] of chunks as `_chunks` makes them."""
        scores = (q @ k.transpose(-1, -2)).tril()
        states = k.transpose(-1, -2) @ v
        before = functional.pad(states.cumsum(2)[:, :, :-1], (0, 0, 0, 0, 1, 0))
        sums = scores @ v + q @ before
        return sums[..., : self.sizes.head_width] / sums[..., -1:]

    @staticmethod
    def _finished(mixed: Tensor, v: Tensor) -> Tensor:
        return _merge(mixed.flatten(2, 3)[:, :, : v.shape[1]]).to(v.dtype)

    @property
    def _repeat(self) -> int:
        return self.sizes.liv_class.groups["k"].repeat

    def _keys_and_values(self, features: Features) -> tuple[Tensor, Tensor]:
        """Return phi(k) and v, [B, K, T, P], in the precision of phi(k)."""
        k, v = (split_heads(features[name], self.sizes.heads // self._repeat) for name in "kv")
        return positive(k), v.to(positive(k).dtype)

    def _chunks(self, features: Features) -> tuple[Tensor, Tensor, Tensor]:
        """Return phi(q), phi(k) and v with columns of ones, each [B, H, C, L, P]; every head has its key head's."""
        padding = -features["v"].shape[1] % CHUNK
        q, (k, v) = positive(split_heads(features["q"], self.sizes.heads)), self._keys_and_values(features)
        k, v = (x if self._repeat == 1 else x.repeat_interleave(self._repeat, 1) for x in (k, v))
        # One would do, but a GPU's fast products take rows of 16 bytes.
        v = functional.pad(v, (0, 8 if v.is_cuda else 1), value=1.0)
        # Padded queries are ones, so that their rows divide by something positive; padded keys are zero.
        q = functional.pad(q, (0, 0, 0, padding), value=1.0)
        k, v = functional.pad(k, (0, 0, 0, padding)), functional.pad(v, (0, 0, 0, padding))
        return q.unflatten(2, (-1, CHUNK)), k.unflatten(2, (-1, CHUNK)), v.unflatten(2, (-1, CHUNK))

    def reference(self, features: Features) -> Tensor:
        """Return [B, T, D] by the explicit T x T matrix."""
        q = positive(split_heads(features["q"], self.sizes.heads))
        return _merge(reference.linear_attention(q, *self._keys_and_values(features))).to(features["v"].dtype)

    def allocate(self, allocate: Allocate, max_length: int, forms: tuple[str, ...]) -> State:
        """Return the sum of outer products and the sum of keys, of every key head."""
        if not forms:
            return {}
        heads, key_width = self.sizes.heads // self._repeat, self.sizes.key_width // self.sizes.liv_class.branches
        return {"state": allocate(heads, key_width, self.sizes.head_width), "normaliser": allocate(heads, key_width)}

    def write(self, features: Features, state: State) -> None:
        """Sum over the prompt."""
        if state:
            k, v = self._keys_and_values(features)
            state["state"].copy_(k.transpose(-1, -2) @ v)
            state["normaliser"].copy_(k.sum(2))

    def update(self, token: Features, state: State, place: Place, shared: Features) -> State:
        """Add the token's outer product."""
        if not state:
            return dict(shared)
        k, v = self._keys_and_values({name: token[name].unsqueeze(1) for name in "kv"})
        state["state"] += (k.transpose(-1, -2) @ v).to(state["state"].dtype)
        state["normaliser"] += k.sum(2).to(state["normaliser"].dtype)
        return state

    def read(self, token: Features, context: State) -> Tensor:
        """Return [B, D]: the key head's state seen by the token's query."""
        q = positive(split_heads(token["q"].unsqueeze(1), self.sizes.heads))
        q = q.flatten(1, 2).unflatten(1, (-1, self._repeat))
        numerator = q @ context["state"].to(q.dtype)
        denominator = q @ context["normaliser"].to(q.dtype).unsqueeze(-1)
        return (numerator / denominator).flatten(1).to(token["q"].dtype)


def positive(x: Tensor) -> Tensor:
    """Return elu(x) + 1, in fp32 at least."""
    return functional.elu(x.to(torch.promote_types(x.dtype, torch.float32))) + 1


def split_heads(x_BTD: Tensor, heads: int) -> Tensor:
    """Return [B, heads, T, D / heads]."""
    return x_BTD.unflatten(-1, (heads, -1)).transpose(1, 2)


def _merge(x_BHTP: Tensor) -> Tensor:
    return x_BHTP.transpose(1, 2).flatten(2)


def rotary_table(length: int, head_width: int, like: Tensor, start: int | Tensor = 0) -> Tensor:
    """Return what `rotate` multiplies pairs with, [2, T, 2, P / 2] in the dtype and on the device of `like`; positions from `start`.

    Where every row has a start of its own, [B], it is [2, B, T, 2, P / 2].

    The first part is the cosines, twice; the second the sines, negative for the first half of a head.
    """
    half = head_width // 2
    frequencies = ROTARY_BASE ** (-torch.arange(half, device=like.device, dtype=torch.float64) / half)
    steps = torch.arange(length, device=like.device, dtype=torch.float64)
    positions = steps + (start.unsqueeze(-1) if isinstance(start, Tensor) else start)
    angles = positions.unsqueeze(-1) * frequencies
    cosine, sine = angles.cos(), angles.sin()
    return torch.stack((torch.stack((cosine, cosine), -2), torch.stack((-sine, sine), -2))).to(like.dtype)


def rotate(x_BTD: Tensor, head_width: int, table: Tensor | None = None) -> Tensor:
    """Apply rotary position embedding to every head (Su et al. 2021), halves paired as in Llama, by a `rotary_table`; from position 0
    where none is given."""
    if table is None:
        table = _whole_table(x_BTD.shape[1], head_width, x_BTD.dtype, x_BTD.device)
    cosine, sine = table.unsqueeze(-3)
    halves = x_BTD.unflatten(-1, (-1, 2, head_width // 2))
    return (halves * cosine + _swapped(halves) * sine).flatten(-3)


def _swapped(halves: Tensor) -> Tensor:
    """Return [..., 2, P / 2] with the halves exchanged.

    By a flip, not by slices and a concatenation: compiled, those are many masked loads, in the backward pass above all. A CPU that calls
    operations one by one has a slow flip, and is twice as fast at a product with a permutation, whose zeros and ones change no bit.
    """
    if halves.device.type != "cpu" or torch.compiler.is_compiling():
        return halves.flip(-2)
    whole = halves.flatten(-2)
    return (whole @ _permutation(whole.shape[-1], whole.dtype)).view_as(halves)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _permutation(head_width: int, dtype: torch.dtype) -> Tensor:
    return torch.eye(head_width, dtype=dtype).roll(head_width // 2, 0)


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _whole_table(length: int, head_width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the table from position 0: every LIV of every step asks for the same one."""
    return rotary_table(length, head_width, torch.empty(0, dtype=dtype, device=device))
