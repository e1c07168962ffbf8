"""What `evolve --dry-run` predicts against what the search then takes: hours and memory of one worker, over small configurations.

    python scripts/measure_prediction.py --folder /tmp/predictions --seeds 0 1

Prints a table as it goes. Nothing else may use the machine meanwhile.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from star_search.runs.directory import RunDirectory

TOLERANCE = 0.3
CONFIGURATIONS: dict[str, dict[str, object]] = {
    "quickstart, 2 workers": {"workers.count": 2},
    "quickstart, 1 worker, 16 candidates": {"workers.count": 1, "algorithm.generations": 1},
    "4 x 128, T 256, 2 workers": {
        "space.depth": 4,
        "space.width": 128,
        "training.sequence_length": 256,
        "training.batch_tokens": 1024,
        "algorithm.generations": 1,
        "workers.count": 2,
    },
    "16 x 32, all classes, 2 workers": {
        "space.depth": 16,
        "space.width": 32,
        "space.classes": "null",
        "training.tokens": 65536,
        "algorithm.generations": 1,
        "workers.count": 2,
    },
}
PROBE = re.compile(r"^probe .*: about ([\d.e+-]+) hours on \d+ workers of this machine, ([\d.]+) ([kMG]B) of memory each$", re.MULTILINE)


def evolve(changes: dict[str, object], *more: str) -> str:
    """Run the command and return what it prints."""
    options = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "star_search.cli", "evolve", "--config", "quickstart.yaml", "--device", "cpu", *options, *more]
    ground = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=ground).stdout


def predicted(changes: dict[str, object]) -> tuple[float, float]:
    """Return the seconds and the bytes of a worker that a dry run predicts."""
    text = evolve(changes, "--dry-run")
    found = PROBE.search(text)
    if found is None:
        sys.exit(f"the dry run made no prediction:\n{text}")
    return float(found[1]) * 3600, float(found[2]) * {"kB": 1e3, "MB": 1e6, "GB": 1e9}[found[3]]


def measured(changes: dict[str, object], folder: Path) -> tuple[float, float]:
    """Return the seconds of the search and the largest peak of a worker."""
    start = time.monotonic()
    evolve(changes, "--quiet", "--run-dir", str(folder))
    seconds = time.monotonic() - start
    records = RunDirectory.open(folder).read_candidates()[0]
    return seconds, max(record.measured.get("peak_memory_bytes", 0.0) for record in records)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", type=int, choices=range(len(CONFIGURATIONS)), default=range(len(CONFIGURATIONS)))
    arguments = parser.parse_args()
    print(
        "| search | seed | seconds: predicted, measured | ratio | MB of a worker: predicted, measured | ratio |\n|---|---|---|---|---|---|"
    )
    within = []
    for index, (name, changes) in enumerate(CONFIGURATIONS.items()):
        for seed in arguments.seeds if index in arguments.only else ():
            seeded = changes | {"algorithm.seed": seed}
            (seconds, size), (real, peak) = predicted(seeded), measured(seeded, arguments.folder / f"{index}-{seed}")
            ratios = seconds / real, size / peak
            within += [abs(ratio - 1) <= TOLERANCE for ratio in ratios]
            print(
                f"| {name} | {seed} | {seconds:.0f}, {real:.0f} | {ratios[0]:.2f} | {size / 1e6:.0f}, {peak / 1e6:.0f} | {ratios[1]:.2f} |"
            )
            sys.stdout.flush()
    print(f"\n{sum(within)} of {len(within)} predictions within {TOLERANCE:.0%}")


if __name__ == "__main__":
    main()
