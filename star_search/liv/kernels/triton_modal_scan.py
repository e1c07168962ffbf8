"""A recurrence of several states a channel in Triton, a program per row, chunk of time and few channels with all of their states: states
that chunks add, outputs, all gradients. What is added to a state is made where it is needed, and never held.

Shapes: B rows, T tokens, N states, D channels, C chunks of L tokens. Log decays are [B, T, N, D], states [B, C, N, D]; NB is N rounded up
to a power of two.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202, D103
# Triton compiles this text; its arguments are pointers and compile-time constants.

import triton
import triton.language as tl

from star_search.liv.kernels.triton_scan import combine


@triton.jit
def _weight(z):
    """1 - exp(z): near zero by its series, since the difference would cancel."""
    series = z * (1 + z / 2 * (1 + z / 3 * (1 + z / 4 * (1 + z / 5 * (1 + z / 6)))))
    return -tl.where(z > -0.25, series, tl.exp(z) - 1)


@triton.jit
def _states(N, D, NB: tl.constexpr, CHANNELS: tl.constexpr):
    """All states of the program's channels in a row: the channel of each, its place among a token's, and whether it is there."""
    place = tl.arange(0, NB * CHANNELS)
    n, d = place // CHANNELS, tl.program_id(1) * CHANNELS + place % CHANNELS
    return d, n * D + d, (n < N) & (d < D)


@triton.jit
def _load(pointer, t, places, size, mask, T):
    """Load [L, places] of a [B, T, size] tensor of the program's row in fp32, zeros outside."""
    row = tl.program_id(2).to(tl.int64)
    return tl.load(pointer + ((row * T + t) * size)[:, None] + places[None, :], mask, 0.0).to(tl.float32)


@triton.jit
def _store_channels(pointer, values, t, T, D, L: tl.constexpr, NB: tl.constexpr, CHANNELS: tl.constexpr):
    """Store the sums over a channel's states in a [B, T, D] tensor."""
    channel, row = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS), tl.program_id(2).to(tl.int64)
    total = tl.sum(tl.reshape(values, (L, NB, CHANNELS)), 1)
    tl.store(pointer + ((row * T + t) * D)[:, None] + channel[None, :], total, (t < T)[:, None] & (channel < D)[None, :])


@triton.jit
def state_kernel(
    log_decay, weight, x, added, decays, T, C, N, D, FORWARD: tl.constexpr, L: tl.constexpr, NB: tl.constexpr, CHANNELS: tl.constexpr
):
    """What a chunk adds to the state after it (FORWARD), or to the gradient of the state before it; and the chunk's whole decay."""
    d, own, inside = _states(N, D, NB, CHANNELS)
    place, row = tl.arange(0, L), tl.program_id(2).to(tl.int64)
    t = tl.program_id(0) * L + place
    mask = (t < T)[:, None] & inside[None, :]
    z, w = _load(log_decay, t, own, N * D, mask, T), tl.load(weight + own, inside, 0.0).to(tl.float32)
    value, decay = w[None, :] * _load(x, t, d, D, mask, T), tl.exp(z)
    value = _weight(z) * value if FORWARD else decay * value
    product, total = tl.associative_scan((decay, value), 0, combine, reverse=not FORWARD)
    last = (place == (L - 1 if FORWARD else 0))[:, None]
    at = (row * C + tl.program_id(0)) * N * D + own
    tl.store(added + at, tl.sum(tl.where(last, total, 0.0), 0), inside)
    tl.store(decays + at, tl.sum(tl.where(last, product, 0.0), 0), inside)


@triton.jit
def output_kernel(log_decay, B, Q, v, states, y, T, C, N, D, L: tl.constexpr, NB: tl.constexpr, CHANNELS: tl.constexpr):
    d, own, inside = _states(N, D, NB, CHANNELS)
    chunk, row = tl.program_id(0), tl.program_id(2).to(tl.int64)
    t = chunk * L + tl.arange(0, L)
    mask = (t < T)[:, None] & inside[None, :]
    b, q = tl.load(B + own, inside, 0.0).to(tl.float32), tl.load(Q + own, inside, 0.0).to(tl.float32)
    z, x = _load(log_decay, t, own, N * D, mask, T), _load(v, t, d, D, mask, T)
    before = tl.load(states + (row * C + chunk - 1) * N * D + own, inside & (chunk > 0), 0.0)
    product, h = tl.associative_scan((tl.exp(z), _weight(z) * b[None, :] * x), 0, combine)
    h += product * before[None, :]
    _store_channels(y, h * q[None, :], t, T, D, L, NB, CHANNELS)


@triton.jit
def gradient_kernel(
    log_decay, B, Q, v, states, dy, adjoints, to_decay, to_B, to_Q, to_v, T, C, N, D, L: tl.constexpr, NB: tl.constexpr,
    CHANNELS: tl.constexpr,
):  # fmt: skip
    """`adjoints` are the gradients of the states before every chunk."""
    d, own, inside = _states(N, D, NB, CHANNELS)
    chunk, row = tl.program_id(0), tl.program_id(2).to(tl.int64)
    place = tl.arange(0, L)
    t = chunk * L + place
    mask = (t < T)[:, None] & inside[None, :]
    b, q = tl.load(B + own, inside, 0.0).to(tl.float32), tl.load(Q + own, inside, 0.0).to(tl.float32)
    at = (row * C + chunk) * N * D + own
    # The state before a token is what the scan has after the token before, and for the first the state before the chunk.
    first, earlier = (place == 0)[:, None], (place > 0)[:, None] & mask
    kept = tl.load(states + at - N * D, inside & (chunk > 0), 0.0)
    last_z, last_x = _load(log_decay, t - 1, own, N * D, earlier, T), _load(v, t - 1, d, D, earlier, T)
    started = tl.where(first, kept[None, :], _weight(last_z) * b[None, :] * last_x)
    _, before = tl.associative_scan((tl.where(first, 0.0, tl.exp(last_z)), started), 0, combine)
    # A gradient reaches a state through the decay of the token after; for the last, `adjoints` has been through it.
    later = ((place < L - 1) & (t + 1 < T))[:, None] & inside[None, :]
    next_z, g = _load(log_decay, t + 1, own, N * D, later, T), _load(dy, t, d, D, mask, T)
    product, adjoint = tl.associative_scan((tl.exp(next_z), q[None, :] * g), 0, combine, reverse=True)
    adjoint += product * tl.load(adjoints + at + N * D, inside & (chunk + 1 < C), 0.0)[None, :]
    z, x = _load(log_decay, t, own, N * D, mask, T), _load(v, t, d, D, mask, T)
    row_t = ((row * T + t) * N * D)[:, None]
    decay, weight = tl.exp(z), _weight(z)
    tl.store(to_decay + row_t + own[None, :], decay * adjoint * (before - b[None, :] * x), mask)
    tl.store(to_Q + at, tl.sum((decay * before + weight * b[None, :] * x) * g, 0), inside)
    weighted = weight * adjoint
    tl.store(to_B + at, tl.sum(weighted * x, 0), inside)
    _store_channels(to_v, weighted * b[None, :], t, T, D, L, NB, CHANNELS)
