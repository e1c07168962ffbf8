"""Measure candidates an hour of whole searches, on some of the GPUs or all, generation by generation and without generations.

    python scripts/measure_search.py --config configs/proxy/cache.yaml --gpus 1,2 --per-device 1,3 --set training.tokens=2000000
    python scripts/measure_search.py --gpus 1,2 --device cpu --set training.tokens=8192

Of each search: candidates assessed in an hour, from the first's beginning to the last's end; the share of that in which workers worked;
and the ratio to the first search of its mode. Compilation counts as work: a search on all GPUs goes first, so that what can be read from
disk later is there, and is not reported. On a CPU, `--gpus` are workers.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from star_search.analysis.timing import split_wall_time
from star_search.runs.atomic import write_json
from star_search.runs.directory import RunDirectory
from star_search.runs.records import Outcome

MODES = {"generations": [], "async": ["--async"]}


def search(folder: Path, options: list[str], device: str, gpus: int, per_device: int) -> None:
    """Run a search to its end on the first GPUs, or on as many CPU workers."""
    where = ["--workers", str(gpus)] if device == "cpu" else ["--set", f"workers.per_device={per_device}"]
    given = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus)))).split(",")
    visible = {} if device == "cpu" else {"CUDA_VISIBLE_DEVICES": ",".join(given[:gpus])}
    command = [sys.executable, "-m", "star_search.cli", "evolve", "--run-dir", str(folder), "--device", device, *options, *where]
    subprocess.run(command, env={**os.environ, **visible}, check=True, stdout=subprocess.DEVNULL)


def figures(folder: Path) -> dict[str, Any]:
    """Return what a finished search did in which time."""
    records = [record for record in RunDirectory.open(folder).read_candidates()[0] if "busy" in record.measured]
    began, ended = min(record.measured["busy"][0] for record in records), max(record.measured["busy"][1] for record in records)
    wall = split_wall_time(records, ended - began)
    tokens = sum(record.tokens for record in records)
    return {
        "candidates": len(records),
        "ok": sum(record.outcome == Outcome.ok for record in records),
        "seconds": wall.seconds,
        "an_hour": 3600 * len(records) / wall.seconds,
        "tokens_per_second": tokens / wall.seconds,
        "working": wall.worker_share,
        "workers": wall.workers,
    }


def main() -> None:
    """Print one line a search and, with --out, write JSON after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="quickstart.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="repeatable")
    parser.add_argument("--gpus", default="1,2", help="joined by commas")
    parser.add_argument("--per-device", default="1", help="workers on each GPU, joined by commas")
    parser.add_argument("--modes", default=",".join(MODES), help=f"of {', '.join(MODES)}, joined by commas")
    parser.add_argument("--generations", type=int, default=2)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--runs", type=Path, default=Path("runs/measured"), help="folder of the runs; it must not exist")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    counts, shared = ([int(each) for each in text.split(",")] for text in (options.gpus, options.per_device))
    if unknown := [mode for mode in options.modes.split(",") if mode not in MODES]:
        parser.error(f"unknown mode {unknown[0]!r}; allowed: {', '.join(MODES)}")
    options.runs.mkdir(parents=True)
    changes = [f"algorithm.generations={options.generations}", *options.set]
    given = ["--config", options.config, *(word for change in changes for word in ("--set", change))]
    if options.device == "cuda":
        search(options.runs / "first", given, options.device, max(counts), max(shared))
    rows: list[dict[str, Any]] = []
    for mode in options.modes.split(","):
        first = 0.0
        for gpus in counts:
            for per_device in shared:
                folder = options.runs / f"{mode}-{gpus}-{per_device}"
                search(folder, [*given, *MODES[mode]], options.device, gpus, per_device)
                found = figures(folder)
                first = first or found["an_hour"]
                rows.append({"mode": mode, "gpus": gpus, "per_device": per_device, **found})
                ratio, speeds = found["an_hour"] / first, f"{found['an_hour']:,.0f} an hour, {found['tokens_per_second']:,.0f} tokens/s"
                took = f"{found['candidates']} candidates in {found['seconds']:.1f} s"
                share = f"workers at work {found['working']:.0%}, {ratio:.2f} of the first"
                print(f"{mode:>11}  {gpus} x {per_device}: {took}, {speeds}, {share}", flush=True)
                if options.out:
                    write_json(
                        options.out, {"options": {**vars(options), "runs": str(options.runs), "out": str(options.out)}, "rows": rows}
                    )


if __name__ == "__main__":
    main()
