"""Tokens per second of whole trainings, genome by genome, against what the device's matrix products reach.

Shapes: B rows, T tokens, D width, V vocabulary.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from star_search.config import TrainingConfig
from star_search.data.store import TokenStore
from star_search.data.stream import TokenStream
from star_search.data.tokenizer import TokenArray, load_tokenizer
from star_search.data.tokens import HeldTokens
from star_search.errors import StarSearchError
from star_search.genome.accounting import Accounting
from star_search.genome.encoding import Genome
from star_search.genome.flops import flops_per_token
from star_search.model.language_model import LanguageModel
from star_search.processes import peak_memory_bytes
from star_search.training.engine import build_steps
from star_search.training.steps import Steps
from star_search.training.trainer import train

Reading = tuple[float, float]
RANDOM_TOKENS = 2**22
# Of the first step's loss and gradient norm, against the same step in fp32, operation by operation; and of one taken in fp32 too.
LOSS_TOLERANCE, GRADIENT_TOLERANCE = 2e-3, 5e-2
FLOAT32_TOLERANCES = (1e-4, 1e-2)
# Of the logits of the fast forms against the reference forms, fp32.
FORM_TOLERANCE, FORM_LENGTH = 1e-3, 300


@dataclass(frozen=True)
class ModelSetting:
    """What every model of a run is given: sizes, batch, precision, and how often `steps` steps are timed."""

    width: int
    vocabulary_size: int
    sequence_length: int
    batch_tokens: int
    steps: int
    repeats: int
    device: str
    precision: str = "bfloat16"
    engine: str = "auto"
    catalogue: str = "star"

    def training(self, repeats: int | None = None, **changes: Any) -> TrainingConfig:
        """Return the training that is timed; its budget covers the warm-up step and every repeat, or as many as are asked for."""
        steps = 1 + self.steps * (self.repeats if repeats is None else repeats)
        values = {"precision": self.precision, "engine": self.engine, **changes}
        return TrainingConfig(
            tokens=steps * self.batch_tokens,
            sequence_length=self.sequence_length,
            batch_tokens=self.batch_tokens,
            warmup_steps=10,
            **values,
        )


@dataclass(frozen=True)
class ModelCost:
    """One model: tokens per second over the repeats, and what stands around its steps.

    `warm_up_seconds` lead from a genome to the result of its first step, `next_seconds` do for a second candidate of the same genome, and
    `overhead_seconds` are what a whole training of such a candidate takes beyond its steps; None where there are no candidates. The
    errors are those of the step that is timed; `checked_in` is the precision in which it was found right.
    """

    name: str
    parameters: int
    tokens_per_second: float
    low: float
    high: float
    flops_per_token: float
    share_of_peak: float
    warm_up_seconds: float
    next_seconds: float | None
    overhead_seconds: float | None
    peak_bytes: int
    rows_at_once: int
    loss_error: float
    gradient_error: float
    checked_in: str

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def peak_flops(device: str, precision: str) -> float:
    """Return operations per second of a large matrix product on random data: the median of ten after three."""
    on_gpu = device.startswith("cuda")
    size, dtype = (8192 if on_gpu else 1024), (torch.bfloat16 if precision == "bfloat16" else torch.float32)
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds = [_timed(lambda: left @ right, device) for _ in range(13)][3:]
    return 2 * size**3 / median(seconds)


def _timed(action: Callable[[], object], device: str) -> float:
    synchronise(device)
    start = time.perf_counter()
    action()
    synchronise(device)
    return time.perf_counter() - start


def synchronise(device: str) -> None:
    """Wait for a GPU."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def random_stream(setting: ModelSetting) -> TokenStream:
    """Return batches of uniform random tokens."""
    dtype: type[np.unsignedinteger[Any]] = np.uint16 if setting.vocabulary_size <= 2**16 else np.uint32
    count = max(RANDOM_TOKENS, 2 * setting.batch_tokens)
    tokens: TokenArray = np.random.default_rng(0).integers(0, setting.vocabulary_size, count).astype(dtype)
    store = TokenStore(Path(), "random", load_tokenizer("bytes"), HeldTokens(tokens), HeldTokens(tokens), {"subsets": []})
    return TokenStream(store, setting.sequence_length, setting.batch_tokens // setting.sequence_length, 0)


def measure_genome(setting: ModelSetting, name: str, genome: str, peak: float) -> ModelCost:
    """Return the cost of a genome.

    Raises:
        InputError: for an illegal genome, or a width that it does not fit.
        StarSearchError: when what would be timed is not what the reference forms and an eager step in fp32 give.
    """
    stream = random_stream(setting)
    check_forms(setting, name, genome)
    expected = first_step(_steps(setting, stream, genome, precision="float32", engine="eager", micro_batch_rows=1))
    release(setting.device)
    start = time.perf_counter()
    steps = _steps(setting, stream, genome)
    reading = first_step(steps)
    warm_up = time.perf_counter() - start
    errors, checked_in = errors_of(reading, expected), setting.precision
    if setting.precision != "float32" and may_be_rounding(errors):
        del steps  # What is timed has the memory to itself, and so has what is checked.
        _check_in_float32(setting, stream, name, genome, expected)
        steps, checked_in = _steps(setting, stream, genome), "float32"
        first_step(steps)
    else:
        agree(name, reading, expected)
    speeds = [_speed(setting, steps, repeat) for repeat in range(setting.repeats)]
    peak_bytes, at_once, speed = peak_memory_bytes(setting.device), steps.at_once, median(speeds)
    del steps
    release(setting.device)
    around = _first_step_seconds(setting, stream, genome), _overhead_seconds(setting, stream, genome, speed)
    account = Accounting.of(Genome.parse(genome), setting.width, setting.catalogue)
    flops = flops_per_token(account, setting.vocabulary_size, setting.sequence_length)
    figures = (speed, min(speeds), max(speeds), flops, speed * flops / peak, warm_up, *around, peak_bytes, at_once)
    return ModelCost(name, account.parameters, *figures, *errors, checked_in)


def _check_in_float32(setting: ModelSetting, stream: TokenStream, name: str, genome: str, expected: Reading) -> None:
    """Refuse a genome whose first step, by the engine that is timed but in fp32, is not the expected one."""
    release(setting.device)
    reading = first_step(_steps(setting, stream, genome, precision="float32"))
    release(setting.device)
    agree(f"{name} in float32", reading, expected, FLOAT32_TOLERANCES)


def _first_step_seconds(setting: ModelSetting, stream: TokenStream, genome: str) -> float:
    """Return the seconds from a genome to the result of its first step."""
    seconds = _timed(lambda: first_step(_steps(setting, stream, genome)), setting.device)
    release(setting.device)
    return seconds


def _overhead_seconds(setting: ModelSetting, stream: TokenStream, genome: str, speed: float) -> float:
    """Return the seconds that a whole training takes, from genome to result, beyond its steps at `speed` tokens per second."""
    config = setting.training(repeats=1)
    seconds = _timed(lambda: train(_model(setting, genome), stream, config, math.inf), setting.device)
    release(setting.device)
    return seconds - config.tokens / speed


def _steps(setting: ModelSetting, stream: TokenStream, genome: str, **changes: Any) -> Steps:
    return build_steps(_model(setting, genome).train(), stream, setting.training(**changes))


def _model(setting: ModelSetting, genome: str) -> LanguageModel:
    return LanguageModel.from_genome(genome, setting.width, setting.vocabulary_size, setting.catalogue, seed=0).to(setting.device)


def first_step(steps: Steps) -> Reading:
    """Take step 0 and return its loss and gradient norm."""
    steps.run(0)
    return steps.mark()()[0]


def _speed(setting: ModelSetting, steps: Steps, repeat: int) -> float:
    first = 1 + repeat * setting.steps

    def run() -> None:
        for step in range(first, first + setting.steps):
            steps.run(step)

    seconds = _timed(run, setting.device)
    steps.mark()()
    return setting.steps * setting.batch_tokens / seconds


@torch.no_grad()
def check_forms(setting: ModelSetting, name: str, genome: str) -> None:
    """Refuse a genome whose fast forms give other logits than the reference forms, in fp32.

    Raises:
        StarSearchError: when they do.
    """
    model = _model(setting, genome)
    length = min(FORM_LENGTH, setting.sequence_length)
    tokens_BT = torch.randint(setting.vocabulary_size, (1, length), generator=torch.Generator().manual_seed(0)).to(setting.device)
    fast, plain = model(tokens_BT), model(tokens_BT, use_reference=True)
    error = float((fast - plain).norm() / plain.norm())
    if not error <= FORM_TOLERANCE:
        raise StarSearchError(f"{name}: the fast forms differ from the reference forms by {error:.1e}; wrong outputs are not timed")


def errors_of(reading: Reading, expected: Reading) -> tuple[float, float]:
    """Return the relative errors of a loss and a gradient norm."""
    loss, gradient = (abs(value / truth - 1) for value, truth in zip(reading, expected, strict=True))
    return loss, gradient


def agree(
    name: str, reading: Reading, expected: Reading, tolerances: tuple[float, float] = (LOSS_TOLERANCE, GRADIENT_TOLERANCE)
) -> tuple[float, float]:
    """Return the relative errors of a first step's loss and gradient norm.

    Raises:
        StarSearchError: when they are beyond what the precision explains.
    """
    errors = errors_of(reading, expected)
    if not all(error <= most for error, most in zip(errors, tolerances, strict=True)):
        raise StarSearchError(
            f"{name}: the first step's loss and gradient norm are {reading[0]:.4f} and {reading[1]:.4f}, "
            f"an eager step in fp32 gives {expected[0]:.4f} and {expected[1]:.4f}; wrong outputs are not timed"
        )
    return errors


def may_be_rounding(errors: tuple[float, float]) -> bool:
    """Whether the gradient norm alone is off, which rounding does to it where the gradient is ill-conditioned."""
    loss, gradient = errors
    return loss <= LOSS_TOLERANCE and GRADIENT_TOLERANCE < gradient < math.inf


def release(device: str) -> None:
    """Give back what the last model held, and count peak memory anew."""
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
