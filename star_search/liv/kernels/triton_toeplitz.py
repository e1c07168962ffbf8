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
    x, gradient, to_kernel, B, D, T, before, stride, L: tl.constexpr, SPAN: tl.constexpr, BLOCKS: tl.constexpr, PRECISION: tl.constexpr
):
    """to_kernel[L a + c] = sum over rows and s of gradient[s + c] x[s - L a]: a product [L, B T] x [B T, BLOCKS]."""
    channel = tl.program_id(0).to(tl.int64)
    first_block = tl.program_id(1) * BLOCKS
    fine, coarse, within = tl.arange(0, L), first_block + tl.arange(0, BLOCKS), tl.arange(0, SPAN)
    total = tl.zeros((L, BLOCKS), tl.float32)
    for row in range(B):
        at_row = (row * D + channel) * stride + before
        at_ahead = gradient + at_row + fine[:, None] + within[None, :]
        at_behind = x + at_row + within[:, None] - L * coarse[None, :]
        for start in range(first_block * L, T, SPAN):
            total += tl.dot(tl.load(at_ahead + start), tl.load(at_behind + start), input_precision=PRECISION)
    lag = coarse[None, :] * L + fine[:, None]
    tl.store(to_kernel + channel * T + lag, total, lag < T)
