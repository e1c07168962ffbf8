"""Measure trainings that run side by side: on one GPU as processes (under MPS where its daemon runs) and as streams, or on several GPUs.

    python scripts/measure_packing.py --processes 1,2,3 --streams 1,2,3
    python scripts/measure_packing.py --devices cuda:0,cuda:1 --processes 1,2 --streams ''

Prints tokens per second of all together, and their ratio to one alone.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from star_search.benchmark.models import ModelSetting, first_step, random_stream, synchronise
from star_search.benchmark.models_report import environment
from star_search.model.language_model import LanguageModel
from star_search.training.engine import build_steps
from star_search.training.steps import Steps

MOTIF = "11111-91111"


def build(setting: ModelSetting, genome: str, seed: int) -> Steps:
    """Return the steps of one training, warmed up."""
    model = LanguageModel.from_genome(genome, setting.width, setting.vocabulary_size, seed=seed).to(setting.device).train()
    steps = build_steps(model, random_stream(setting), setting.training())
    first_step(steps)
    return steps


def train_beside(setting: ModelSetting, genome: str, seed: int, barrier: Any, results: Any) -> None:
    """Train when all are ready, and put down when that began and ended."""
    if setting.device.startswith("cuda"):
        torch.cuda.set_device(setting.device)
    steps = build(setting, genome, seed)
    synchronise(setting.device)
    barrier.wait()
    began = time.time()
    for step in range(1, 1 + setting.steps):
        steps.run(step)
    synchronise(setting.device)
    results.put((began, time.time()))


def by_processes(settings: list[ModelSetting], genome: str, count: int) -> float:
    """Return tokens per second of `count` processes together, the devices of `settings` taken in turn."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(count), context.Queue()
    given = [(settings[seed % len(settings)], genome, seed, barrier, results) for seed in range(count)]
    processes = [context.Process(target=train_beside, args=each) for each in given]
    for process in processes:
        process.start()
    times = [results.get() for _ in processes]
    for process in processes:
        process.join()
    tokens = count * settings[0].steps * settings[0].batch_tokens
    return tokens / (max(end for _, end in times) - min(start for start, _ in times))


def by_streams(settings: list[ModelSetting], genome: str, count: int) -> float:
    """Return tokens per second of `count` captured trainings replayed in turn on streams of their own, on the first device."""
    setting = settings[0]
    on_gpu = setting.device.startswith("cuda")
    lanes = [(build(setting, genome, seed), torch.cuda.Stream(setting.device) if on_gpu else None) for seed in range(count)]
    synchronise(setting.device)
    start = time.perf_counter()
    for step in range(1, 1 + setting.steps):
        for steps, stream in lanes:
            with nullcontext() if stream is None else torch.cuda.stream(stream):
                steps.run(step)
    synchronise(setting.device)
    return count * setting.steps * setting.batch_tokens / (time.perf_counter() - start)


def main() -> None:
    """Print one line a measurement and, with --out, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", default="1,2,3")
    parser.add_argument("--streams", default="1,2,3")
    for name, value in (("width", 256), ("vocabulary", 4096), ("length", 1024), ("batch-tokens", 8192), ("steps", 600), ("depth", 24)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--devices", default="cuda:0" if torch.cuda.is_available() else "cpu", help="joined by commas")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    devices = options.devices.split(",")
    precision = "float32" if devices[0] == "cpu" else "bfloat16"
    sizes = (options.width, options.vocabulary, options.length, options.batch_tokens, options.steps, 1)
    setting = ModelSetting(*sizes, devices[0], precision)
    settings, genome = [replace(setting, device=device) for device in devices], "-".join([MOTIF] * (options.depth // 2))
    found: dict[str, dict[int, list[float]]] = {}
    for name, measure, counts in (("streams", by_streams, options.streams), ("processes", by_processes, options.processes)):
        found[name] = {}
        for count in map(int, filter(None, counts.split(","))):
            speeds = found[name][count] = sorted(measure(settings, genome, count) for _ in range(options.repeats))
            middle = speeds[len(speeds) // 2]
            first = next(iter(found[name].values()))
            share = middle / first[len(first) // 2]
            print(f"{count} {name}: {middle:,.0f} tokens/s ({speeds[0]:,.0f} to {speeds[-1]:,.0f}), {share:.2f} of the first", flush=True)
    if options.out:
        report = {"environment": environment(devices[0]), "devices": devices, "setting": vars(setting), "tokens_per_second": found}
        options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
