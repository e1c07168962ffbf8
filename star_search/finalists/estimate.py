"""What a training will take, from the sizes of its model: memory and speed of each device."""

from __future__ import annotations

from dataclasses import dataclass

from star_search.config import TrainingConfig
from star_search.finalists.source import Source
from star_search.genome.flops import flops_per_token
from star_search.training.batch_size import BYTES_PER_PARAMETER, row_bytes, rows_that_fit
from star_search.training.loss import CHUNK_LOGIT_BYTES

# Of an H200, which is taken where there is no GPU: its memory, and what its large products reach in bf16, as an H100's do.
H200_BYTES = 141 * 10**9
FLOPS_PER_SECOND = 790e12
UTILISATION = 0.4


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of one device among `devices`: bytes of weights, gradients and moments, of what the backward pass needs, of the head's logits; rows
    at once; tokens per second; and hours of the whole training."""

    devices: int
    held_bytes: int
    activation_bytes: int
    logit_bytes: int
    rows_at_once: int
    flops_per_token: float
    tokens_per_second: float
    hours: float

    @property
    def peak_bytes(self) -> int:
        """All of it together."""
        return self.held_bytes + self.activation_bytes + self.logit_bytes


def gpu_bytes() -> int:
    """Return the memory of this machine's GPU, or where it has none that of an H200."""
    import torch

    return int(torch.cuda.get_device_properties(0).total_memory) if torch.cuda.is_available() else H200_BYTES


def estimate(
    source: Source, vocabulary_size: int, devices: int, parallel: str, flops_per_second: float, memory_bytes: int | None
) -> Estimate:
    """Return what training a source takes on each of some devices that reach so many operations per second."""
    account, training = source.account, source.config.training
    weights = account.parameters + vocabulary_size * account.width
    held = BYTES_PER_PARAMETER * weights // (devices if parallel == "fsdp" else 1)
    own = _share(training, devices)
    rows = rows_that_fit(account, held, own, memory_bytes)
    flops = flops_per_token(account, vocabulary_size, training.sequence_length)
    speed = flops_per_second / flops
    logits = 2 * min(CHUNK_LOGIT_BYTES, rows * training.sequence_length * vocabulary_size * 2)
    hours = training.steps * training.batch_tokens / (speed * devices) / 3600
    return Estimate(devices, held, rows * row_bytes(account, training), logits, rows, flops, speed, hours)


def _share(training: TrainingConfig, devices: int) -> TrainingConfig:
    """Return the training of one device's share of a step."""
    return training.model_copy(update={"batch_tokens": training.rows // devices * training.sequence_length})
