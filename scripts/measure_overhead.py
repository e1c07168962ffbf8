"""What the search itself costs: seconds and driver memory per candidate where nothing trains, `inspect`'s time, and a million genomes.

    python scripts/measure_overhead.py --candidates 5000 --genomes 1000000 --run /tmp/overhead

The run is a real one: the paper's population, depth and classes, records of real size written and synced one by one.
"""

import argparse
import itertools
import multiprocessing
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from star_search.config import SearchConfig, parse_configuration
from star_search.evolution.algorithms import Operators, SearchProblem
from star_search.evolution.ledger import Budget
from star_search.evolution.search import Search
from star_search.evolution.selection import by_rank_and_crowding
from star_search.genome.encoding import Genome
from star_search.genome.space import SearchSpace
from star_search.objectives.assignment import Assessed
from star_search.objectives.registry import Criteria, account_of
from star_search.runs.directory import RunDirectory
from star_search.runs.records import Outcome


class Computes:
    """Workers that train nothing; their records are as large as real ones."""

    def __init__(self, config: SearchConfig) -> None:
        self.config, self.criteria = config, Criteria.from_config(config)

    def assess(self, source: Any, report: Any) -> Iterator[Assessed]:
        """Yield results one by one; perplexity follows from the classes, later LIVs counting more."""
        while (assignment := source()) is not None:
            genome = Genome.parse(assignment.canonical)
            exact = self.criteria.exact_values(account_of(self.config, genome))
            perplexity = 20 + sum((liv.liv_class * 7 % 5) * (1 + position / 24) for position, liv in enumerate(genome.livs)) / 24
            details = {"steps": 5000, "curve": [[step, 3 + 1 / (step + 1)] for step in range(50)]}
            objectives = exact | {"perplexity": perplexity, "bits_per_byte": 1.0}
            yield Assessed(assignment.record(self.config.algorithm.seed, Outcome.ok, "", objectives, tokens=1000, details=details))

    def close(self) -> None:
        """Nothing to end."""


class Watch:
    """A reporter that measures the driver's memory and the time as candidates finish."""

    def __init__(self) -> None:
        self.start, self.points = time.perf_counter(), []

    def generation_started(self, generation: int) -> None:
        """Nothing."""

    def candidate_progressed(self, sign: Any) -> None:
        """Nothing."""

    def candidate_finished(self, record: Any) -> None:
        """Take a point at every thousand candidates."""
        if record.id % 500 == 499:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.points.append((record.id + 1, time.perf_counter() - self.start, pages * resource.getpagesize() / 2**20))

    def generation_finished(self, record: Any) -> None:
        """Nothing."""


def measure_search(candidates: int, folder: Path, asynchronous: bool) -> None:
    """Run a search of so many candidates and print what it took."""
    values = {
        "space": {"depth": 24, "width": 768, "catalogue": "paper"},
        "algorithm": {"population": 16, "generations": -(-candidates // 16) - 1, "asynchronous": asynchronous},
        "training": {"tokens": 1000, "sequence_length": 100, "batch_tokens": 100},
    }
    config, watch = parse_configuration(values), Watch()
    provenance = {"reference_point": [50.0, 5e7], "unigram_loss": 3.9}
    run = RunDirectory.create(folder, "overhead", config.to_yaml(), provenance)
    with run.writing():
        Search(run, config, lambda: Computes(config), watch, Budget()).run()
    for count, seconds, mebibytes in watch.points:
        print(f"{count:,} candidates: {seconds / count * 1000:.1f} ms each, driver {mebibytes:.0f} MiB", flush=True)
    for more in ([], ["--json"]):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "star_search.cli", "inspect", str(folder), *more], check=True, stdout=subprocess.DEVNULL)
        print(f"inspect {' '.join(more)}: {time.perf_counter() - start:.2f} s")


SPACES: dict[str, dict[str, Any]] = {
    "classes of the catalogue": {},
    "composition": {"composition": True},
    "classes of the genome's own": {"composition": True, "levels": ["backbone", "operator", "featurizer"], "evolved_classes": 3},
}
REPAIRS, MUTATIONS, BOUNDARIES, POINTS = ("resample", "reinitialise"), ("per_gene", "per_genome"), ("gene", "liv"), (1, 2, 7)


def mate_many(count: int, processes: int) -> None:
    """Sample, mate and repair so many genomes in all, with sharing, in every space and by every kind of operator."""
    kinds = list(itertools.product(SPACES, REPAIRS, MUTATIONS, BOUNDARIES, POINTS))
    each, start = -(-count // (10 * len(kinds))) * 10, time.perf_counter()
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(mate, itertools.repeat(each), kinds))
    for (space, repair), group in itertools.groupby(zip(kinds, found, strict=True), key=lambda pair: pair[0][:2]):
        bad, rates = zip(*(result for _, result in group), strict=True)
        before, genes = (np.mean([rate[name] for rate in rates]) for name in ("invalid_before_repair_rate", "repair_rate"))
        print(f"| {space} | {repair} | {each * len(bad):,} | {sum(bad)} | {before:.1%} | {genes:.2%} |")
    seconds, illegal = time.perf_counter() - start, sum(bad for bad, _ in found)
    print(f"{each * len(kinds):,} genomes of 24 LIVs, {illegal} illegal; {seconds:.0f} s in {processes} processes")


def mate(count: int, kind: tuple[Any, ...]) -> tuple[int, dict[str, float]]:
    """Sample a tenth and mate nine rounds of it; return how many of all were illegal, and the rates of mating.

    A genome is illegal where a rule of the space is broken, or where its text does not read back as itself.
    """
    from pymoo.core.population import Population

    names = ("repair", "mutation", "crossover_boundary", "crossover_points")
    algorithm = dict(zip(names, kind[1:], strict=True))
    config = parse_configuration({"space": {"depth": 24, "width": 768, **SPACES[kind[0]]}, "algorithm": algorithm})
    space = SearchSpace.from_config(config.space)
    operators, rng, problem = Operators(space, config.algorithm), np.random.default_rng(0), SearchProblem(space, 2, 1)
    arguments = operators.for_mating(by_rank_and_crowding)

    def illegal(population: Population) -> int:
        genomes = [space.read(X) for X in population.get("X")]
        return sum(bool(space.rules.problems(genome)) or Genome.parse(genome.format()) != genome for genome in genomes)

    parents = Population.new("X", np.array([space.sample(rng).genome.integers() for _ in range(count // 10)]))
    found = illegal(parents)
    for _ in range(9):
        parents.set("candidate", list(range(len(parents))))
        pairs = rng.integers(len(parents), size=(-(-len(parents) // 2), 2))
        parents = arguments["crossover"].do(problem, parents, parents=pairs, random_state=rng)[: count // 10]
        arguments["mutation"].do(problem, parents, random_state=rng)
        arguments["repair"].do(problem, parents, random_state=rng)
        found += illegal(parents)
    return found, operators.statistics.rates(space.size)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=5000)
    parser.add_argument("--genomes", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--asynchronous", action="store_true")
    parser.add_argument("--run", type=Path)
    arguments = parser.parse_args()
    if arguments.run is not None:
        measure_search(arguments.candidates, arguments.run, arguments.asynchronous)
    if arguments.genomes:
        mate_many(arguments.genomes, arguments.processes)


if __name__ == "__main__":
    main()
