"""Go on with a search of the proxy study for so many seconds, from its packed records, and pack them again.

    python scripts/proxy_search.py cache --seconds 540 --records docs/results/proxy --out packed

Reads NAME.tar.xz of --records where runs/proxy/NAME is not there, starts the search where neither is, and writes NAME.tar.xz into --out:
every record, without weights, which nothing needs to go on. Further options go to `star-search evolve`.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

RUNS = Path("runs/proxy")
LEFT_OUT = ("weights", "tensorboard")
INTERRUPTED, WAIT_SECONDS = 130, 60.0


def unpack(archive: Path, run: Path) -> None:
    """Put packed records where the run belongs, if there are any and it is not there."""
    if archive.exists() and not run.exists():
        run.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as packed:
            packed.extractall(run.parent, filter="data")


def pack(run: Path, archive: Path) -> None:
    """Write the records of a run, which is over or interrupted, without weights."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_name(f"{archive.name}.partial")
    with tarfile.open(partial, "w:xz") as packed:
        for path in sorted(run.iterdir()):
            if path.name not in LEFT_OUT:
                packed.add(path, f"{run.name}/{path.name}")
    partial.replace(archive)


def search(name: str, run: Path, seconds: float, options: list[str]) -> int:
    """Search until it is over or the time is, and return the exit code of the command; 0 where it was ended for the time."""
    command = ["evolve", "--config", f"configs/proxy/{name}.yaml", "--run-dir", str(run), "--resume", *options]
    process = subprocess.Popen([sys.executable, "-m", "star_search.cli", *command])
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    try:
        code = process.wait(WAIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()  # Which a run survives as well.
        process.wait()
        return 0
    return 0 if code == INTERRUPTED else code


def main() -> int:
    """Unpack, search, pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(path.stem for path in Path("configs/proxy").glob("*.yaml")))
    parser.add_argument("--seconds", type=float, required=True, help="when to interrupt it")
    parser.add_argument("--records", type=Path, default=Path("docs/results/proxy"))
    parser.add_argument("--out", type=Path, required=True)
    arguments, options = parser.parse_known_args()
    run = RUNS / arguments.name
    unpack(arguments.records / f"{arguments.name}.tar.xz", run)
    code = search(arguments.name, run, arguments.seconds, options)
    if run.exists():
        pack(run, arguments.out / f"{arguments.name}.tar.xz")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
