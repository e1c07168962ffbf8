"""Measure how the cost of candidates grows with their tokens, their number and their depth.

    python scripts/measure_growth.py --out growth.json

Whole trainings, from genome to result, of classes that are compiled already. Prints seconds and the exponent of growth over each factor.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import torch

from star_search.benchmark.models import ModelSetting, random_stream, release, synchronise
from star_search.benchmark.models_report import environment
from star_search.benchmark.operators import exponent
from star_search.model.language_model import LanguageModel
from star_search.runs.atomic import write_json
from star_search.training.trainer import train

MOTIF = "11111-91111-71111-91111"
FACTORS = (1, 2, 4, 8)


def main() -> None:
    """Print a table and, with --out, write JSON after each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("width", 256), ("vocabulary", 4096), ("length", 1024), ("batch-tokens", 8192), ("steps", 400), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument(
        "--depth", type=int, default=24, help="LIVs, a multiple of 4; what grows is taken once, twice, four and eight times"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", help="bfloat16 on a GPU and float32 on a CPU by default")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    precision = options.precision or ("float32" if options.device == "cpu" else "bfloat16")
    sizes = (options.width, options.vocabulary, options.length, options.batch_tokens)
    setting = ModelSetting(*sizes, options.steps, 1, options.device, precision)
    candidates_seconds(setting, options.depth, options.steps)  # Compiles.
    tokens = [factor * options.steps for factor in FACTORS]
    depths = [factor * max(4, options.depth // 4) for factor in FACTORS]
    rows: dict[str, dict[int, Callable[[], float]]] = {
        "tokens": {steps * setting.batch_tokens: partial(candidates_seconds, setting, options.depth, steps) for steps in tokens},
        "candidates": {count: partial(candidates_seconds, setting, options.depth, options.steps, count) for count in FACTORS},
        "depth": {depth: partial(candidates_seconds, setting, depth, options.steps) for depth in depths},
    }
    report = {"environment": environment(options.device), "setting": vars(setting), "depth": options.depth}
    measured: dict[str, dict[int, float]] = {}
    print(f"{'grows':>12} {'exponent':>9}  seconds", flush=True)
    for name, row in rows.items():
        seconds = measured[name] = {}
        for amount, run in row.items():
            seconds[amount] = median(run() for _ in range(options.repeats))
            if options.out:
                write_json(options.out, {**report, "seconds": measured})
        cells = ", ".join(f"{amount:,}: {each:.2f}" for amount, each in seconds.items())
        print(f"{name:>12} {exponent([*seconds], [*seconds.values()]):9.3f}  {cells}", flush=True)


def candidates_seconds(setting: ModelSetting, depth: int, steps: int, count: int = 1) -> float:
    """Return the seconds of candidates one after another, each from genome to result."""
    genome = "-".join([MOTIF] * (depth // 4))
    config = setting.training().model_copy(update={"tokens": steps * setting.batch_tokens})
    stream = random_stream(setting)
    release(setting.device)
    synchronise(setting.device)
    start = time.perf_counter()
    for seed in range(count):
        model = LanguageModel.from_genome(genome, setting.width, setting.vocabulary_size, setting.catalogue, seed=seed).to(setting.device)
        train(model, stream, config, math.inf)
    synchronise(setting.device)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
