"""Are random genomes well-conditioned? First losses, gradients, and trainings of genomes drawn from the whole space, at width 64.

    python scripts/conditioning.py --out runs/conditioning --processes 2

Three parts: `initial-24` and `initial-48` build random repaired genomes of 24 and 48 LIVs and look at one batch of the embedded text:
the loss against ln V, whether all gradients are finite, and the ratio of the largest to the smallest LIV gradient norm (over the weights
that a LIV owns). `trained-24` trains genomes of 24 LIVs for 200 steps with the program's own trainer and stability rule. Genome k of a
part depends on the seed, the depth and k alone. Results are appended to --out, one JSON line per genome: a run that was cut off goes on
where it stopped, with more genomes too. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from star_search.config import SearchConfig, parse_configuration
from star_search.data.stream import TokenStream
from star_search.errors import InputError
from star_search.genome.encoding import Genome
from star_search.genome.space import SearchSpace
from star_search.model.language_model import LanguageModel
from star_search.objectives.assessment import Assessor
from star_search.objectives.assignment import Assignment
from star_search.runs.records import Outcome
from star_search.training.loss import cross_entropy

STEPS, ROWS, LENGTH = 200, 2, 128
BASE: dict[str, Any] = {
    "name": "conditioning",
    "objectives": ["perplexity"],
    "space": {"width": 64},
    "training": {"sequence_length": LENGTH, "batch_tokens": ROWS * LENGTH, "tokens": STEPS * ROWS * LENGTH, "learning_rate": 8e-4},
    "data": {"validation_tokens": 4096},
}
LOSS_BOUND, RATIO_BOUND, STABLE_BOUND = 0.05, 100.0, 0.96
# Rows of the batch that a start is judged by: two rows may happen to repeat letters twice as often as the text does.
START_ROWS = 8
DEPTHS, TRAINED_DEPTH = (24, 48), 24

_assessor: Assessor


def configuration(overrides: list[str], depth: int) -> SearchConfig:
    """Return the search whose space and training are looked at."""
    return parse_configuration(BASE, [*overrides, f"space.depth={depth}"])


def start_worker(config: SearchConfig) -> None:
    """Prepare the text once per process."""
    global _assessor
    torch.set_num_threads(1)
    _assessor = Assessor(config, "cpu")


def assignment(index: int, weights_path: str = "") -> Assignment:
    """Return genome `index` of the space, repaired."""
    config = _assessor.config
    generator = np.random.default_rng([config.algorithm.seed, config.space.depth, index])
    space = SearchSpace.from_config(config.space)
    genome = space.sample(generator).genome
    return Assignment(index, 0, genome.format(), genome.canonical(space.rules.catalogue).format(), weights_path)


def start_stream() -> TokenStream:
    """Return the stream whose first batch a start is judged by."""
    return replace(_assessor.stream, rows=START_ROWS)


def look_at_start(index: int) -> dict[str, Any]:
    """Return the first loss and the gradient norm of every LIV."""
    config, drawn = _assessor.config, assignment(index)
    model = LanguageModel.from_genome(
        Genome.parse(drawn.canonical),
        config.space.width,
        _assessor.store.vocabulary_size,
        config.space.catalogue,
        config.backbone.residual,
        initialisation=config.backbone.initialisation,
        seed=drawn.seed(config.algorithm.seed),
    )
    inputs_BT, targets_BT = (torch.from_numpy(array) for array in start_stream().batch(0))
    loss = cross_entropy(model, inputs_BT, targets_BT, config.training.precision)
    loss.backward()
    finite = all(parameter.grad is not None and bool(parameter.grad.isfinite().all()) for parameter in model.parameters())
    norms = [math.sqrt(sum(float(each.grad.square().sum()) for each in liv.parameters())) for liv in model.backbone.livs]
    names = [liv.sizes.liv_class.name for liv in model.backbone.livs]
    deviation = loss.item() / math.log(_assessor.store.vocabulary_size) - 1
    return {"index": index, "genome": drawn.genome, "deviation": deviation, "finite": finite, "livs": list(zip(names, norms, strict=True))}


def train_it(index: int) -> dict[str, Any]:
    """Return how a training ends."""
    with TemporaryDirectory() as folder:
        record = _assessor(assignment(index, f"{folder}/weights.safetensors")).record
    measured = {"tokens": record.tokens, "perplexity": record.objectives.get("perplexity"), "seconds": record.measured["seconds"]}
    return {"index": index, "genome": record.genome, "outcome": record.outcome.value, "reason": record.reason, **measured}


def finished(path: Path, header: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Return what an earlier run wrote, by index; a half-written last line is dropped.

    Raises:
        InputError: when it was made with another configuration.
    """
    if not path.exists():
        path.write_text(json.dumps(header) + "\n")
    lines = path.read_text().splitlines(keepends=True)
    if json.loads(lines[0]) != header:
        raise InputError(f"{path} was made with another configuration; give a new folder with --out")
    whole = [line for line in lines if line.endswith("\n")]
    if len(whole) < len(lines):
        path.write_text("".join(whole))
    return {row["index"]: row for row in map(json.loads, whole[1:])}


