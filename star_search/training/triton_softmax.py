"""Loss and gradient of a softmax in Triton, a program per token: two passes over a row that is read from memory once.

Shapes: N tokens, V vocabulary.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202
# Triton compiles this text; its arguments are pointers and compile-time constants.

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def _power(x, top):
    return tl.exp2((x.to(tl.float32) - top) * LOG2_E)


@triton.jit
def softmax_gradient_kernel(logits, targets, losses, V, scale, BLOCK: tl.constexpr):
    """Put `scale (softmax - one at the target)` in the place of a row of logits; the second pass finds the row in the cache.

    Exponentials are summed relative to the highest logit of the first block, so that each is computed once; only where another is so
    much higher that the sum overflows, relative to the highest of all.
    """
    row = tl.program_id(0).to(tl.int64)
    target, places = tl.load(targets + row), tl.arange(0, BLOCK)
    at = logits + row * V
    highest = tl.load(at + places, places < V, float("-inf")).to(tl.float32)
    top = tl.max(highest, 0)
    exponentials = _power(highest, top)
    for start in range(BLOCK, V, BLOCK):
        exponentials += _power(tl.load(at + start + places, start + places < V, float("-inf")), top)
    total = tl.sum(exponentials, 0)
    if total == float("inf"):
        for start in range(BLOCK, V, BLOCK):
            highest = tl.maximum(highest, tl.load(at + start + places, start + places < V, float("-inf")).to(tl.float32))
        top = tl.max(highest, 0)
        exponentials = tl.zeros((BLOCK,), tl.float32)
        for start in range(0, V, BLOCK):
            exponentials += _power(tl.load(at + start + places, start + places < V, float("-inf")), top)
        total = tl.sum(exponentials, 0)
    below = tl.load(at + target).to(tl.float32) - top
    tl.store(losses + row, tl.log(total) - below)
    tl.debug_barrier()
    # In powers of two, the scale in the exponent; relative to the highest again, as the rounding of logits in the hundreds shows.
    shift = tl.log2(total) - tl.log2(scale)
    for start in range(0, V, BLOCK):
        column = start + places
        x = tl.load(at + column, column < V, 0.0).to(tl.float32)
        tl.store(at + column, tl.exp2((x - top) * LOG2_E - shift), column < V)
    tl.debug_barrier()
    tl.store(at + target, tl.exp2(below * LOG2_E - shift) - scale)
