"""How many operations training on a token takes, in closed form."""

from __future__ import annotations

from star_search.genome.accounting import Accounting, Dimensions
from star_search.genome.genes import LOW_RANK, SOFTMAX


def flops_per_token(account: Accounting, vocabulary_size: int, length: int) -> float:
    """Return the operations of training on one token: 6 per weight, the head's too, and those of causal softmax attention.

    Scans and convolutions over time are not counted.
    """
    weights = account.parameters + vocabulary_size * account.width
    return 6 * weights + sum(_mixing_flops(sizes, length) for sizes in account.dimensions)


def _mixing_flops(sizes: Dimensions, length: int) -> float:
    operator = sizes.liv_class.operator
    if (operator.token_mixing, operator.nonlinearity) != (LOW_RANK, SOFTMAX):
        return 0.0
    seen = length / 2 if sizes.span is None else min(length / 2, sizes.span)
    # A differential operator multiplies its value twice.
    return attention_flops(seen, sizes.width) * (1.5 if sizes.liv_class.differential else 1.0)


def attention_flops(seen: float, width: int) -> float:
    """Return the operations of attention of one token to `seen` others: two products forward, four backward, two operations each."""
    return 12 * seen * width
