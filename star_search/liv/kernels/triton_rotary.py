"""Up to three parts of a projection taken apart and, where asked, rotated, in Triton; and put together again for the gradient.

Shapes: N tokens, G channels of the projection, W channels that rotate together.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201
# Triton compiles this text; its arguments are pointers and compile-time constants.

import triton
import triton.language as tl


@triton.jit
def parts_kernel(
    whole, first, second, third, table, N, T, G, first_units, second_units, third_units, TURNED: tl.constexpr, BACK: tl.constexpr,
    W: tl.constexpr, HALF: tl.constexpr, TOKENS: tl.constexpr,
):  # fmt: skip
    """One unit of W channels for TOKENS tokens: from `whole` to its part, or BACK, turned the other way. Bit i of TURNED is part i."""
    unit = tl.program_id(1)
    token, p = tl.program_id(0).to(tl.int64) * TOKENS + tl.arange(0, TOKENS), tl.arange(0, HALF)
    if unit < first_units:
        part, place, units, turned = first, unit, first_units, TURNED & 1
    elif unit < first_units + second_units:
        part, place, units, turned = second, unit - first_units, second_units, (TURNED >> 1) & 1
    else:
        part, place, units, turned = third, unit - first_units - second_units, third_units, (TURNED >> 2) & 1
    mask = (token < N)[:, None] & (p < W // 2)[None, :]
    at_whole = whole + token[:, None] * G + unit * W + p[None, :]
    at_part = part + token[:, None] * units * W + place * W + p[None, :]
    source, target = (at_part, at_whole) if BACK else (at_whole, at_part)
    x, y = tl.load(source, mask).to(tl.float32), tl.load(source + W // 2, mask).to(tl.float32)
    if turned:
        at_table = table + (token % T)[:, None] * W + p[None, :]
        cosine = tl.load(at_table, mask).to(tl.float32)
        # The table's sines are negative for the first half.
        sine = tl.load(at_table + T * W + W // 2, mask).to(tl.float32)
        sine = -sine if BACK else sine
        x, y = x * cosine - y * sine, y * cosine + x * sine
    tl.store(target, x, mask)
    tl.store(target + W // 2, y, mask)
