"""Measure training on a CPU's cores against the same model written with Hugging Face's modules.

    python scripts/measure_cpu.py --out cpu.json

A Transformer++ genome of the quickstart's sizes, in the quickstart's way of using the cores (a candidate on each, one thread), and Llama
of the same shape and batch in a plain loop: one model on all cores, and one on each. The arrangements take turns; in each, all processes
begin their timed steps together. A model whose first step is not that of the reference forms, or of fp32 row by row, is not timed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from star_search.benchmark.huggingface import PlainTraining, expected_step
from star_search.benchmark.huggingface import build as build_llama
from star_search.benchmark.models import ModelSetting, agree, check_forms, first_step, random_stream
from star_search.benchmark.models_report import environment
from star_search.genome.baselines import baseline
from star_search.model.language_model import LanguageModel
from star_search.training.engine import build_steps

DEPTH, WARM_UP = 8, 10
OURS = "star-search, a candidate on each core"
COMPILED = "star-search, the same by compiled blocks"
WHOLE = "Hugging Face Llama, one on all cores"
EACH = "Hugging Face Llama, one on each core"


def our_step(setting: ModelSetting) -> Callable[[int], object]:
    """Return what takes a step of the genome, its first taken and checked."""
    genome = str(baseline("transformer++", DEPTH))
    check_forms(setting, "transformer++", genome)
    model = LanguageModel.from_genome(genome, setting.width, setting.vocabulary_size, seed=0).train()
    steps = build_steps(model, random_stream(setting), setting.training())
    first_step(steps)
    return steps.run


def llama_step(setting: ModelSetting) -> Callable[[int], object]:
    """Return what takes a step of Llama, its first taken and checked."""
    tokens_BT = torch.from_numpy(random_stream(setting).batch(0)[0])
    expected = expected_step("llama", setting, DEPTH // 2, tokens_BT)
    training = PlainTraining(build_llama("llama", setting, DEPTH // 2), setting, compiled=False, parts=1)
    agree("llama", training.step(tokens_BT), expected)
    stream = random_stream(setting)
    return lambda step: training.queue(torch.from_numpy(stream.batch(step)[0]))


def train_beside(name: str, setting: ModelSetting, threads: int, barrier: Any, results: Any) -> None:
    """Take the timed steps when all are ready, and put down when that began and ended."""
    torch.set_num_threads(threads)
    step = (llama_step if name in (WHOLE, EACH) else our_step)(setting)
    for number in range(1, 1 + WARM_UP):
        step(number)
    barrier.wait()
    began = time.time()
    for number in range(1 + WARM_UP, 1 + WARM_UP + setting.steps):
        step(number)
    results.put((began, time.time()))


def tokens_per_second(name: str, setting: ModelSetting, cores: int) -> float:
    """Return tokens per second of all processes of an arrangement together."""
    count, threads = (1, cores) if name == WHOLE else (cores, 1)
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(count, timeout=300), context.Queue()
    processes = [context.Process(target=train_beside, args=(name, setting, threads, barrier, results)) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit(f"{name} failed; see above")
    began, ended = zip(*(results.get() for _ in processes), strict=True)
    return count * setting.steps * setting.batch_tokens / (max(ended) - min(began))


def main() -> None:
    """Print a table and, with --out, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("width", 64), ("vocabulary", 257), ("length", 128), ("batch-tokens", 512), ("steps", 200), ("repeats", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--cores", type=int, default=os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count())
    parser.add_argument("--compiled", action="store_true", help="measure training.engine: compiled too")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    sizes = (options.width, options.vocabulary, options.length, options.batch_tokens)
    # Repeats that are a budget for the warm-up and the timed steps, however few these are.
    setting = ModelSetting(*sizes, options.steps, 1 + WARM_UP, "cpu", "float32", "eager")
    settings = {OURS: setting, WHOLE: setting, EACH: setting}
    if options.compiled:
        settings[COMPILED] = replace(setting, engine="compiled")
    speeds: dict[str, list[float]] = {name: [] for name in settings}
    for _ in range(options.repeats):
        for name, each in settings.items():
            speeds[name].append(tokens_per_second(name, each, options.cores))
    print(f"{'tokens a second':>42}  {'median':>7}  {'range':>17}  {'of one on all':>13}  {'of one on each':>14}")
    for name, found in speeds.items():
        ratios = [median(a / b for a, b in zip(found, speeds[other], strict=True)) for other in (WHOLE, EACH)]
        spread = f"{min(found):,.0f} to {max(found):,.0f}"
        print(f"{name:>42}  {median(found):7,.0f}  {spread:>17}  {ratios[0]:13.2f}  {ratios[1]:14.2f}")
    if options.out:
        report = {"environment": environment("cpu"), "cores": options.cores, "setting": asdict(setting), "tokens_per_second": speeds}
        options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
