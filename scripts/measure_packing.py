"""Measure trainings that run side by side: on one GPU as processes (under MPS on demand) and as streams, or on several GPUs.

    python scripts/measure_packing.py --processes 1,2,3 --streams 1,2,3
    python scripts/measure_packing.py --processes 1,2,3,4 --streams '' --mps
    python scripts/measure_packing.py --devices cuda:0,cuda:1 --processes 1,2 --streams ''
    python scripts/measure_packing.py --engine captured --genome f1111-11111-c1111-d1111 --processes 1,3 --streams '' --mps

Prints tokens per second of all together, and their ratio to one alone.
"""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from statistics import median
from typing import Any

import torch

from star_search.benchmark import models_report
from star_search.benchmark.models import ModelSetting, first_step, random_stream, release, synchronise
from star_search.evolution import mps
from star_search.model.language_model import LanguageModel
from star_search.processes import environment
from star_search.runs.atomic import write_json
from star_search.training.engine import build_steps
from star_search.training.steps import Steps

MOTIF = "11111-91111"

# A training, and the stream it takes its steps on where that is one of its own.
Lane = tuple[Steps, torch.cuda.Stream | None]


def build(setting: ModelSetting, genome: str, seed: int) -> Steps:
    """Return the steps of one training, warmed up."""
    model = LanguageModel.from_genome(genome, setting.width, setting.vocabulary_size, setting.catalogue, seed=seed)
    model = model.to(setting.device).train()
    steps = build_steps(model, random_stream(setting), setting.training())
    first_step(steps)
    return steps


def timed(setting: ModelSetting, lanes: list[Lane], repeat: int) -> tuple[float, float]:
    """Take the steps of a repeat in turn, each training on its stream, and return when that began and ended."""
    first, began = 1 + repeat * setting.steps, time.time()
    for step in range(first, first + setting.steps):
        for steps, stream in lanes:
            with nullcontext() if stream is None else torch.cuda.stream(stream):
                steps.run(step)
    synchronise(setting.device)
    return began, time.time()


def train_beside(setting: ModelSetting, genome: str, seed: int, barrier: Any, results: Any) -> None:
    """Train whenever all are ready, and put down when each repeat began and ended."""
    if setting.device.startswith("cuda"):
        torch.cuda.set_device(setting.device)
    lanes: list[Lane] = [(build(setting, genome, seed), None)]
    synchronise(setting.device)
    for repeat in range(setting.repeats):
        barrier.wait()
        results.put((repeat, *timed(setting, lanes, repeat)))


def by_processes(settings: list[ModelSetting], genome: str, count: int) -> list[float]:
    """Return tokens per second, repeat by repeat, of `count` processes together, the devices of `settings` taken in turn."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(count), context.SimpleQueue()
    given = [(settings[seed % len(settings)], genome, seed, barrier, results) for seed in range(count)]
    processes = [context.Process(target=train_beside, args=each) for each in given]
    for process in processes:
        process.start()
    try:
        join(processes)
    finally:
        for process in processes:
            process.terminate()
            process.join()
    times: list[list[tuple[float, float]]] = [[] for _ in range(settings[0].repeats)]
    while not results.empty():
        repeat, began, ended = results.get()
        times[repeat].append((began, ended))
    tokens = count * settings[0].steps * settings[0].batch_tokens
    return [tokens / (max(ended for _, ended in each) - min(began for began, _ in each)) for each in times]


def join(processes: Sequence[BaseProcess]) -> None:
    """Wait for all; one that fails ends the run, as the others would wait for it."""
    running = list(processes)
    while running:
        connection.wait([process.sentinel for process in running])
        if any(process.exitcode for process in running):
            raise SystemExit("one of the processes failed; see above")
        running = [process for process in running if process.exitcode is None]


def by_streams(settings: list[ModelSetting], genome: str, count: int) -> list[float]:
    """Return tokens per second, repeat by repeat, of `count` trainings taken in turn on streams of their own, on the first device."""
    setting = settings[0]
    on_gpu = setting.device.startswith("cuda")
    lanes = [(build(setting, genome, seed), torch.cuda.Stream(setting.device) if on_gpu else None) for seed in range(count)]
    synchronise(setting.device)
    times = [timed(setting, lanes, repeat) for repeat in range(setting.repeats)]
    del lanes
    release(setting.device)
    return [count * setting.steps * setting.batch_tokens / (ended - began) for began, ended in times]


@contextmanager
def service() -> Iterator[None]:
    """Have the processes that are started meanwhile share the GPU by MPS; this one must not begin to use it then."""
    daemon = mps.Service(mps.uuids())
    try:
        with environment(daemon.environment):
            yield
    finally:
        if not daemon.close():
            print("no process went through MPS", file=sys.stderr)


def main() -> None:
    """Print one line a measurement and, with --out, write JSON after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", default="1,2,3")
    parser.add_argument("--streams", default="1,2,3")
    for name, value in (("width", 256), ("vocabulary", 4096), ("length", 1024), ("batch-tokens", 8192), ("steps", 600), ("depth", 24)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--genome", help="instead of Transformer++ of --depth")
    parser.add_argument("--catalogue", default="star", help="of --genome")
    parser.add_argument("--engine", default="auto", help="as training.engine")
    parser.add_argument("--devices", default="cuda:0" if torch.cuda.is_available() else "cpu", help="joined by commas")
    parser.add_argument("--mps", action="store_true", help="run NVIDIA's MPS daemon for the processes")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    if options.mps and not mps.is_installed():
        parser.error(f"--mps needs {mps.CONTROL}, which is not on the PATH")
    # Whoever ends this run ends its daemon too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    devices = options.devices.split(",")
    precision = "float32" if devices[0] == "cpu" else "bfloat16"
    sizes = (options.width, options.vocabulary, options.length, options.batch_tokens, options.steps, options.repeats)
    setting = ModelSetting(*sizes, devices[0], precision, options.engine, catalogue=options.catalogue)
    settings = [replace(setting, device=device) for device in devices]
    genome = options.genome or "-".join([MOTIF] * (options.depth // 2))
    found: dict[str, dict[int, list[float]]] = {"streams": {}, "processes": {}}
    report = {"environment": models_report.environment(devices[0]), "devices": devices, "setting": vars(setting), "mps": options.mps}
    report["genome"] = genome
    for name, measure, counts in (("streams", by_streams, options.streams), ("processes", by_processes, options.processes)):
        with service() if options.mps and name == "processes" else nullcontext():
            for count in map(int, filter(None, counts.split(","))):
                speeds = found[name][count] = sorted(measure(settings, genome, count))
                middle, first = median(speeds), median(next(iter(found[name].values())))
                spread = f"{speeds[0]:,.0f} to {speeds[-1]:,.0f}"
                print(f"{count} {name}: {middle:,.0f} tokens/s ({spread}), {middle / first:.2f} of the first", flush=True)
                if options.out:
                    write_json(options.out, {**report, "tokens_per_second": found})


if __name__ == "__main__":
    main()
