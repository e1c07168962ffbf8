"""Cache against sequence length, declared and held: the front of a run or some of its candidates, and baselines of its depth and width.

    python scripts/measure_cache.py runs/quickstart --baselines transformer++,striped-mamba,jamba-like,lfm2-like
    python scripts/measure_cache.py runs/proxy/cache --candidates 264,293 --device cuda

Builds every model with random weights, has it read a prompt of every length, one sequence, and counts the tensors that it then holds for
decoding, memory behind views included, 2 bytes an element. Prints a Markdown table; ends with 1 where a cache is not the declared one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from star_search.analysis.run_view import RunView
from star_search.errors import StarSearchError
from star_search.genome.baselines import BASELINES, baseline, split_names
from star_search.objectives.candidate_model import candidate_model
from star_search.objectives.measurement import held_cache_bytes
from star_search.runs.locate import locate

VOCABULARY = 256  # No cache depends on it.


@dataclass(frozen=True)
class Caches:
    """One model's declared and held bytes by length."""

    name: str
    declared: dict[int, int]
    held: dict[int, int]

    @property
    def is_equal(self) -> bool:
        return self.declared == self.held

    def cells(self) -> list[str]:
        """Return a row of the table."""
        pairs = [(self.held[length], self.declared[length]) for length in self.held]
        sizes = [f"{held:,}" if held == declared else f"{held:,} (declared {declared:,})" for held, declared in pairs]
        return [self.name, *sizes, "yes" if self.is_equal else "no"]


def genomes(view: RunView, candidates: Sequence[str], baselines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield candidates by their ids, the front where none are given, and baselines, by name.

    Raises:
        InputError: when there is no such candidate.
    """
    records = [view.candidate(int(number)) for number in candidates] or view.front
    yield from ((f"candidate {record.id}", record.canonical) for record in records)
    yield from ((name, baseline(name, view.config.space.depth, view.catalogue).format()) for name in baselines)


def measured(view: RunView, name: str, genome: str, lengths: Sequence[int], device: str) -> Caches:
    """Measure one genome at the run's width."""
    model = candidate_model(view.config, genome, VOCABULARY, seed=0).to(device)
    declared = {length: model.cache_bytes(length) for length in lengths}
    return Caches(name, declared, {length: held_cache_bytes(model, length) for length in lengths})


def main() -> int:
    """Print the table, row by row; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--candidates", default="", help="ids, joined by commas; the front's by default")
    parser.add_argument("--baselines", default=",".join(BASELINES))
    parser.add_argument("--lengths", nargs="+", type=int, default=[512, 1024, 2048, 4096, 8192, 16384, 32768])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    try:
        view = RunView.read(*locate(arguments.run))
        models = list(genomes(view, [*filter(None, arguments.candidates.split(","))], split_names(arguments.baselines)))
    except StarSearchError as error:
        parser.error(str(error))
    headings = ["model", *(f"{length:,}" for length in arguments.lengths), "equal"]
    print(f"| {' | '.join(headings)} |\n| {' | '.join(['---'] * len(headings))} |", flush=True)
    are_equal = True
    for name, genome in models:
        found = measured(view, name, genome, arguments.lengths, arguments.device)
        are_equal &= found.is_equal
        print(f"| {' | '.join(found.cells())} |", flush=True)
    return 0 if are_equal else 1


if __name__ == "__main__":
    sys.exit(main())
