"""Measure trainings that share one GPU: as processes (under MPS where its daemon runs), and as streams of one process.

    python scripts/measure_packing.py --processes 1,2,3 --streams 1,2,3

Prints tokens per second of all together, and their ratio to one alone.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from typing import Any

import torch

from star_search.benchmark.models import ModelSetting, first_step, random_stream
from star_search.model.language_model import LanguageModel
from star_search.training.engine import build_steps
from star_search.training.steps import Steps

GENOME = "-".join(["11111-91111"] * 12)


def build(setting: ModelSetting, seed: int) -> Steps:
    """Return the steps of one training, warmed up."""
    model = LanguageModel.from_genome(GENOME, setting.width, setting.vocabulary_size, seed=seed).to(setting.device).train()
    steps = build_steps(model, random_stream(setting), setting.training())
    first_step(steps)
    return steps


def train_beside(setting: ModelSetting, seed: int, barrier: Any, results: Any) -> None:
    """Train when all are ready, and put down when that began and ended."""
    steps = build(setting, seed)
    torch.cuda.synchronize()
    barrier.wait()
    began = time.time()
    for step in range(1, 1 + setting.steps):
        steps.run(step)
    torch.cuda.synchronize()
    results.put((began, time.time()))


def by_processes(setting: ModelSetting, count: int) -> float:
    """Return tokens per second of `count` processes together."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(count), context.Queue()
    processes = [context.Process(target=train_beside, args=(setting, seed, barrier, results)) for seed in range(count)]
    for process in processes:
        process.start()
    times = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return count * setting.steps * setting.batch_tokens / (max(end for _, end in times) - min(start for start, _ in times))


def by_streams(setting: ModelSetting, count: int) -> float:
    """Return tokens per second of `count` captured trainings replayed in turn on streams of their own."""
    lanes = [(build(setting, seed), torch.cuda.Stream()) for seed in range(count)]
    torch.cuda.synchronize()
    start = time.perf_counter()
    for step in range(1, 1 + setting.steps):
        for steps, stream in lanes:
            with torch.cuda.stream(stream):
                steps.run(step)
    torch.cuda.synchronize()
    return count * setting.steps * setting.batch_tokens / (time.perf_counter() - start)


def main() -> None:
    """Print one line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", default="1,2,3")
    parser.add_argument("--streams", default="1,2,3")
    parser.add_argument("--steps", type=int, default=600)
    options = parser.parse_args()
    setting = ModelSetting(256, 4096, 1024, 8192, options.steps, 1, "cuda:0")
    for name, measure, counts in (("streams", by_streams, options.streams), ("processes", by_processes, options.processes)):
        speeds = {count: measure(setting, count) for count in map(int, filter(None, counts.split(",")))}
        for count, speed in speeds.items():
            print(f"{count} {name}: {speed:,.0f} tokens/s, {speed / next(iter(speeds.values())):.2f} of the first", flush=True)


if __name__ == "__main__":
    main()
