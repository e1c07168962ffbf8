"""A search of 200 candidates on 4 workers with faults on purpose, against the same search without them.

    sudo python scripts/fault_run.py --folder /tmp/faults

Of all architectures, chosen by hash, 5 % get NaN losses, 5 % raise, 5 % hang beyond the limit and 5 % lose their worker to SIGKILL while
they train. The run lies on a small tmpfs (so it needs to mount one) that is full for ten seconds in the middle. Prints both wall times,
the outcomes, and what of the faults is in the record.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from star_search.runs.directory import RunDirectory
from star_search.runs.records import CandidateRecord, Outcome

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from evolution.faulty_worker import PLAN, trained  # noqa: E402

SHARE = 0.05
FAULTS = ("nan", "raise", "hang", "die once")
PROGRAM = "from evolution.faulty_worker import main; main()"


def evolve(folder: Path, notes: Path, shares: dict[str, float], arguments: argparse.Namespace) -> float:
    """Run the search in a folder and return its seconds; `notes` tells afterwards which trainings began."""
    changes = {
        "algorithm.population": 20,
        "algorithm.generations": arguments.candidates // 20 - 1,
        "training.tokens": arguments.tokens,
        "workers.count": 4,
        "workers.backend": arguments.backend,
        "workers.timeout": arguments.timeout,
        "algorithm.asynchronous": str(arguments.asynchronous).lower(),
    }
    options = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    notes.mkdir()
    plan = {PLAN: json.dumps({"folder": str(notes), "plan": {}, "shares": shares})}
    environment = os.environ | {"PYTHONPATH": f"{TESTS.parent}:{TESTS}", "OMP_NUM_THREADS": "1"} | plan
    start = time.monotonic()
    command = [sys.executable, "-c", PROGRAM, "evolve", "--quiet", "--config", "quickstart.yaml", "--run-dir", str(folder), *options]
    subprocess.run(command, env=environment, check=True)
    return time.monotonic() - start


def fill_disk(mount: Path, after: float, seconds: float) -> None:
    """Take all room of a mount after a while, and give it back."""
    time.sleep(after)
    with (mount / "ballast").open("wb") as file:
        try:
            while True:
                file.write(b"0" * 65_536)
                file.flush()
        except OSError:
            print(f"the disk is full after {after:.0f} s", flush=True)
    time.sleep(seconds)
    (mount / "ballast").unlink()


def expected(canonical: str, shares: dict[str, float]) -> str:
    """Return the fault that an architecture gets."""
    from evolution.faulty_worker import fault_by_chance

    return fault_by_chance(shares, canonical)


def account(run: RunDirectory, shares: dict[str, float], notes: Path) -> None:
    """Print what became of every fault."""
    records = run.read_candidates()[0]
    outcomes: dict[str, Counter[str]] = {fault: Counter() for fault in ("none", *FAULTS)}
    for record in records:
        outcomes[expected(record.canonical, shares) or "none"][record.outcome.value] += 1
    for fault, found in outcomes.items():
        print(f"  fault {fault}: " + ", ".join(f"{count} {name}" for name, count in found.items()))
    tries = Counter(trained(notes))
    twice = [canonical for canonical, count in tries.items() if count > 1]
    print(f"  {len(records)} candidates; trained more than once: {len(twice)}, of them with a killed worker: "
          f"{sum(expected(canonical, shares) == 'die once' for canonical in twice)}")  # fmt: skip
    by_id: dict[int, CandidateRecord] = {record.id: record for record in records}
    front = run.read_generations()[0][-1].front
    honest = all(by_id[number].outcome == Outcome.ok and expected(by_id[number].canonical, shares) in ("", "die once") for number in front)
    print(f"  front of {len(front)}, all honest: {honest}")


def main() -> None:
    """Run both searches and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=65_536)
    parser.add_argument("--timeout", type=float, default=20.0)
    parser.add_argument("--backend", choices=["processes", "dask"], default="dask")
    parser.add_argument("--asynchronous", action="store_true")
    parser.add_argument("--megabytes", type=int, default=24)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True)
    clean = evolve(arguments.folder / "clean", arguments.folder / "clean-notes", {}, arguments)
    print(f"clean: {clean:.0f} s", flush=True)
    mount, shares = arguments.folder / "small", dict.fromkeys(FAULTS, SHARE)
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={arguments.megabytes}m", "tmpfs", str(mount)], check=True)
    try:
        threading.Thread(target=fill_disk, args=(mount, clean / 2, 10.0), daemon=True).start()
        seconds = evolve(mount / "run", arguments.folder / "notes", shares, arguments)
        print(f"with faults: {seconds:.0f} s, {seconds / clean:.2f} times the clean run")
        account(RunDirectory.open(mount / "run"), shares, arguments.folder / "notes")
    finally:
        subprocess.run(["umount", str(mount)], check=True)


if __name__ == "__main__":
    main()
