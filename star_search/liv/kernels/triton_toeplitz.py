"""A long causal convolution in Triton, channel by channel: its Toeplitz matrix by tiles of L x L, made from the kernel as they are used.

Shapes: B rows, D channels, T tokens; x and gradients are [B, D, BEFORE + T + AFTER], zero around T, so that no load needs a mask; the
kernel is [D, L + T + L], zero around T.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201
# Triton compiles this text; its arguments are pointers and compile-time constants.

import triton
import triton.language as tl


@triton.jit
def convolve_kernel(
    x, kernel, y, B, D, T, before, stride, REVERSE: tl.constexpr, L: tl.constexpr, BLOCKS: tl.constexpr, ROWS: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """y_t = sum of kernel_lag x_{t - lag}; in reverse, of kernel_lag x_{t + lag}. x begins at `before` of a row of `stride`.

    A program makes BLOCKS blocks of L tokens of ROWS rows: a product [L, L] x [L, BLOCKS ROWS] for every lag in whole blocks.
    """
    channel = tl.program_id(0).to(tl.int64)
    blocks = tl.cdiv(T, L)
    first_block = tl.program_id(1) * BLOCKS
    column, within = tl.arange(0, BLOCKS * ROWS), tl.arange(0, L)
    block, row = first_block + column // ROWS, tl.minimum(tl.program_id(2) * ROWS + column % ROWS, B - 1).to(tl.int64)
    # In reverse, blocks are counted from the end, and within a block the matrix is transposed.
    place = blocks - 1 - block if REVERSE else block
    at_row = x + (row * D + channel) * stride + before
    lag = within[None, :] - within[:, None] if REVERSE else within[:, None] - within[None, :]
    at_lag = kernel + channel * (T + 2 * L) + L + lag
    total = tl.zeros((L, BLOCKS * ROWS), tl.float32)
    for lag_block in range(first_block + BLOCKS):
        source = place + lag_block if REVERSE else place - lag_block
        matrix = tl.load(at_lag + tl.minimum(lag_block, blocks - 1) * L)
        values = tl.load(at_row[None, :] + (source * L)[None, :] + within[:, None])
        total += tl.dot(matrix, values, input_precision=PRECISION)
    t = place[None, :] * L + within[:, None]
    inside = (t >= 0) & (t < T) & (tl.program_id(2) * ROWS + column % ROWS < B)[None, :]
    tl.store(y + (row * D + channel)[None, :] * T + t, total, inside)


@triton.jit
def correlate_kernel(
    x, gradient, to_kernel, B, D, C, before, stride, L: tl.constexpr, BLOCKS: tl.constexpr, PRECISION: tl.constexpr
):  # fmt: skip
    """to_kernel[lag] = sum over rows and t of gradient[t] x[t - lag], in two parts to be added, [2, D, C L].

    A program takes blocks of L tokens d apart, sums their products [L, L] over rows and blocks, and adds up the diagonals: those from
    the main one on are lags from d L on, the others those before.
    """
    d, channel = tl.program_id(0), tl.program_id(1).to(tl.int64)
    within, number = tl.arange(0, L), tl.arange(0, BLOCKS)
    total = tl.zeros((L, L), tl.float32)
    for row in range(B):
        at_row = (row * D + channel) * stride + before
        for first in range(0, C - d, BLOCKS):
            block = first + number
            inside = block < C - d
            later = tl.load(gradient + at_row + (block + d)[None, :] * L + within[:, None], inside[None, :], 0.0)
            earlier = tl.load(x + at_row + block[:, None] * L + within[None, :], inside[:, None], 0.0)
            total += tl.dot(later, earlier, input_precision=PRECISION)
    diagonals = tl.gather(total, (within[:, None] - within[None, :] + L) % L, 1)
    from_main = within[:, None] >= within[None, :]
    lag = channel * C * L + d * L + within
    tl.store(to_kernel + lag, tl.sum(tl.where(from_main, diagonals, 0.0), 0))
    others = to_kernel + tl.num_programs(1).to(tl.int64) * C * L
    tl.store(others + lag - L, tl.sum(tl.where(from_main, 0.0, diagonals), 0), d > 0)
    # No block is C apart from another.
    tl.store(others + lag, tl.zeros((L,), tl.float32), d == C - 1)
