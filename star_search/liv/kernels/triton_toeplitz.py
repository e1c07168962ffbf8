"""A long causal convolution in Triton, channel by channel: its Toeplitz matrix by tiles of L x L, made from the kernel as they are used.

Shapes: B rows, D channels, T tokens in C blocks of L; x and gradients are [B, D, T]; the kernel is [D, MARGIN + T + MARGIN], zero
around T. EVEN says that T is a multiple of L.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201
# Triton compiles this text; its arguments are pointers and compile-time constants.

import triton
import triton.language as tl


@triton.jit
def convolve_kernel(
    x, kernel, y, B, D, T, REVERSE: tl.constexpr, L: tl.constexpr, BLOCKS: tl.constexpr, ROWS: tl.constexpr, MARGIN: tl.constexpr,
    EVEN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """y_t = sum of kernel_lag x_{t - lag}; in reverse, of kernel_lag x_{t + lag}.

    A program makes BLOCKS blocks of L tokens of ROWS rows: a product [L, L] x [L, BLOCKS ROWS] for every lag in whole blocks.
    """
    channel = tl.program_id(0).to(tl.int64)
    blocks = tl.cdiv(T, L)
    first_block = tl.program_id(1) * BLOCKS
    column, within = tl.arange(0, BLOCKS * ROWS), tl.arange(0, L)
    block, row = first_block + column // ROWS, tl.minimum(tl.program_id(2) * ROWS + column % ROWS, B - 1).to(tl.int64)
    # In reverse, blocks are counted from the end, and within a block the matrix is transposed.
    place = blocks - 1 - block if REVERSE else block
    at_row = (row * D + channel) * T
    lag = within[None, :] - within[:, None] if REVERSE else within[:, None] - within[None, :]
    at_lag = kernel + channel * (T + 2 * MARGIN) + MARGIN + lag
    total = tl.zeros((L, BLOCKS * ROWS), tl.float32)
    for lag_block in range(tl.minimum(first_block + BLOCKS, blocks)):
        source = place + lag_block if REVERSE else place - lag_block
        seen = ((source >= 0) & (source < blocks))[None, :]
        if not EVEN:
            seen = seen & ((source * L)[None, :] + within[:, None] < T)
        matrix = tl.load(at_lag + lag_block * L)
        values = tl.load(x + (at_row + source * L)[None, :] + within[:, None], seen, 0.0)
        total += tl.dot(matrix, values, input_precision=PRECISION)
    t = place[None, :] * L + within[:, None]
    inside = (t >= 0) & (t < T) & (tl.program_id(2) * ROWS + column % ROWS < B)[None, :]
    tl.store(y + at_row[None, :] + t, total, inside)


@triton.jit
def correlate_kernel(
    x, gradient, to_kernel, B, D, T, L: tl.constexpr, BLOCKS: tl.constexpr, EVEN: tl.constexpr, PRECISION: tl.constexpr
):  # fmt: skip
    """to_kernel[lag] = sum over rows and t of gradient[t] x[t - lag], in two parts to be added, [2, D, C L].

    A program takes blocks of L tokens d apart, sums their products [L, L] over rows and blocks, BLOCKS at a time, and adds up the
    diagonals: those from the main one on are lags from d L on, the others those before.
    """
    d, channel = tl.program_id(0), tl.program_id(1).to(tl.int64)
    C = tl.num_programs(0)
    within, number = tl.arange(0, L), tl.arange(0, BLOCKS)
    total = tl.zeros((L, L), tl.float32)
    for first in range(0, B * (C - d), BLOCKS):
        row, block = (first + number) // (C - d), (first + number) % (C - d)
        inside = row < B
        at = (row.to(tl.int64) * D + channel) * T + block * L
        later_seen, earlier_seen = inside[None, :], inside[:, None]
        if not EVEN:
            later_seen = later_seen & (((block + d) * L)[None, :] + within[:, None] < T)
            earlier_seen = earlier_seen & ((block * L)[:, None] + within[None, :] < T)
        later = tl.load(gradient + (at + d * L)[None, :] + within[:, None], later_seen, 0.0)
        earlier = tl.load(x + at[:, None] + within[None, :], earlier_seen, 0.0)
        total += tl.dot(later, earlier, input_precision=PRECISION)
    diagonals = tl.gather(total, (within[:, None] - within[None, :] + L) % L, 1)
    from_main = within[:, None] >= within[None, :]
    lag = channel * C * L + d * L + within
    tl.store(to_kernel + lag, tl.sum(tl.where(from_main, diagonals, 0.0), 0))
    others = to_kernel + tl.num_programs(1).to(tl.int64) * C * L
    tl.store(others + lag - L, tl.sum(tl.where(from_main, 0.0, diagonals), 0), d > 0)
    # No block is C apart from another.
    tl.store(others + lag, tl.zeros((L,), tl.float32), d == C - 1)
