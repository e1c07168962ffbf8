"""Measure every figure of docs/results/speed.md on one GPU, part by part, each measurement a process with a time limit of its own.

    python scripts/measure_speed.py --out measured --parts large,agreement
    python scripts/measure_speed.py --out measured --parts mixes --share 1/2

Parts, the most important first: large (24 x 768 beside Hugging Face's Llama and LFM2, compilation caches empty at the start), mixes
(24 x 256, every class with GMemless), mixing (token mixing against SDPA), decoding (4,096 tokens beside Hugging Face's Llama), packing
(several trainings on one GPU, without MPS and with it), gpus (one training on each), growth, agreement (losses of the engines), tests
(those that need a GPU), mamba2 (Hugging Face's at 24 x 768). Each measurement leaves its output, and JSON, in a folder of its name; one
that is there is not measured again.
`--tiny` tries all of it on a CPU, MPS aside.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from star_search.genome.catalogue import load_catalogue
from star_search.genome.genes import DIAGONAL

ROOT = Path(__file__).resolve().parents[1]
GPU_TESTS = (ROOT / "tests/liv/test_kernels.py", ROOT / "tests/test_gpu.py")
CLASSES_AT_ONCE = 4
SECONDS_TO_END = 10
# Of four LIVs each: short convolutions with one grouped-query attention, a recurrence with one, Transformer++.
DECODED = ("71111-91111-31111-91111", "51111-91111-31111-91111", "11111-91111-11111-91111")
BENCHMARK = [sys.executable, "-m", "star_search.cli", "benchmark", "--models"]


@dataclass(frozen=True)
class Job:
    """One process: the arguments, how many seconds it may take, how it is told where to write, and whether its caches start empty."""

    name: str
    command: list[str]
    seconds: int
    out: str | None = "result.json"
    cold: bool = False


def options_of(sizes: dict[str, int]) -> list[str]:
    """Return sizes as options."""
    return [word for name, value in sizes.items() for word in (f"--{name}", str(value))]


def script(name: str, *arguments: str) -> list[str]:
    """Return the command of a script beside this one."""
    return [sys.executable, str(ROOT / "scripts" / f"measure_{name}.py"), *arguments]


def parts(tiny: bool, device: str) -> dict[str, list[Job]]:
    """Return the jobs of every part."""
    small = {"width": 32, "vocabulary": 97, "length": 16, "batch-tokens": 128, "steps": 2}
    large = {"width": 768, "vocabulary": 50_304, "length": 4096, "batch-tokens": 32_768, "steps": 8}
    searched = {"width": 256, "vocabulary": 4096, "length": 1024, "batch-tokens": 8192, "steps": 100}
    on = ["--device", device]
    large_options = [*options_of(small if tiny else large), "--times", "1" if tiny else "12", "--repeats", "2" if tiny else "5", *on]
    searched_options = options_of(small if tiny else searched)
    mix_options = [*searched_options, "--repeats", "2" if tiny else "3", *on]
    repeats, depth = ["--repeats", "1" if tiny else "3"], ["--depth", "4" if tiny else "24"]
    growing = options_of(small) if tiny else options_of({**searched, "steps": 200})
    packed = [*(options_of(small) if tiny else options_of({**searched, "steps": 600})), *repeats, *depth]
    packing = script("packing", "--devices", device, *packed)
    with_mps = [Job("mps", [*packing, "--processes", "1,2,3,4", "--streams", "", "--mps"], 400)] if device.startswith("cuda") else []
    count = torch.cuda.device_count() if device.startswith("cuda") else 2
    devices = ",".join(f"cuda:{index}" for index in range(count)) if device.startswith("cuda") else ",".join([device] * count)
    plus_plus = ["--genome", "Transformer++=11111-91111"]
    mixing = ["--backend", "eager", *options_of({"width": 32, "length": 32, "rows": 1, "repeats": 2})] if tiny else []
    decoded = (
        {"width": 64, "vocabulary": 97, "tokens": 80, "repeats": 1}
        if tiny
        else {"width": 768, "vocabulary": 50_304, "tokens": 4096, "repeats": 1}
    )
    genomes = [word for genome in DECODED for word in ("--genome", genome)]
    decoding = [*genomes, *options_of(decoded), "--times", "1" if tiny else "6", "--ways", "static", *on]
    agreement = ["--engines", "", *options_of({"width": 32, "length": 16, "steps": 2})] if tiny else []
    return {
        "large": [
            Job("llama", [*BENCHMARK, *plus_plus, "--huggingface", "llama", *large_options], 300, "", cold=True),
            Job("lfm2", [*BENCHMARK, "--huggingface", "lfm2", *large_options], 150, ""),
        ],
        "mixes": [Job(name, [*BENCHMARK, *genomes, *mix_options], 240, "") for name, genomes in mixes(tiny)],
        "mixing": [Job("mixing", script("token_mixing", *mixing, *on), 300)],
        "decoding": [Job("decoding", script("decoding", *decoding), 400)],
        "packing": [Job("packing", [*packing, "--processes", "1,2,3", "--streams", "1,2,3"], 400), *with_mps],
        "gpus": [Job("gpus", script("packing", "--devices", devices, "--processes", f"1,{count}", "--streams", "", *packed), 200)],
        "growth": [Job("growth", script("growth", *growing, *repeats, *depth, *on), 200)],
        "agreement": [Job("agreement", script("agreement", *agreement, *on), 300)],
        "tests": [Job("tests", [sys.executable, "-m", "pytest", "-m", "gpu", "-n", "0", "-rf", *map(str, GPU_TESTS)], 590, None)],
        "mamba2": [Job("mamba2", [*BENCHMARK, "--huggingface", "mamba2", *large_options], 300, "")],
    }


def mixes(tiny: bool) -> list[tuple[str, list[str]]]:
    """Return genomes for a few processes: a mix in turn, and every class that mixes tokens with GMemless."""
    names = [each.name for each in load_catalogue("star").classes.values() if each.operator.token_mixing != DIAGONAL]
    groups = [names[start : start + CLASSES_AT_ONCE] for start in range(0, len(names), CLASSES_AT_ONCE)]
    alone = [("-".join(group), ["--classes", ",".join(group), "--times", "12"]) for group in groups]
    in_turn = ("in turn", ["--genome", "in turn=11111-91111-51111-91111-71111-91111-61111-91111", "--times", "3"])
    return [("SA-1", ["--classes", "SA-1"])] if tiny else [in_turn, *alone]


def run(job: Job, folder: Path, caches: Path) -> str:
    """Run a job, keep what it prints, and return how it ended."""
    folder.mkdir(parents=True)
    out = [] if job.out is None else ["--out", str(folder / job.out) if job.out else str(folder)]
    place = tempfile.mkdtemp(dir=caches) if job.cold else str(caches)
    paths = {
        "TORCHINDUCTOR_CACHE_DIR": f"{place}/inductor",
        "TRITON_CACHE_DIR": f"{place}/triton",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
    }
    start = time.perf_counter()
    with (folder / "output.txt").open("w") as file:
        process = subprocess.Popen(
            [*job.command, *out], stdout=file, stderr=subprocess.STDOUT, env={**os.environ, **paths}, start_new_session=True
        )
        state = f"stopped after {job.seconds} s"
        try:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(job.seconds)
                state = f"exit code {code}" if code else "done"
        finally:  # Also where this script is told to end: what went on would be in the way of whatever is measured next.
            end(process)
    return f"{state}, {time.perf_counter() - start:.0f} s"


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its own, which are given the time to end what they started elsewhere."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(SECONDS_TO_END)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    """Run the parts asked for, print what each printed, and end with how each ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--parts", help="joined by commas; all by default")
    parser.add_argument("--share", default="1/1", metavar="K/N", help="the Kth of N equal shares of the jobs")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true", help="sizes for a try on a CPU")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(f"{parser.prog}: told to end"))
    known = parts(options.tiny, options.device)
    asked = options.parts.split(",") if options.parts else list(known)
    if unknown := [name for name in asked if name not in known]:
        parser.error(f"unknown part {unknown[0]!r}; allowed: {', '.join(known)}")
    share, of = map(int, options.share.split("/"))
    jobs = [(part, job) for part in asked for job in known[part]][share - 1 :: of]
    caches = options.out / "caches"
    caches.mkdir(parents=True, exist_ok=True)
    states = {}
    for part, job in jobs:
        folder = options.out / part / job.name
        title = f"{part} {job.name}"
        if folder.exists():
            states[title] = "was there already"
            continue
        states[title] = run(job, folder, caches)
        print(f"== {title}: {states[title]}\n{(folder / 'output.txt').read_text()[-3000:]}", flush=True)
    (options.out / f"ended-{int(time.time())}.json").write_text(json.dumps(states, indent=1) + "\n")
    print("\n".join(f"{title:>40}  {state}" for title, state in states.items()))


if __name__ == "__main__":
    main()
