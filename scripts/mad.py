"""MAD tasks, architecture by architecture: accuracy on every task, over seeds.

    python scripts/mad.py attention=11111-91111-11111-91111 convolution=71111-91111-71111-91111 --width 64 --seeds 0 1 2

Prints one JSON line per architecture, task and seed as it is known, then a Markdown table of means and ranges. `--set` changes a key of
`mad`, for example `--set learning_rate=3e-3`; `--out FILE` appends the lines to a file, and what stands there is not done again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from star_search.config import SearchConfig, parse_configuration
from star_search.config_objectives import MAD_TASKS
from star_search.objectives.mad.objective import mad_accuracies


def main() -> None:
    """Train every architecture on every task for every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architectures", nargs="+", metavar="NAME=GENOME")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--catalogue", default="star")
    parser.add_argument("--tasks", nargs="+", default=MAD_TASKS)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    lines = arguments.out.read_text().splitlines() if arguments.out and arguments.out.exists() else []
    done = {key(each): each for each in map(json.loads, lines)}
    overrides = [f"mad.{change}" for change in arguments.set]
    for task in arguments.tasks:
        for name, genome in (text.split("=") for text in arguments.architectures):
            for seed in arguments.seeds:
                space, training = {"width": arguments.width, "catalogue": arguments.catalogue}, {"precision": arguments.precision}
                config = parse_configuration({"space": space, "training": training, "mad": {"tasks": [task]}}, overrides)
                wanted = {"name": name, "genome": genome, "task": task, "seed": seed, **space, **training, "mad": settings(config)}
                if key(wanted) not in done:
                    done[key(wanted)] = found = wanted | accuracy(config, genome, seed, arguments.device)
                    print(line := json.dumps(found), flush=True)
                    if arguments.out:
                        with arguments.out.open("a") as file:
                            file.write(line + "\n")
    print(table(list(done.values())))


def key(line: dict[str, Any]) -> str:
    """Return what a line is the result of."""
    return json.dumps({name: line[name] for name in ("genome", "task", "seed", "width", "catalogue", "precision", "mad")}, sort_keys=True)


def settings(config: SearchConfig) -> dict[str, Any]:
    """Return the settings of the tasks but their names."""
    return {name: value for name, value in config.mad.model_dump(mode="json").items() if name != "tasks"}


def accuracy(config: SearchConfig, genome: str, seed: int, device: str) -> dict[str, float]:
    """Return the accuracy on the configuration's one task, and the seconds that it took."""
    start = time.perf_counter()
    (value,) = mad_accuracies(config, genome, seed, device).values()
    return {"accuracy": value, "seconds": round(time.perf_counter() - start, 1)}


def table(lines: list[dict[str, Any]]) -> str:
    """Return accuracies in percent, a row an architecture, a column a task, the last their mean; over several seeds means and ranges."""
    tasks = list(dict.fromkeys(line["task"] for line in lines))
    rows = [["accuracy, %", *tasks, "mean"], ["---"] * (2 + len(tasks))]
    for name in dict.fromkeys(line["name"] for line in lines):
        found = [[100 * line["accuracy"] for line in lines if line["name"] == name and line["task"] == task] for task in tasks]
        means = [mean(each) for each in found if each]
        rows.append([name, *map(cell, found), f"{mean(means):.1f}" if len(means) == len(tasks) else "-"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cell(values: Sequence[float]) -> str:
    """Return a mean, and of several values their range."""
    if not values:
        return "-"
    return f"{mean(values):.1f}" + (f" ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
