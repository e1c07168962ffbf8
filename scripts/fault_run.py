"""A search of 200 candidates on 4 workers with faults on purpose, against the same search without them; on CPUs, whatever the machine has.

    python scripts/fault_run.py --folder /tmp/faults --out /tmp/record

Of all architectures, chosen by hash, 5 % get NaN losses, 5 % raise, 5 % hang beyond the limit (twice the longest candidate of the clean
search, unless given) and 5 % lose their worker to SIGKILL while they train. Both searches lie on small disks of their own (tmpfs, so
root or user namespaces are needed; otherwise `--small` names a folder on a small file system); the second's is full for ten seconds
in the middle. Prints what came of it and keeps it in `fault_run.json` and `fault_run.md`.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from star_search.runs.directory import RunDirectory
from star_search.runs.records import CandidateRecord, Outcome

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from evolution.faulty_worker import PLAN, fault_by_chance, trained  # noqa: E402

SHARE = 0.05
# What the record of a candidate with a fault must say; one whose worker was killed is tried again and may end as any other.
OUTCOMES = {"nan": Outcome.unstable, "raise": Outcome.crashed, "hang": Outcome.timeout, "die once": None}
PROGRAM = "from evolution.faulty_worker import main; main()"
POPULATION, WORKERS, FULL_SECONDS, LIMIT = 20, 4, 10.0, 1.6


@dataclass(frozen=True)
class Run:
    """A search that has ended: its folder, its seconds, and the trainings that began."""

    directory: RunDirectory
    seconds: float
    began: list[str]
    shares: dict[str, float]

    def fault(self, record: CandidateRecord) -> str:
        """Return the fault that a candidate's architecture got, empty for none."""
        return fault_by_chance(self.shares, record.canonical)


