"""How many rows are trained at once: estimated from memory, and halved when that was too much."""

from __future__ import annotations

import torch

from star_search.config import TrainingConfig
from star_search.genome.accounting import Accounting, Dimensions
from star_search.genome.genes import GROUPED, SEMI_SEPARABLE
from star_search.model.language_model import LanguageModel

_MARKS = ("out of memory", "can't allocate memory", "not enough memory")
# Beyond this, more rows at once make nothing faster (docs/results/speed.md).
TOKENS_AT_ONCE = 65_536
SHARE_OF_FREE_MEMORY = 0.8
BYTES_PER_PARAMETER = 20  # Weight, gradient, two moments in fp32, and a copy in bf16 with room to cast.


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on whichever device."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(mark in str(error).lower() for mark in _MARKS)


def activation_bytes(account: Accounting, element_bytes: int) -> int:
    """Return an estimate of what one token leaves for the backward pass, logits aside; measured in docs/results/speed.md."""
    return sum(map(_kept_elements, account.dimensions)) * element_bytes


def _kept_elements(sizes: Dimensions) -> int:
    """Features, the mixed value, the norm, the output and the stream of one LIV; and the states where a scan keeps them."""
    widths = sum(sizes.group_width(name) for name in sizes.liv_class.groups if name != "kernel")
    states = 0
    if sizes.liv_class.operator.token_mixing == SEMI_SEPARABLE and sizes.liv_class.operator.channel_mixing != GROUPED:
        states = 4 * sizes.width * sizes.liv_class.groups["B"].expansion
    return 2 * widths + 2 * sizes.inner + 4 * sizes.width + states


def rows_at_once(model: LanguageModel, config: TrainingConfig, free_bytes: int | None) -> int:
    """Return how many rows of a step to train at once: a divisor of the step's rows.

    `training.micro_batch_rows` decides where it is set, the bytes free on the device elsewhere; all rows where those are unknown.
    """
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return rows_that_fit(model.backbone.accounting, parameters * BYTES_PER_PARAMETER, config, free_bytes)


def rows_that_fit(account: Accounting, held_bytes: int, config: TrainingConfig, free_bytes: int | None) -> int:
    """Return the same of a model of these sizes; `held_bytes` are those of weights, gradients and moments."""
    if config.micro_batch_rows is not None:
        return largest_divisor(config.rows, config.micro_batch_rows)
    if free_bytes is None:
        return config.rows
    room = free_bytes * SHARE_OF_FREE_MEMORY - held_bytes
    wanted = max(1, min(int(room // row_bytes(account, config)), TOKENS_AT_ONCE // config.sequence_length))
    return largest_divisor(config.rows, wanted)


def row_bytes(account: Accounting, config: TrainingConfig) -> int:
    """Return an estimate of what one row leaves for the backward pass, logits aside."""
    return activation_bytes(account, 2 if config.precision == "bfloat16" else 4) * config.sequence_length


def largest_divisor(rows: int, most: int) -> int:
    """Return the largest divisor of `rows` that is at most `most`."""
    return max(divisor for divisor in range(1, min(rows, most) + 1) if rows % divisor == 0)
