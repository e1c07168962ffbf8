"""What decoding costs on this device: time to the first token, time of a token after a prompt, peak memory, and the cache really held.

Shapes: B batch, T tokens, V vocabulary.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from star_search.analysis.duration import Duration
from star_search.config_objectives import MeasurementConfig
from star_search.errors import StarSearchError
from star_search.model.cache import DecodingCache
from star_search.model.language_model import LanguageModel
from star_search.model.static_decoding import StaticDecoding

DECLARED_ELEMENT_BYTES = 2
# One token may take less time than the clock is good for: a repeat is this many, one after the other.
TOKENS_PER_REPEAT = 8
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class DecodingCost:
    """A prompt of `length` tokens, `batch` sequences at once.

    `first_token`: seconds from the prompt to the logits that follow it, the cache's allocation included. `decode`: seconds from one
    token to the next after it, for the whole batch, greedy. `peak_bytes`: weights and the most that tensors take beside them while the
    prompt is read and one token decoded; None where it was not asked for. Cache bytes are those of one sequence, 2 an element.
    """

    length: int
    batch: int
    first_token: Duration
    decode: Duration
    peak_bytes: int | None
    held_cache_bytes: int

    @property
    def tokens_per_second(self) -> float:
        """Tokens decoded in a second, over the batch."""
        return self.batch / self.decode.median

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {**asdict(self), "tokens_per_second": self.tokens_per_second}


def measure(model: LanguageModel, length: int, config: MeasurementConfig, with_memory: bool) -> DecodingCost:
    """Measure a model as it is: its device, its dtype, uncompiled; on a GPU a token is one CUDA graph.

    Raises:
        StarSearchError: when the cache held after the prompt is not the declared one.
    """
    model.eval()
    prompt_BT, device = _prompt(model, config.batch, length), model.embedding.device
    readings = [_timed(lambda: _read(model, prompt_BT, length), device) for _ in range(config.warmup + config.repeats)]
    held = check_cache(model, readings[-1][1][1], config.batch)
    decoding = _decode(model, prompt_BT, config)
    return DecodingCost(
        length,
        config.batch,
        Duration.of([seconds for seconds, _ in readings[config.warmup :]]),
        Duration.of(decoding[config.warmup :]),
        _peak_bytes(model, prompt_BT) if with_memory else None,
        held,
    )


def check_cache(model: LanguageModel, cache: DecodingCache, batch: int) -> int:
    """Return the bytes that a full cache holds for one sequence, 2 an element, memory behind views counted whole and once.

    Raises:
        StarSearchError: when they are not those declared.
    """
    held, declared = _held_bytes(model, cache, batch), model.cache_bytes(cache.max_length)
    if held != declared:
        raise StarSearchError(f"the decoding cache holds {held:,} bytes after {cache.max_length:,} tokens, {declared:,} are declared")
    return held


def held_cache_bytes(model: LanguageModel, length: int) -> int:
    """Return the bytes that decoding one sequence holds once a prompt of `length` tokens is read, counted as `check_cache` does."""
    model.eval()
    return _held_bytes(model, _read(model, _prompt(model, 1, length), length)[1], 1)


def _held_bytes(model: LanguageModel, cache: DecodingCache, batch: int) -> int:
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in cache.tensors()}
    return sum(storages.values()) * DECLARED_ELEMENT_BYTES // model.embedding.element_size() // batch


def _prompt(model: LanguageModel, batch: int, length: int) -> Tensor:
    """Return random tokens [B, T], always the same."""
    tokens_BT = torch.randint(model.vocabulary_size, (batch, length), generator=torch.Generator().manual_seed(0))
    return tokens_BT.to(model.embedding.device)


@torch.no_grad()
def _read(model: LanguageModel, prompt_BT: Tensor, max_length: int) -> tuple[Tensor, DecodingCache]:
    """Return the token that follows a prompt, [B], and the cache."""
    logits_B1V, cache = model.prefill(prompt_BT, model.init_cache(len(prompt_BT), max_length), last_only=True)
    return logits_B1V[:, 0].argmax(-1), cache


def _decode(model: LanguageModel, prompt_BT: Tensor, config: MeasurementConfig) -> list[float]:
    """Return the mean seconds of a token of every repeat, warm-up first."""
    repeats = config.warmup + config.repeats
    tokens_B, cache = _read(model, prompt_BT, prompt_BT.shape[1] + 1 + repeats * TOKENS_PER_REPEAT)
    static = StaticDecoding(model, tokens_B, cache) if prompt_BT.is_cuda else None

    def step() -> None:
        nonlocal tokens_B
        tokens_B = static.step() if static else model.step(tokens_B, cache)[0].argmax(-1)

    def run() -> None:
        for _ in range(TOKENS_PER_REPEAT):
            step()

    step()  # Which captures later ones.
    return [_timed(run, prompt_BT.device)[0] / TOKENS_PER_REPEAT for _ in range(repeats)]


def _timed(action: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    _synchronise(device)
    start = time.perf_counter()
    result = action()
    _synchronise(device)
    return time.perf_counter() - start, result


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_bytes(model: LanguageModel, prompt_BT: Tensor) -> int:
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())

    def use() -> None:
        tokens_B, cache = _read(model, prompt_BT, prompt_BT.shape[1] + 1)
        model.step(tokens_B, cache)

    return weights + (_peak_on_gpu(use, prompt_BT.device) if prompt_BT.is_cuda else _peak_on_cpu(use))


def _peak_on_gpu(action: Callable[[], None], device: torch.device) -> int:
    _synchronise(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    action()
    _synchronise(device)
    return int(torch.cuda.max_memory_allocated(device)) - before


def _peak_on_cpu(action: Callable[[], None]) -> int:
    """Return the most bytes that tensors take, by the profiler's account of the allocator: a process's own peak never falls again."""
    # The profiler would announce its start and stop on stderr.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        action()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    return _highest(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))


def _highest(changes: Iterable[int]) -> int:
    """Return the highest running sum."""
    total = highest = 0
    for change in changes:
        total += change
        highest = max(highest, total)
    return highest
