"""The elementwise scan in Triton: tiles of time and feature, scanned within a tile, carried from tile to tile.

Shapes: B rows, T tokens, F features, G decays; feature f decays by `f // inner * width + f % width`.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, D103, PIE808
# Triton compiles this text; its arguments are pointers and compile-time constants.

import triton
import triton.language as tl


@triton.jit
def combine(first_decay, first_value, then_decay, then_value):
    return first_decay * then_decay, then_decay * first_value + then_value


@triton.jit
def forward_kernel(decay, values, states, T, F, G, inner, width, REVERSE: tl.constexpr, TIME: tl.constexpr, FEATURES: tl.constexpr):
    feature = tl.program_id(0) * FEATURES + tl.arange(0, FEATURES)
    row = tl.program_id(1).to(tl.int64)
    inside = feature < F
    at_decay = decay + row * T * G + feature // inner * width + feature % width
    at_value, at_state = values + row * T * F + feature, states + row * T * F + feature
    carry = tl.zeros((FEATURES,), tl.float32)
    place = tl.arange(0, TIME)
    for start in range(0, T, TIME):
        mask = (start + place < T)[:, None] & inside[None, :]
        t = T - 1 - (start + place) if REVERSE else start + place
        a = tl.load(at_decay[None, :] + t[:, None] * G, mask, 1.0).to(tl.float32)
        x = tl.load(at_value[None, :] + t[:, None] * F, mask, 0.0).to(tl.float32)
        product, h = tl.associative_scan((a, x), 0, combine)
        h += product * carry[None, :]
        tl.store(at_state[None, :] + t[:, None] * F, h, mask)
        carry = tl.sum(tl.where((place == TIME - 1)[:, None], h, 0.0), 0)


@triton.jit
def backward_kernel(decay, states, gradient, to_decay, to_values, T, F, G, inner, width, TIME: tl.constexpr, FEATURES: tl.constexpr):
    feature = tl.program_id(0) * FEATURES + tl.arange(0, FEATURES)
    row = tl.program_id(1).to(tl.int64)
    inside = feature < F
    at_decay = decay + row * T * G + feature // inner * width + feature % width
    base = row * T * F + feature
    carry = tl.zeros((FEATURES,), tl.float32)
    place = tl.arange(0, TIME)
    for index in range(0, tl.cdiv(T, TIME)):
        t = (tl.cdiv(T, TIME) - 1 - index) * TIME + place
        mask = (t < T)[:, None] & inside[None, :]
        # A gradient reaches the state before through the decay of the token after.
        later = (t < T - 1)[:, None] & inside[None, :]
        a = tl.load(at_decay[None, :] + (t + 1)[:, None] * G, later, 0.0).to(tl.float32)
        g = tl.load(gradient + base[None, :] + t[:, None] * F, mask, 0.0).to(tl.float32)
        product, adjoint = tl.associative_scan((a, g), 0, combine, reverse=True)
        adjoint += product * carry[None, :]
        tl.store(to_values + base[None, :] + t[:, None] * F, adjoint, mask)
        before = tl.load(states + base[None, :] + (t - 1)[:, None] * F, mask & (t > 0)[:, None], 0.0).to(tl.float32)
        tl.store(to_decay + base[None, :] + t[:, None] * F, adjoint * before, mask)
        carry = tl.sum(tl.where((place == 0)[:, None], adjoint, 0.0), 0)
