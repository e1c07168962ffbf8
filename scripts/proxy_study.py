"""Go on with a step of the proxy study for so many seconds, from its packed records, and pack them again.

    python scripts/proxy_study.py cache --seconds 540 --records docs/results/proxy --out packed
    python scripts/proxy_study.py finalists-cache --seconds 540 --records packed --out packed

Steps: the searches of configs/proxy, `random` and `unshared` (cache at random, and without sharing), `full` (cache at 20 million tokens a
candidate, 8,192 a step, without generations), `transformer++` (trained like a candidate), `finalists-SEARCH` and `transfer-SEARCH` (chosen
by the rule of docs/results/star_at_proxy_scale.md), `baselines` (as wide as candidates), `controls`, `noise`.
Reads every NAME.tar.xz of --records whose runs/proxy/NAME is not there, begins the step where it is new, and writes its NAME.tar.xz into
--out: every record, without weights. A training of a finalist that was cut begins anew, one that was finished is read. Further options go
to the command.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

from star_search.analysis.run_view import RunView
from star_search.runs.locate import locate
from star_search.runs.records import CandidateRecord, Outcome

RUNS, CONFIGS = Path("runs/proxy"), Path("configs/proxy")
LEFT_OUT = {"weights", "tensorboard", "checkpoints", "export"}
# The files that say where the text lies, and how they do.
PLACED, CORPUS = ("config.yaml", "training.json"), re.compile(rb"[^\s\"]*/configs/proxy/\.\./\.\./\.\./corpus/")
INTERRUPTED, WAIT_SECONDS = 130, 60.0
FINALISTS = 8
REFERENCE = "transformer++"
# What a search is to make small beside perplexity, by which its finalists are chosen; none for those of quality alone.
SMALL = {"quality_ga": None, "quality": None, "size": "parameters", "cache": "cache_bytes", "cache_star": "cache_bytes"}
SHIPPED = (REFERENCE, "striped-mamba")
STRONG = "transformer-sa-conv"
# By catalogue, whose own the letters are.
WITH_SA_CONV = {"paper": "21111-91111", "star": "m1111-91111"}
BASELINES = (*SHIPPED, STRONG)
MATCHED = ("--match", "parameters")
RATES = ("--learning-rates", "1e-3,2e-3,4e-3,8e-3")
# Twice as wide, some learn best at the lowest of those and none at the highest.
WIDE_RATES = ("--learning-rates", "5e-4,1e-3,2e-3,4e-3")


def evolve(name: str, *changes: str, config: str | None = None) -> list[str]:
    """Return the command of a search."""
    sets = [word for change in changes for word in ("--set", change)]
    return ["evolve", "--config", str(CONFIGS / f"{config or name}.yaml"), "--run-dir", str(RUNS / name), "--resume", *sets]


def chosen(name: str) -> list[CandidateRecord]:
    """Return a search's finalists, the first of them first, by the rule that was written down before the first search."""
    view, key = RunView.read(*locate(RUNS / name)), SMALL[name]
    found = sorted((record for record in view.records if record.outcome == Outcome.ok), key=lambda record: record.objectives["perplexity"])
    if key is None:
        return found[:FINALISTS]
    reference = json.loads((RUNS / REFERENCE / "result.json").read_text())["validation"]["perplexity"]
    small = sorted((record for record in found if record.objectives["perplexity"] <= reference), key=lambda record: record.objectives[key])
    return [*small, *(record for record in found if record not in small)][:FINALISTS]


def nearest(records: Sequence[CandidateRecord]) -> CandidateRecord:
    """Return the finalist, but for the first, whose perplexity is nearest to Transformer++'s."""
    reference = json.loads((RUNS / REFERENCE / "result.json").read_text())["validation"]["perplexity"]
    return min(records[1:], key=lambda record: abs(record.objectives["perplexity"] - reference))


def budget(name: str, times: int) -> list[str]:
    """Return so many times the tokens of a candidate of the search, as an option."""
    tokens = RunView.read(*locate(RUNS / name)).config.training.tokens
    return ["--tokens", str(times * tokens)]


def compare(name: str, records: Sequence[CandidateRecord], out: str, *options: str) -> list[str]:
    """Return the command that holds candidates of a search against the baselines."""
    ids = ",".join(str(record.id) for record in records)
    strong = WITH_SA_CONV[str(RunView.read(*locate(RUNS / name)).config.space.catalogue)]
    baselines = ",".join((*SHIPPED, f"{STRONG}={strong}"))
    return ["compare", str(RUNS / name), "--candidates", ids, "--baselines", baselines, "--out", str(RUNS / out), *options]


