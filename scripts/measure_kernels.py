"""Print which kernels a training step's time goes to, on a GPU.

    python scripts/measure_kernels.py --genome 11111-91111 --times 12 --width 768 --vocabulary 50304 --length 4096 --batch-tokens 32768
    python scripts/measure_kernels.py --genome 11111-91111 --genome j1111-91111 --times 12

Times are those of the profiler, of replayed steps of the captured graph; kernels that run at once count twice.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from star_search.benchmark.models import ModelSetting, first_step, random_stream, release, synchronise
from star_search.model.language_model import LanguageModel
from star_search.training.engine import build_steps

WARM_UP, STEPS = 4, 5


def events(setting: ModelSetting, genome: str) -> Iterable[Any]:
    """Return what the device did in STEPS steps."""
    model = LanguageModel.from_genome(genome, setting.width, setting.vocabulary_size, setting.catalogue, seed=0).to(setting.device).train()
    steps = build_steps(model, random_stream(setting), setting.training())
    first_step(steps)
    for step in range(1, 1 + WARM_UP):
        steps.run(step)
    synchronise(setting.device)
    with profile(activities=[ProfilerActivity.CUDA if setting.device.startswith("cuda") else ProfilerActivity.CPU]) as profiler:
        for step in range(1 + WARM_UP, 1 + WARM_UP + STEPS):
            steps.run(step)
        synchronise(setting.device)
    return profiler.key_averages()


def main() -> None:
    """Print a table for each genome."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genome", action="append", required=True, help="repeatable")
    for name, value in (("times", 1), ("width", 256), ("vocabulary", 4096), ("length", 1024), ("batch-tokens", 8192), ("rows", 25)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--catalogue", default="star", help="of --genome")
    parser.add_argument("--engine", default="auto", help="as training.engine")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    on_gpu = options.device.startswith("cuda")
    sizes = (options.width, options.vocabulary, options.length, options.batch_tokens, WARM_UP + STEPS, 1)
    precision = "bfloat16" if on_gpu else "float32"
    setting = ModelSetting(*sizes, options.device, precision, options.engine, catalogue=options.catalogue)
    for genome in options.genome:
        found = [
            (each.self_device_time_total if on_gpu else each.self_cpu_time_total, each)
            for each in events(setting, "-".join([genome] * options.times))
        ]
        found.sort(key=lambda row: -row[0])
        total = sum(time for time, _ in found)
        print(
            f"{genome} {options.times} times: {total / STEPS / 1000:.3f} ms a step in {sum(each.count for _, each in found) // STEPS} calls"
        )
        for time, each in found[: options.rows]:
            print(
                f"{time / STEPS:10.1f} us  {time / total:6.1%}  {each.count / STEPS:7.1f} x {time / each.count:8.1f} us  {each.key[:120]}"
            )
        release(setting.device)


if __name__ == "__main__":
    main()
