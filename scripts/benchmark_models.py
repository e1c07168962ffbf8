"""Measure whole trainings of genomes, and of Hugging Face's models beside them, in one run (docs/results/speed.md)."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from star_search.benchmark import huggingface
from star_search.benchmark.models import ModelCost, ModelSetting, environment, measure_genomes, peak_flops, release, table
from star_search.errors import StarSearchError


def main() -> None:
    """Print a table and, with --out, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genome", action="append", default=[], metavar="NAME=GENOME", help="repeatable")
    parser.add_argument("--times", type=int, default=1, help="how often each genome is repeated in depth")
    parser.add_argument("--huggingface", action="append", default=[], choices=huggingface.MODELS, help="repeatable")
    parser.add_argument("--eager", action="store_true", help="Hugging Face models without torch.compile")
    parser.add_argument("--layers", type=int, default=12, help="layers of Hugging Face models: two LIVs each")
    for name, value in (("width", 256), ("vocabulary", 4096), ("length", 1024), ("batch-tokens", 8192), ("steps", 50), ("repeats", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--precision", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    setting = ModelSetting(
        options.width,
        options.vocabulary,
        options.length,
        options.batch_tokens,
        options.steps,
        options.repeats,
        options.device,
        options.precision,
    )
    peak = peak_flops(setting.device, setting.precision)
    genomes = {name: "-".join([genome] * options.times) for name, genome in (each.split("=", 1) for each in options.genome)}
    costs: list[ModelCost] = []
    refused: list[str] = []
    for name, genome in genomes.items():
        try:
            costs += measure_genomes(setting, {name: genome}, peak)
        except StarSearchError as error:
            refused.append(str(error))
        release(setting.device)
    compiled = setting.device.startswith("cuda") and not options.eager
    for name in options.huggingface:
        costs.append(huggingface.measure(name, setting, options.layers, compiled))
        release(setting.device)
    report: dict[str, Any] = {"environment": environment(setting.device), "peak_flops": peak, "setting": vars(setting), "genomes": genomes}
    if options.out is not None:
        options.out.write_text(json.dumps({**report, "models": [cost.as_json() for cost in costs]}, indent=1, default=str) + "\n")
    print(f"{report['environment']}, a large product reaches {peak / 1e12:,.2f} TFLOP/s")
    for row in table(costs):
        print("  ".join(f"{cell:>16}" for cell in row))
    if refused:
        sys.exit("\n".join(refused))


if __name__ == "__main__":
    main()