def finalists(name: str) -> list[str]:
    """Return the command that trains a search's finalists at twice its budget, three seeds, each at its best learning rate."""
    return compare(name, chosen(name), f"finalists-{name}", *MATCHED, "--seeds", "3", *RATES, *budget(name, 2))


def baselines() -> list[str]:
    """Return the command that trains the baselines at the search's width as finalists are trained, beside the first that is to be small."""
    return compare("size", chosen("size")[:1], "baselines", "--seeds", "3", *RATES, *budget("size", 2))


def transfer(name: str) -> list[str]:
    """Return the command that trains two finalists at twice the width and four times the tokens."""
    records = chosen(name)
    wide = ("--config", str(CONFIGS / f"{name}.yaml"), "--set", "space.width=512")
    return compare(name, [records[0], nearest(records)], f"transfer-{name}", *MATCHED, "--seeds", "3", *wide, *WIDE_RATES, *budget(name, 4))


def noise() -> list[str]:
    """Return the command that trains one finalist and the baselines with five seeds, as candidates are trained."""
    return compare("cache", chosen("cache")[:1], "noise", *MATCHED, "--seeds", "5")


def controls() -> list[str]:
    """Return the command that holds algorithms against random search at a quarter of the candidates, three seeds."""
    algorithms = [word for name in ("nsga2", "ga", "firefly") for word in ("--searches", name)]
    quarter = ["--set", "algorithm.generations=4", "--runs", str(RUNS / "controls")]
    return ["compare", "--config", str(CONFIGS / "cache.yaml"), *algorithms, "--seeds", "3", *quarter]


STEPS: dict[str, Callable[[], list[str]]] = {
    **{name: lambda name=name: evolve(name) for name in SMALL},  # type: ignore[misc]
    "random": lambda: evolve("random", "algorithm.name=random", config="cache"),
    "unshared": lambda: evolve("unshared", "space.sharing=false", config="cache"),
    "full": lambda: [*evolve("full", "training.tokens=20000000", "training.batch_tokens=8192", config="cache"), "--async"],
    REFERENCE: lambda: ["train", REFERENCE, "--config", str(CONFIGS / "cache.yaml"), "--out", str(RUNS / REFERENCE), "--resume"],
    **{f"finalists-{name}": lambda name=name: finalists(name) for name in SMALL},  # type: ignore[misc]
    **{f"transfer-{name}": lambda name=name: transfer(name) for name in SMALL},  # type: ignore[misc]
    "baselines": baselines,
    "noise": noise,
    "controls": controls,
}


def unpack(archive: Path) -> None:
    """Put packed records where they belong, if they are not there."""
    if not (RUNS / archive.name.removesuffix(".tar.xz")).exists():
        RUNS.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as packed:
            packed.extractall(RUNS, filter="data")


def pack(folder: Path, archive: Path) -> None:
    """Write the records of a step, which is over or interrupted, without weights and without where this repository lies."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_name(f"{archive.name}.partial")
    left_out = rejected_logs(folder)
    with tarfile.open(partial, "w:xz") as packed:
        for path in (folder, *sorted(folder.rglob("*"))):
            name = path.relative_to(folder.parent)
            if name in left_out or LEFT_OUT & set(name.parts):
                continue
            member, content = packed.gettarinfo(path, str(name)), path.read_bytes() if path.is_file() else b""
            if path.name in PLACED:
                content = CORPUS.sub(b"corpus/", content)
            member.size = len(content)
            packed.addfile(member, BytesIO(content))
    partial.replace(archive)


def rejected_logs(folder: Path) -> set[Path]:
    """Return the logs of a finished comparison's trainings at learning rates that were not chosen, those of one seed alone; their results
    are kept."""
    if not (folder / "comparison.json").exists():
        return set()
    tried = [path for path in folder.glob("*-rate-*-0") if not path.with_name(f"{path.name[:-1]}1").exists()]
    return {Path(folder.name, path.name, "log.jsonl") for path in tried}


def run(command: list[str], seconds: float) -> int:
    """Run a command until it is over or the time is, and return its exit code; 0 where it was ended for the time."""
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
    """Unpack, go on, pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=list(STEPS), metavar="STEP")
    parser.add_argument("--seconds", type=float, required=True, help="when to interrupt it")
    parser.add_argument("--records", type=Path, default=Path("docs/results/proxy"))
    parser.add_argument("--out", type=Path, required=True)
    arguments, options = parser.parse_known_args()
    for archive in sorted(arguments.records.glob("*.tar.xz")):
        unpack(archive)
    code = run([*STEPS[arguments.step](), *options], arguments.seconds)
    folder = RUNS / arguments.step
    if folder.exists():
        pack(folder, arguments.out / f"{arguments.step}.tar.xz")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