def run_part(kind: str, depth: int, count: int, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Look at `count` genomes, those of earlier runs included, and return their rows in order."""
    config, part = configuration(arguments.set, depth), f"{kind}-{depth}"
    path = arguments.out / f"{part}.jsonl"
    rows = finished(path, config.model_dump(mode="json"))
    missing = [index for index in range(count) if index not in rows]
    work = look_at_start if kind == "initial" else train_it
    with ProcessPoolExecutor(arguments.processes, get_context("spawn"), start_worker, (config,)) as pool, path.open("a") as file:
        for done in as_completed([pool.submit(work, index) for index in missing]):
            row = done.result()
            rows[row["index"]] = row
            file.write(json.dumps(row) + "\n")
            file.flush()
            if sys.stderr.isatty():
                print(f"\r{part}: {len(rows)} of {count} ", end="", file=sys.stderr, flush=True)
    return [rows[index] for index in range(count)]


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927)."""
    z = statistics.NormalDist().inv_cdf(0.975)
    share, spread = successes / trials, z * z / trials
    half = math.sqrt(share * (1 - share) * spread + spread * spread / 4)
    return (share + spread / 2 - half) / (1 + spread), (share + spread / 2 + half) / (1 + spread)


def ratio(row: dict[str, Any]) -> float:
    """Return the largest over the smallest LIV gradient norm of a genome."""
    norms = [norm for _, norm in row["livs"]]
    return max(norms) / min(norms) if min(norms) > 0 else math.inf


def start_line(depth: int, rows: list[dict[str, Any]]) -> str:
    """Return one row of the table of first losses and gradients."""
    ratios, deviations = sorted(map(ratio, rows)), [abs(row["deviation"]) for row in rows]
    near, finite = sum(each < LOSS_BOUND for each in deviations), sum(row["finite"] for row in rows)
    even, high = sum(each < RATIO_BOUND for each in ratios), ratios[int(0.99 * (len(ratios) - 1))]
    cells = [depth, len(rows), f"{near} (largest {max(deviations):.1%})", finite, even]
    return f"| {' | '.join(map(str, cells))} | {statistics.median(ratios):.1f} | {high:.1f} | {ratios[-1]:.1f} |"


def trained_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what came of the trainings."""
    counts = Counter(row["outcome"] for row in rows)
    stable = len(rows) - counts[Outcome.unstable.value]
    low, high = wilson(stable, len(rows))
    yield f"{stable} of {len(rows)} trainings ended without `unstable`: {stable / len(rows):.1%}, 95 % interval {low:.1%} to {high:.1%}"
    yield f"(its lower end must be at least {STABLE_BOUND:.0%})."
    yield f"Outcomes: {', '.join(f'{name} {count}' for name, count in counts.most_common())}."
    for row in rows:
        if row["outcome"] == Outcome.unstable.value:
            yield f"* {row['genome']}: {row['reason']}"


def main() -> None:
    """Run the parts and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/conditioning"))
    parser.add_argument("--initial", type=int, default=500, help="genomes at each depth whose start is looked at")
    parser.add_argument("--depths", type=int, nargs="+", default=DEPTHS, help="depths at which starts are looked at")
    parser.add_argument("--trained", type=int, default=300, help="genomes that are trained")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as `star-search evolve --set`")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    print(
        "| depth | genomes | first loss within 5 % of ln V | gradients finite | ratio under 100 | its median | 99th percentile | largest |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for depth in arguments.depths if arguments.initial else ():
        print(start_line(depth, run_part("initial", depth, arguments.initial, arguments)), flush=True)
    if arguments.trained:
        print("", *trained_lines(run_part("trained", TRAINED_DEPTH, arguments.trained, arguments)), sep="\n")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"conditioning: {error}")
