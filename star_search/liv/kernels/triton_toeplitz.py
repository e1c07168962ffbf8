"""A long causal convolution in Triton, channel by channel: its Toeplitz matrix by tiles of L x L, made from the kernel as they are used.

Shapes: B rows, D channels, T tokens; x, y and gradients are [B, D, T], the kernel is [D, T].
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201
# Triton compiles this text; its arguments are pointers and compile-time constants.

import triton
import triton.language as tl


@triton.jit
def convolve_kernel(
    x, kernel, y, B, D, T, REVERSE: tl.constexpr, L: tl.constexpr, BLOCKS: tl.constexpr, ROWS: tl.constexpr, PRECISION: tl.constexpr
):
    """y_t = sum of kernel_lag x_{t - lag}; in reverse, of kernel_lag x_{t + lag}.

    A program makes BLOCKS blocks of L tokens of ROWS rows: a product [L, L] x [L, BLOCKS ROWS] for every lag in whole blocks.
    """
    channel = tl.program_id(0).to(tl.int64)
    first_block = tl.program_id(1) * BLOCKS
    column, within = tl.arange(0, BLOCKS * ROWS), tl.arange(0, L)
    block, row = first_block + column // ROWS, (tl.program_id(2) * ROWS + column % ROWS).to(tl.int64)
    at_row = (row * D + channel) * T
    total = tl.zeros((L, BLOCKS * ROWS), tl.float32)
    for lag_block in range(first_block + BLOCKS):
        lag = lag_block * L + within[:, None] - within[None, :]
        matrix = tl.load(kernel + channel * T + lag, (lag >= 0) & (lag < T), 0.0)
        t = (block - lag_block)[None, :] * L + within[:, None]
        mask = (t >= 0) & (t < T) & (row < B)[None, :]
        values = tl.load(x + at_row[None, :] + (T - 1 - t if REVERSE else t), mask, 0.0)
        total += tl.dot(matrix, values, input_precision=PRECISION)
    t = block[None, :] * L + within[:, None]
    tl.store(y + at_row[None, :] + (T - 1 - t if REVERSE else t), total, (t < T) & (row < B)[None, :])


@triton.jit
def correlate_kernel(x, gradient, to_kernel, B, D, T, L: tl.constexpr, SPAN: tl.constexpr, BLOCKS: tl.constexpr, PRECISION: tl.constexpr):
    """to_kernel[L a + c] = sum over rows and s of gradient[s + c] x[s - L a]: a product [L, B T] x [B T, BLOCKS]."""
    channel = tl.program_id(0).to(tl.int64)
    first_block = tl.program_id(1) * BLOCKS
    fine, coarse, within = tl.arange(0, L), first_block + tl.arange(0, BLOCKS), tl.arange(0, SPAN)
    total = tl.zeros((L, BLOCKS), tl.float32)
    for row in range(B):
        at_row = (row * D + channel) * T
        for start in range(first_block * L, T, SPAN):
            s = start + within
            t = s[None, :] + fine[:, None]
            ahead = tl.load(gradient + at_row + t, t < T, 0.0)
            behind_t = s[:, None] - L * coarse[None, :]
            behind = tl.load(x + at_row + behind_t, (behind_t >= 0) & (s < T)[:, None], 0.0)
            total += tl.dot(ahead, behind, input_precision=PRECISION)
    lag = coarse[None, :] * L + fine[:, None]
    tl.store(to_kernel + channel * T + lag, total, lag < T)
