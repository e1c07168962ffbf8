"""Score the models of a comparison on the six benchmarks, and average what each reaches.

    python scripts/proxy_downstream.py runs/proxy/transfer-cache --task-data corpus/downstream --limit 1000 --devices cuda:0,cuda:1

Of every model the first seed's export is scored by `star-search evaluate --downstream`, as many at once as there are devices; not again
where it was scored at the learning rate that it has. Puts every score into the comparison's downstream.json, and prints a table: accuracy
by task, normalised by length for HellaSwag and ARC-Challenge, as is usual; their mean, and its 95 % interval from the binomial errors of
the six.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from star_search.analysis.statistics import NORMAL_95
from star_search.finalists.comparison import training_path
from star_search.runs.atomic import write_json

METRICS = {"hellaswag": "acc_norm", "arc_easy": "acc", "arc_challenge": "acc_norm", "winogrande": "acc", "piqa": "acc", "sciq": "acc"}
FILE, HEADINGS = "downstream.json", ["model", *METRICS, "mean"]


def export_of(folder: Path, model: dict[str, Any]) -> Path:
    """Return the export of a compared model's first seed, at the learning rate that it was given."""
    return training_path(folder, model["label"], model.get("learning_rate"), seed=0) / "export"


def scored(export: Path, options: Sequence[str], device: str) -> list[dict[str, Any]]:
    """Return every score of an exported model."""
    command = [sys.executable, "-m", "star_search.cli", "evaluate", str(export), "--downstream", "--device", device, "--json", *options]
    found: list[dict[str, Any]] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)["tasks"]
    return found


def accuracies(scores: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the score that counts of every task."""
    named = {(score["task"].removesuffix("_local"), score["metric"]): score for score in scores}
    return {task: named[task, metric] for task, metric in METRICS.items()}


def average(found: dict[str, dict[str, Any]]) -> tuple[float, float]:
    """Return the mean accuracy over tasks, and half its 95 % interval."""
    mean = sum(score["value"] for score in found.values()) / len(found)
    variance = sum(score["value"] * (1 - score["value"]) / score["items"] for score in found.values())
    return mean, NORMAL_95 * math.sqrt(variance) / len(found)


def rows(results: dict[str, dict[str, Any]]) -> list[list[str]]:
    """Return the table's rows, chance first."""
    found = {label: accuracies(result["tasks"]) for label, result in results.items()}
    first = next(iter(found.values()))
    guessed = [score["chance"] for score in first.values()]
    table = [["chance", *(f"{100 * each:.1f}" for each in guessed), f"{100 * sum(guessed) / len(guessed):.1f}"]]
    for label, scores in found.items():
        mean, half = average(scores)
        table.append([label, *(f"{100 * score['value']:.1f}" for score in scores.values()), f"{100 * mean:.1f} ± {100 * half:.1f}"])
    return table


def main() -> None:
    """Score, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of a comparison, with its exports")
    parser.add_argument("--task-data", required=True)
    parser.add_argument("--limit", default="1000", help="the first items of each task")
    parser.add_argument("--devices", default="cpu", help="joined by commas")
    options = parser.parse_args()
    models = json.loads((options.folder / "comparison.json").read_text())["models"]
    file, kept = options.folder / FILE, dict[str, Any]()
    if file.exists() and (known := json.loads(file.read_text()))["limit"] == int(options.limit):
        kept = known["models"]
    free: SimpleQueue[str] = SimpleQueue()
    devices = options.devices.split(",")
    for device in devices:
        free.put(device)

    def on_a_device(model: dict[str, Any]) -> dict[str, Any]:
        label, rate = model["label"], model.get("learning_rate")
        if label in kept and kept[label]["learning_rate"] == rate:
            found: dict[str, Any] = kept[label]
            return found
        device = free.get()
        try:
            tasks = scored(export_of(options.folder, model), ["--task-data", options.task_data, "--limit", options.limit], device)
            return {"learning_rate": rate, "tasks": tasks}
        finally:
            free.put(device)

    with ThreadPoolExecutor(len(devices)) as pool:
        results = dict(zip((model["label"] for model in models), pool.map(on_a_device, models), strict=True))
    write_json(file, {"limit": int(options.limit), "models": results})
    for row in (HEADINGS, ["---"] * len(HEADINGS), *rows(results)):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
