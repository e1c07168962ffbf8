"""A gate's activation times a value, in Triton: every element read and written once, in fp32 between.

Shapes: N tokens, E channels of the gate, G of the projection that gate and value are columns of.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202
# Triton compiles this text; its arguments are pointers and compile-time constants.

import triton
import triton.language as tl


@triton.jit
def _places(N, E, G, TOKENS: tl.constexpr, CHANNELS: tl.constexpr):
    """Return where a program's elements are in the projection and in the product, and which there are."""
    token = tl.program_id(0).to(tl.int64) * TOKENS + tl.arange(0, TOKENS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    inside = (token < N)[:, None] & (channel < E)[None, :]
    return token[:, None] * G + channel[None, :], token[:, None] * E + channel[None, :], inside


@triton.jit
def _activated(x, ACTIVATION: tl.constexpr):
    """Return act(x) and its derivative."""
    if ACTIVATION == "silu":
        sigmoid = 1 / (1 + tl.exp(-x))
        activated, slope = x * sigmoid, sigmoid * (1 + x * (1 - sigmoid))
    elif ACTIVATION == "gelu":
        below = 0.5 * (1 + tl.erf(x * 0.7071067811865476))
        activated, slope = x * below, below + x * 0.3989422804014327 * tl.exp(-0.5 * x * x)
    elif ACTIVATION == "relu":
        activated, slope = tl.maximum(x, 0.0), tl.where(x > 0, 1.0, 0.0)
    else:
        activated, slope = x, tl.full(x.shape, 1.0, tl.float32)
    return activated, slope


@triton.jit
def product_kernel(
    projected, product, N, E, G, gate, value, ACTIVATION: tl.constexpr, TOKENS: tl.constexpr, CHANNELS: tl.constexpr
):  # fmt: skip
    """product = act(gate) value; `gate` and `value` are the first columns of each."""
    there, here, inside = _places(N, E, G, TOKENS, CHANNELS)
    x, v = tl.load(projected + gate + there, inside).to(tl.float32), tl.load(projected + value + there, inside).to(tl.float32)
    activated, _ = _activated(x, ACTIVATION)
    tl.store(product + here, activated * v, inside)


@triton.jit
def gradient_kernel(
    projected, gradient, result, N, E, G, gate, value, ACTIVATION: tl.constexpr, TOKENS: tl.constexpr, CHANNELS: tl.constexpr
):  # fmt: skip
    """Put the gradients of gate and value where those are in the projection."""
    there, here, inside = _places(N, E, G, TOKENS, CHANNELS)
    x, v = tl.load(projected + gate + there, inside).to(tl.float32), tl.load(projected + value + there, inside).to(tl.float32)
    g = tl.load(gradient + here, inside).to(tl.float32)
    activated, slope = _activated(x, ACTIVATION)
    tl.store(result + gate + there, g * v * slope, inside)
    tl.store(result + value + there, g * activated, inside)
