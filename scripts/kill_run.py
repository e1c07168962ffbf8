"""Kill drivers, workers and schedulers at random instants, resume, and hold every archive against that of an undisturbed search.

    python scripts/kill_run.py --folder /tmp/kills --instants 20

For generational and asynchronous searches, on 1, 2 and 4 workers, on worker processes and behind a Dask scheduler (where Dask is
installed): `kill -9` at `--instants` random instants in all, victims in turn, then the comparison, bit for bit and with the weights.
A search that ends before its last instant leaves it to the next.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from evolution.faulty_worker import PLAN, trained  # noqa: E402
from evolution.small_search import archive_of, small_values, write_text_source  # noqa: E402
from star_search.runs.directory import RunDirectory  # noqa: E402

PROGRAM = "from evolution.faulty_worker import main; main()"


def started(command: list[str], **variables: str) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, quietly."""
    ground = {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH")))),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=os.environ | ground | variables, start_new_session=True, **quiet)


class Cluster:
    """A Dask scheduler and workers, each in processes of their own."""

    def __init__(self, folder: Path, workers: int, plan: str) -> None:
        self.folder, self.workers, self.plan, self.number, self.processes = folder, workers, plan, 0, []
        self.start()

    def start(self) -> None:
        """Start a scheduler with its workers; those of one before are ended."""
        self.end()
        self.number += 1
        self.file = self.folder / f"scheduler-{self.number}.json"
        dask = [sys.executable, "-c", "import sys; from importlib import import_module; import_module(sys.argv.pop(1)).main()"]
        shared = ["--scheduler-file", str(self.file), "--no-dashboard"]
        scheduler = started([*dask, "distributed.cli.dask_scheduler", *shared, "--port", "0"])
        workers = started(
            [*dask, "distributed.cli.dask_worker", *shared, "--nworkers", str(self.workers), "--nthreads", "1"], **{PLAN: self.plan}
        )
        self.processes = [scheduler, workers]
        while not self.file.exists():
            time.sleep(0.05)

    def end(self) -> None:
        """Kill all of it."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def descendants(pid: int) -> list[int]:
    """Return all processes below one."""
    with contextlib.suppress(OSError):
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return children + [below for child in children for below in descendants(child)]
    return []


def trains(pid: int) -> bool:
    """Return whether a process is a worker: a spawned one that has loaded torch."""
    with contextlib.suppress(OSError):
        spawned = b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
        return spawned and "libtorch_cpu" in Path(f"/proc/{pid}/maps").read_text()
    return False


def kill(victim: str, search: subprocess.Popen[bytes], cluster: Cluster | None, chance: random.Random) -> bool:
    """Kill one process; return whether there was one."""
    if victim == "driver":
        search.kill()
        return True
    if victim == "scheduler":
        if cluster is not None:
            cluster.processes[0].kill()
        return cluster is not None
    workers = sorted(filter(trains, descendants(cluster.processes[1].pid if cluster else search.pid)))
    if workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(workers), signal.SIGKILL)
    return bool(workers)


def disturbed(
    folder: Path, config: Path, mode: list[str], workers: int, dask: bool, victims: list[str], chance: random.Random
) -> Counter[str]:
    """Run a search to its end while processes of it, the first of `victims`, are killed; return how many of which, and take them off."""
    folder.mkdir()
    plan = json.dumps({"folder": str(folder), "plan": {}})
    cluster, done = Cluster(folder, workers, plan) if dask else None, Counter[str]()
    while True:
        options = ["--scheduler", str(cluster.file)] if cluster else []
        command = ["evolve", "--quiet", "--config", str(config), "--run-dir", str(folder / "run"), "--resume", f"--workers={workers}"]
        search = started([sys.executable, "-c", PROGRAM, *command, *mode, *options], **{PLAN: plan})
        while victims and search.poll() is None:
            begun, from_training = len(trained(folder)), chance.random() < 0.75  # the others anywhere, the start included
            while from_training and search.poll() is None and len(trained(folder)) == begun:
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 3))
            if search.poll() is None and kill(victims[0], search, cluster, chance):
                done[victims.pop(0)] += 1
        if search.wait() == 0:
            break
        if cluster is not None and cluster.processes[0].poll() is not None:
            cluster.start()
    if cluster is not None:
        cluster.end()
    return done


def main() -> None:
    """Run all searches; exit 1 where an archive differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--instants", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=16_384)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder, chance = arguments.folder.resolve(), random.Random(arguments.seed)
    folder.mkdir(parents=True)
    values = small_values(write_text_source(folder), algorithm={"generations": 3}, training={"tokens": arguments.tokens})
    config = folder / "small.yaml"
    config.write_text(json.dumps(values))  # JSON is YAML
    kinds = list(itertools.product([[], ["--async"]], [False, True] if find_spec("distributed") else [False], arguments.workers))
    shares = [len(part) for part in (range(arguments.instants)[index :: len(kinds)] for index in range(len(kinds)))]
    turns = {False: itertools.cycle(["worker", "driver"]), True: itertools.cycle(["scheduler", "worker", "driver"])}
    expected, killed, equal, left = {}, Counter[str](), [], 0
    for (mode, dask, workers), share in zip(kinds, shares, strict=True):
        name = f"{'async' if mode else 'generational'}, {workers} workers, {'dask' if dask else 'processes'}"
        if not expected.get(bool(mode)):
            whole = folder / f"whole-{bool(mode)}"
            command = ["evolve", "--quiet", "--config", str(config), "--run-dir", str(whole), "--workers=0", *mode]
            assert started([sys.executable, "-m", "star_search.cli", *command]).wait() == 0
            expected[bool(mode)] = RunDirectory.open(whole)
        place = folder / name.replace(", ", "-").replace(" ", "-")
        victims = list(itertools.islice(turns[dask], share + left))
        done = disturbed(place, config, mode, workers, dask, victims, chance)
        left = len(victims)
        run, whole_run = RunDirectory.open(place / "run"), expected[bool(mode)]
        same = archive_of(run) == archive_of(whole_run) and all(
            (run.path / "weights" / path.name).read_bytes() == path.read_bytes() for path in (whole_run.path / "weights").iterdir()
        )
        again = len(trained(place)) - len(run.read_candidates()[0])
        print(f"{name}: killed {dict(done)}, trainings begun again {again}, equal: {same}", flush=True)
        killed, equal = killed + done, [*equal, same]
    print(f"{sum(killed.values())} kills ({dict(killed)}), {sum(equal)} of {len(equal)} archives equal")
    sys.exit(not all(equal))


if __name__ == "__main__":
    main()
