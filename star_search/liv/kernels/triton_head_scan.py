"""The head recurrence in Triton, a program per row, head and chunk: states that chunks add, outputs, all gradients.

Shapes: B rows, T tokens, H heads, N state size, P channels of a head, C chunks of L tokens. Tensors are [B, T, H] and [B, T, H, N or P],
states [B, C, H, N, P]; NB and PB are N and P rounded up to powers of two, 16 at least.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202, D103
# Triton compiles this text; its arguments are pointers and compile-time constants.

import triton
import triton.language as tl


@triton.jit
def _tile(pointer, chunk, row_head, T, H, width, L: tl.constexpr, WIDTH: tl.constexpr):
    """Load [L, WIDTH] of a [B, T, H, width] tensor, zeros outside."""
    t, channel = chunk * L + tl.arange(0, L), tl.arange(0, WIDTH)
    at = ((row_head // H * T + t)[:, None] * H + row_head % H) * width + channel[None, :]
    return tl.load(pointer + at, (t < T)[:, None] & (channel < width)[None, :], 0.0)


@triton.jit
def _store_tile(pointer, values, chunk, row_head, T, H, width, L: tl.constexpr, WIDTH: tl.constexpr):
    t, channel = chunk * L + tl.arange(0, L), tl.arange(0, WIDTH)
    at = ((row_head // H * T + t)[:, None] * H + row_head % H) * width + channel[None, :]
    tl.store(pointer + at, values, (t < T)[:, None] & (channel < width)[None, :])


@triton.jit
def _log_decay(pointer, chunk, row_head, T, H, L: tl.constexpr):
    t = chunk * L + tl.arange(0, L)
    return tl.load(pointer + (row_head // H * T + t) * H + row_head % H, t < T, 0.0).to(tl.float32)


@triton.jit
def _state_places(chunk, row_head, C, H, N, P, NB: tl.constexpr, PB: tl.constexpr):
    n, p = tl.arange(0, NB), tl.arange(0, PB)
    at = ((row_head // H * C + chunk) * H + row_head % H) * N * P + n[:, None] * P + p[None, :]
    return at, (n < N)[:, None] & (p < P)[None, :]


@triton.jit
def _weights(total, L: tl.constexpr):
    """exp of the log decays after token j up to token i, zero above the diagonal."""
    i = tl.arange(0, L)
    return tl.exp(tl.where(i[:, None] >= i[None, :], total[:, None] - total[None, :], float("-inf")))


@triton.jit
def state_kernel(
    log_decay, B, u, states, decays, T, H, C, N, P, FORWARD: tl.constexpr, L: tl.constexpr, NB: tl.constexpr, PB: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """What a chunk adds to the state after it (FORWARD), or to the gradient of the state before it; and the chunk's whole decay."""
    chunk, row_head = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    a = _log_decay(log_decay, chunk, row_head, T, H, L)
    weight = tl.exp(tl.cumsum(a, 0, reverse=True) - a) if FORWARD else tl.exp(tl.cumsum(a, 0))
    b, x = _tile(B, chunk, row_head, T, H, N, L, NB), _tile(u, chunk, row_head, T, H, P, L, PB)
    added = tl.dot(tl.trans((b * weight[:, None]).to(x.dtype)), x, input_precision=PRECISION)
    at, mask = _state_places(chunk, row_head, C, H, N, P, NB, PB)
    tl.store(states + at, added, mask)
    tl.store(decays + (row_head // H * C + chunk) * H + row_head % H, tl.exp(tl.sum(a, 0)))


@triton.jit
def output_kernel(
    log_decay, B, Q, u, states, y, T, H, C, N, P, L: tl.constexpr, NB: tl.constexpr, PB: tl.constexpr, PRECISION: tl.constexpr
):
    chunk, row_head = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    total = tl.cumsum(_log_decay(log_decay, chunk, row_head, T, H, L), 0)
    b, q = _tile(B, chunk, row_head, T, H, N, L, NB), _tile(Q, chunk, row_head, T, H, N, L, NB)
    x = _tile(u, chunk, row_head, T, H, P, L, PB)
    at, mask = _state_places(chunk - 1, row_head, C, H, N, P, NB, PB)
    before = tl.load(states + at, mask & (chunk > 0), 0.0).to(x.dtype)
    scores = tl.dot(q, tl.trans(b), input_precision=PRECISION) * _weights(total, L)
    out = tl.dot(scores.to(x.dtype), x, input_precision=PRECISION)
    out += tl.dot((q * tl.exp(total)[:, None]).to(x.dtype), before, input_precision=PRECISION)
    _store_tile(y, out, chunk, row_head, T, H, P, L, PB)


@triton.jit
def gradient_kernel(
    log_decay, B, Q, u, states, dy, adjoints, to_decay, to_B, to_Q, to_u, T, H, C, N, P, L: tl.constexpr, NB: tl.constexpr,
    PB: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """`adjoints` are the gradients of the states before every chunk."""
    chunk, row_head = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    a = _log_decay(log_decay, chunk, row_head, T, H, L)
    total = tl.cumsum(a, 0)
    from_start, to_end = tl.exp(total)[:, None], tl.exp(tl.cumsum(a, 0, reverse=True) - a)[:, None]
    b, q = _tile(B, chunk, row_head, T, H, N, L, NB), _tile(Q, chunk, row_head, T, H, N, L, NB)
    x, g = _tile(u, chunk, row_head, T, H, P, L, PB), _tile(dy, chunk, row_head, T, H, P, L, PB)
    at, mask = _state_places(chunk, row_head, C, H, N, P, NB, PB)
    after = tl.load(states + at, mask, 0.0).to(tl.float32)
    next_at, _ = _state_places(chunk + 1, row_head, C, H, N, P, NB, PB)
    adjoint = tl.load(adjoints + next_at, mask & (chunk + 1 < C), 0.0).to(tl.float32)
    before_at, _ = _state_places(chunk - 1, row_head, C, H, N, P, NB, PB)
    before = tl.load(states + before_at, mask & (chunk > 0), 0.0).to(x.dtype)
    weights = _weights(total, L)
    scores = (tl.dot(q, tl.trans(b), input_precision=PRECISION) * weights).to(x.dtype)
    to_x = tl.dot(tl.trans(scores), g, input_precision=PRECISION)
    to_x += tl.dot((b * to_end).to(x.dtype), adjoint.to(x.dtype), input_precision=PRECISION)
    _store_tile(to_u, to_x, chunk, row_head, T, H, P, L, PB)
    to_scores = (tl.dot(g, tl.trans(x), input_precision=PRECISION) * weights).to(x.dtype)
    to_q = tl.dot(to_scores, b, input_precision=PRECISION)
    to_q += from_start * tl.dot(g, tl.trans(before), input_precision=PRECISION)
    to_b = tl.dot(tl.trans(to_scores), q, input_precision=PRECISION)
    to_b += to_end * tl.dot(x, tl.trans(adjoint.to(x.dtype)), input_precision=PRECISION)
    _store_tile(to_Q, to_q, chunk, row_head, T, H, N, L, NB)
    _store_tile(to_B, to_b, chunk, row_head, T, H, N, L, NB)
    # A decay scales all that was written before it and is read from it on: what is read later less what is written later.
    flow = tl.sum(q * to_q - b * to_b, 1)
    to_a = tl.cumsum(flow, 0, reverse=True) + tl.sum(after * adjoint)
    t = chunk * L + tl.arange(0, L)
    tl.store(to_decay + (row_head // H * T + t) * H + row_head % H, to_a, t < T)
