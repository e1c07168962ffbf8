"""Loss and gradient of a softmax in Triton, a program per token: two passes over a row that is read from memory once.

Shapes: N tokens, V vocabulary.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201
# Triton compiles this text; its arguments are pointers and compile-time constants.

import triton
import triton.language as tl


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
    exponentials = tl.exp(highest - top)
    for start in range(BLOCK, V, BLOCK):
        exponentials += tl.exp(tl.load(at + start + places, start + places < V, float("-inf")).to(tl.float32) - top)
    total = tl.sum(exponentials, 0)
    if total == float("inf"):
        for start in range(BLOCK, V, BLOCK):
            highest = tl.maximum(highest, tl.load(at + start + places, start + places < V, float("-inf")).to(tl.float32))
        top = tl.max(highest, 0)
        exponentials = tl.zeros((BLOCK,), tl.float32)
        for start in range(0, V, BLOCK):
            exponentials += tl.exp(tl.load(at + start + places, start + places < V, float("-inf")).to(tl.float32) - top)
        total = tl.sum(exponentials, 0)
    log_total = top + tl.log(total)
    tl.store(losses + row, log_total - tl.load(at + target).to(tl.float32))
    tl.debug_barrier()
    for start in range(0, V, BLOCK):
        column = start + places
        x = tl.load(at + column, column < V, 0.0).to(tl.float32)
        tl.store(at + column, (tl.exp(x - log_total) - tl.where(column == target, 1.0, 0.0)) * scale, column < V)
