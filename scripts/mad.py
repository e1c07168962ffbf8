"""MAD tasks, architecture by architecture: accuracy on every task, over seeds.

    python scripts/mad.py attention=11111-91111-11111-91111 convolution=71111-91111-71111-91111 --width 64 --seeds 0 1 2

Prints one JSON line per architecture, task and seed as it is known, then a Markdown table of means and ranges. `--set` changes a key of
`mad`, for example `--set learning_rate=3e-3`; `--out FILE` appends the lines to a file, and what stands there is not done again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
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
    """Return means and ranges over the seeds, a row a task, a column an architecture."""
    names = list(dict.fromkeys(line["name"] for line in lines))
    rows = [["task", *names], ["---"] * (1 + len(names))]
    for task in dict.fromkeys(line["task"] for line in lines):
        found = [[line["accuracy"] for line in lines if line["task"] == task and line["name"] == name] for name in names]
        rows.append([task, *(f"{sum(each) / len(each):.1%} ({min(each):.1%} to {max(each):.1%})" if each else "-" for each in found)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
