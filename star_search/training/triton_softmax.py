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
    """Put `scale (softmax - one at the target)` in the place of a row of logits; the second pass finds the row in the cache."""
    row = tl.program_id(0).to(tl.int64)
    target, places = tl.load(targets + row), tl.arange(0, BLOCK)
    at = logits + row * V
    highest, total = tl.full((BLOCK,), float("-inf"), tl.float32), tl.zeros((BLOCK,), tl.float32)
    for start in range(0, V, BLOCK):
        x = tl.load(at + start + places, start + places < V, float("-inf")).to(tl.float32)
        higher = tl.maximum(highest, x)
        # Where nothing was seen yet both are minus infinity, and their difference no number.
        kept = tl.where(highest == float("-inf"), 0.0, total * tl.exp(highest - higher))
        total = kept + tl.where(x == float("-inf"), 0.0, tl.exp(x - higher))
        highest = higher
    top = tl.max(highest, 0)
    log_total = top + tl.log(tl.sum(tl.where(highest == float("-inf"), 0.0, total * tl.exp(highest - top)), 0))
    tl.store(losses + row, log_total - tl.load(at + target).to(tl.float32))
    tl.debug_barrier()
    for start in range(0, V, BLOCK):
        column = start + places
        x = tl.load(at + column, column < V, 0.0).to(tl.float32)
        tl.store(at + column, (tl.exp(x - log_total) - tl.where(column == target, 1.0, 0.0)) * scale, column < V)
