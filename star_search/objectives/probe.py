"""A short probe before a search: what a training step of its genomes takes on this machine, and what that makes of the whole."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from star_search.config import SearchConfig
from star_search.data.tokenizer import load_tokenizer
from star_search.errors import InputError, StarSearchError
from star_search.genome.catalogue import load_catalogue
from star_search.genome.space import SearchSpace
from star_search.model.language_model import LanguageModel
from star_search.objectives.registry import account_of
from star_search.processes import START_SECONDS, end_with, interrupts_ignored, peak_memory_bytes
from star_search.training.batch_size import is_out_of_memory
from star_search.training.stability import Unhealthy
from star_search.training.trainer import train
from star_search.training.world import taken

GENOMES = 32
MOST_PROCESSES = 64
CORE_FLOPS_PER_SECOND = 20e9
# A forward pass costs a third of a training step, token for token.
EVALUATION_SHARE = 1 / 3


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the probe found: genomes timed, mean seconds of a step, hours of the search on so many workers, peak bytes of one worker."""

    genomes: int
    step_seconds: float
    hours: float
    workers: int
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one process of the probe found: mean seconds of a step of each genome, and the peak of its memory in bytes."""

    step_seconds: list[float]
    peak_bytes: int


class _RandomTokens:
    """A stream of uniform tokens: what they say costs no time."""

    def __init__(self, rows: int, length: int, vocabulary: int) -> None:
        self.shape, self.vocabulary = (rows, length + 1), vocabulary

    def batch(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        tokens = np.random.default_rng(step).integers(self.vocabulary, size=self.shape)
        return tokens[:, :-1], tokens[:, 1:]


def obstacle(config: SearchConfig, device: str, seconds: float) -> str:
    """Return why this machine cannot be probed for this search, empty when it can."""
    account = account_of(config, SearchSpace.from_config(config.space).sample(np.random.default_rng(0)).genome)
    step = 6 * account.parameters * config.training.batch_tokens / CORE_FLOPS_PER_SECOND
    if device == "cpu" and step > seconds / 2:
        return f"one training step takes about {step:,.0f} s on a core at 20 GFLOP/s"
    try:
        load_tokenizer(config.data.tokenizer)
    except InputError as error:
        return str(error)
    return ""


def probe(config: SearchConfig, devices: list[str], workers: int, seconds: float) -> Prediction:
    """Train genomes of the space for `seconds` in as many processes at once as there will be workers, and say what the search will take.

    Together, because workers that share a machine slow each other. Every candidate is taken to train to its end on a worker that is
    never idle.

    Raises:
        StarSearchError: a step does not fit the memory.
    """
    context, count = multiprocessing.get_context("spawn"), min(workers, MOST_PROCESSES)
    with ProcessPoolExecutor(count, context, initializer=_join, initargs=(context.Barrier(count), os.getpid())) as pool:
        try:
            with interrupts_ignored():
                jobs = [pool.submit(measure, config, devices[index % len(devices)], seconds, index, count) for index in range(count)]
            return predict(config, [job.result() for job in jobs], workers)
        except BrokenProcessPool:
            raise StarSearchError("the processes of the probe died, as they do when memory runs out") from None


def _join(barrier: Barrier, parent: int) -> None:
    end_with(parent)
    barrier.wait(START_SECONDS)


def predict(config: SearchConfig, measured: list[Measurement], workers: int) -> Prediction:
    """Return what the measurements make of the search on so many workers."""
    times = [seconds for each in measured for seconds in each.step_seconds]
    mean = sum(times) / len(times)
    evaluation = EVALUATION_SHARE * mean * config.data.validation_tokens / config.training.batch_tokens
    candidate = mean * config.training.steps + evaluation
    rounds = math.ceil(config.algorithm.candidates / workers)
    return Prediction(len(times), mean, candidate * rounds / 3600, workers, max(each.peak_bytes for each in measured))


def measure(config: SearchConfig, device: str, seconds: float, first: int = 0, stride: int = 1) -> Measurement:
    """Train genomes for `seconds` in all, in this process: every `stride`-th that a seeded generator draws from `first` on."""
    space, rng = SearchSpace.from_config(config.space), np.random.default_rng(config.algorithm.seed)
    torch.set_num_threads(config.workers.threads)
    taken(device)
    genomes = [space.sample(rng).genome.format() for _ in range(GENOMES * stride)][first::stride]
    end, times = time.perf_counter() + seconds, list[float]()
    for index, genome in enumerate(genomes):
        share = (end - time.perf_counter()) / (GENOMES - index)
        if share <= 0:
            break
        times.append(_step_seconds(config, genome, device, share))
    return Measurement(times, peak_memory_bytes(device))


def _step_seconds(config: SearchConfig, genome: str, device: str, seconds: float) -> float:
    """Return the seconds of one training step, from as many as fit the time; the first ones do not count."""
    vocabulary = load_tokenizer(config.data.tokenizer).vocabulary_size
    model = LanguageModel.from_genome(genome, config.space.width, vocabulary, load_catalogue(config.space.catalogue)).to(device)
    training = config.training
    stream: Any = _RandomTokens(training.rows, training.sequence_length, vocabulary)

    def run(steps: int) -> float:
        short = training.model_copy(update={"tokens": steps * training.batch_tokens, "warmup_steps": 0, "unigram_deadline_tokens": None})
        start = time.perf_counter()
        # Random tokens may upset a genome; its steps took the time they took.
        with contextlib.suppress(Unhealthy):
            train(model, stream, short, math.inf)
        return (time.perf_counter() - start) / steps

    try:
        run(1)
        once = run(1)
        return run(max(1, min(200, int(seconds / once) - 2)))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise StarSearchError(f"a training step of {genome} does not fit the memory of {device}") from None