def evolve(folder: Path, shares: dict[str, float], timeout: float, arguments: argparse.Namespace) -> Run:
    """Run the search in a folder."""
    changes = {
        "algorithm.population": POPULATION,
        "algorithm.generations": arguments.candidates // POPULATION - 1,
        "algorithm.asynchronous": str(arguments.asynchronous).lower(),
        "training.tokens": arguments.tokens,
        "workers.count": WORKERS,
        "workers.backend": arguments.backend,
        "workers.device": "cpu",
        "workers.timeout": timeout,
    }
    options = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    notes = arguments.folder / f"{folder.name}-notes"
    notes.mkdir()
    plan = {PLAN: json.dumps({"folder": str(notes), "plan": {}, "shares": shares})}
    ground = {"PYTHONPATH": f"{TESTS.parent}:{TESTS}", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", PROGRAM, "evolve", "--quiet", "--config", "quickstart.yaml", "--run-dir", str(folder), *options]
    start = time.monotonic()
    subprocess.run(command, env=os.environ | ground | plan, check=True)
    return Run(RunDirectory.open(folder), time.monotonic() - start, trained(notes), shares)


def fill_disk(folder: Path, after: float) -> None:
    """Take all room of a disk after a while, what is freed meanwhile too, and give it back ten seconds later."""
    time.sleep(after)
    ballast, end = folder / "ballast", time.monotonic() + FULL_SECONDS
    print(f"the disk is full after {after:.0f} s", flush=True)
    with ballast.open("wb", buffering=0) as file:
        while time.monotonic() < end:
            try:
                file.write(b"0" * 65_536)
            except OSError:
                time.sleep(0.02)
    ballast.unlink()


@contextlib.contextmanager
def small_disk(name: str, arguments: argparse.Namespace) -> Iterator[Path]:
    """Give an empty folder on a small file system, gone afterwards."""
    if arguments.small is not None:
        folder = arguments.small / f"star-search-{name}-{os.getpid()}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)
        return
    folder = arguments.folder / f"{name}-disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={arguments.megabytes}m", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        sys.exit("no tmpfs can be mounted here; give --small FOLDER, a folder on a small file system such as /dev/shm")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def account(clean: Run, faulty: Run, timeout: float, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the claim is about: wall times, what became of every fault, the front, trainings that began more than once."""
    records, events = faulty.directory.read_candidates()[0], faulty.directory.read_events()
    outcomes = {fault or "none": dict(Counter(r.outcome.value for r in records if faulty.fault(r) == fault)) for fault in ("", *OUTCOMES)}
    by_canonical = {record.canonical: record for record in records}
    again = Counter({canonical: count for canonical, count in Counter(faulty.began).items() if count > 1})
    front = [record for record in records if record.id in faulty.directory.read_generations()[0][-1].front]
    waits = [event["seconds"] for event in events if event["event"] == "disk_full"]
    waits += [record.measured["disk_full_seconds"] for record in records if "disk_full_seconds" in record.measured]
    expected = arguments.candidates // POPULATION * POPULATION
    return {
        "candidates": {"asked for": expected, "clean": len(clean.directory.read_candidates()[0]), "with faults": len(records)},
        "seconds": {"clean": clean.seconds, "with faults": faulty.seconds, "ratio": faulty.seconds / clean.seconds, "limit": timeout},
        "clean outcomes": dict(Counter(record.outcome.value for record in clean.directory.read_candidates()[0])),
        "outcomes by fault": outcomes,
        "disk full": {"seconds": FULL_SECONDS, "writes that waited": len(waits), "longest wait": max(waits, default=0.0)},
        "front": [{"id": record.id, "outcome": record.outcome.value, "fault": faulty.fault(record)} for record in front],
        "trained again": {canonical: [count, faulty.fault(by_canonical[canonical])] for canonical, count in again.items()},
        "holds": {
            "no outcome is lost": sorted(record.id for record in records) == list(range(expected)),
            "every NaN, exception and hang is its outcome": all(
                record.outcome == OUTCOMES[fault] for record in records if (fault := faulty.fault(record)) and OUTCOMES[fault]
            ),
            "every killed worker is in its candidate's record": all(
                bool(record.measured.get("tried_before")) == (faulty.fault(record) == "die once") for record in records
            ),
            "the full disk is in the record": bool(waits),
            "the front is honest": all(r.outcome == Outcome.ok and faulty.fault(r) in ("", "die once") for r in front) and bool(front),
            "only what was cut off is trained again, once": again
            == Counter({record.canonical: 2 for record in records if faulty.fault(record) == "die once"}),
            f"at most {LIMIT} times the clean run": faulty.seconds <= LIMIT * clean.seconds,
        },
    }


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    cpu = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
        "unknown",
    )
    versions = {}
    for name in ("torch", "pymoo", "numpy", "distributed"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "python": platform.python_version(), **versions}


def as_markdown(found: dict[str, Any]) -> str:
    """Return the record as a page."""
    seconds, disk, backend = found["seconds"], found["disk full"], found["options"]["backend"]
    lines = [
        f"{found['candidates']['with faults']} candidates, {WORKERS} workers ({backend}), limit {seconds['limit']:.1f} s.",
        f"Clean {seconds['clean']:.1f} s, with faults {seconds['with faults']:.1f} s: **{seconds['ratio']:.2f} times**.",
        f"Disk full for {disk['seconds']:.0f} s: {disk['writes that waited']} writes waited, the longest {disk['longest wait']:.1f} s.",
        f"Trained more than once: {len(found['trained again'])}. Front of {len(found['front'])}.",
        "",
        "| fault | candidates | outcomes |",
        "|---|---|---|",
    ]
    for fault, outcomes in found["outcomes by fault"].items():
        lines.append(f"| {fault} | {sum(outcomes.values())} | {', '.join(f'{count} `{name}`' for name, count in outcomes.items())} |")
    lines += ["", *(f"* {claim}: {'yes' if holds else '**no**'}" for claim, holds in found["holds"].items())]
    return "\n".join([*lines, "", ", ".join(f"{name} {value}" for name, value in found["machine"].items()), ""])


def main() -> None:
    """Run both searches, print and keep what came of them; exit 1 where something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=65_536)
    parser.add_argument("--timeout", type=float)
    parser.add_argument("--backend", choices=["processes", "dask"], default="processes")
    parser.add_argument("--asynchronous", action="store_true")
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--small", type=Path)
    arguments = parser.parse_args()
    if arguments.small is None and os.geteuid() != 0:
        os.execvp("unshare", ["unshare", "--map-root-user", "--mount", sys.executable, *sys.argv])
    arguments.folder, arguments.out = arguments.folder.resolve(), arguments.out.resolve()
    arguments.folder.mkdir(parents=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    shares = dict.fromkeys(OUTCOMES, SHARE)
    with small_disk("clean", arguments) as clean_disk, small_disk("faulty", arguments) as faulty_disk:
        clean = evolve(clean_disk / "clean", {}, 3600.0, arguments)
        longest = max(record.measured["seconds"] for record in clean.directory.read_candidates()[0])
        timeout = arguments.timeout or round(2 * longest, 1)
        print(f"clean: {clean.seconds:.0f} s, the longest candidate {longest:.1f} s", flush=True)
        threading.Thread(target=fill_disk, args=(faulty_disk, clean.seconds / 2), daemon=True).start()
        faulty = evolve(faulty_disk / "faulty", shares, timeout, arguments)
        options = {name: str(value) if isinstance(value, Path) else value for name, value in vars(arguments).items()}
        found = account(clean, faulty, timeout, arguments) | {"options": options, "machine": machine()}
    (arguments.out / "fault_run.json").write_text(json.dumps(found, indent=1) + "\n")
    (arguments.out / "fault_run.md").write_text(as_markdown(found))
    print(as_markdown(found))
    sys.exit(not all(found["holds"].values()))


if __name__ == "__main__":
    main()
