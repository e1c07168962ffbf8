"""Hold every algorithm against random search and against pymoo's stock integer operators, on a problem whose front is known.

    python scripts/compare_algorithms.py --seeds 20

Nothing trains. Prints the evaluations until 95 % of the known front's hypervolume and the hypervolume at fixed evaluations, median and
quartiles over the seeds; NSGA-II with our operators against NSGA-II with pymoo's, paired by seed, with a one-sided sign-flip test; and
searches for the loss alone, with 95 % intervals of the mean.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.algorithm import Algorithm
from pymoo.core.evaluator import Evaluator
from pymoo.core.termination import NoTermination
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.problems.static import StaticProblem

from star_search.analysis.statistics import confidence_interval, paired_comparison
from star_search.config import AlgorithmConfig
from star_search.evolution.algorithms import Operators, SearchProblem, build_algorithm, mean_hamming_distance
from star_search.evolution.kinds import KINDS
from star_search.evolution.known_front import KnownFront

PROBLEM = KnownFront()
TARGET = 0.95
CAP = 20  # random search may use so many times the evaluations of the others
MARKS = (304, 1000, 2000)


def ours(name: str, seed: int, objectives: int = 2, **keys: object) -> tuple[Algorithm, Operators]:
    """Return an algorithm with our operators."""
    operators = Operators(PROBLEM.space, AlgorithmConfig(name=name, seed=seed, **keys))
    return build_algorithm(operators, SearchProblem(PROBLEM.space, objectives, 1)), operators


def stock(seed: int, population: int) -> tuple[Algorithm, Operators]:
    """Return NSGA-II as pymoo's documentation has it for integers: SBX and polynomial mutation, rounded; illegal genomes are repaired."""
    operators = Operators(PROBLEM.space, AlgorithmConfig(population=population))
    algorithm = NSGA2(
        pop_size=population,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        repair=operators.repair,
        eliminate_duplicates=operators.duplicates,
    )
    return algorithm.setup(SearchProblem(PROBLEM.space, 2, 1), termination=NoTermination(), seed=seed), operators


def generations(algorithm: Algorithm, operators: Operators, evaluations: int) -> Iterator[np.ndarray]:
    """Yield the values [n, 2] of each generation, told to the algorithm."""
    done = 0
    while done < evaluations:
        asked = algorithm.ask()
        values = np.array([PROBLEM.objectives(PROBLEM.space.read(individual.X)) for individual in asked])
        for number, individual in enumerate(asked, done):
            individual.set("candidate", number)
            operators.duplicates.archive.add(individual.get("canonical"))
        F = (values / PROBLEM.reference_point)[:, : algorithm.problem.n_obj]
        Evaluator().eval(StaticProblem(algorithm.problem, F=F, G=np.full((len(asked), 1), -1.0)), asked)
        algorithm.tell(infills=asked)
        done += len(asked)
        yield values


def shares(algorithm: Algorithm, operators: Operators, evaluations: int) -> Iterator[tuple[int, float]]:
    """Yield (evaluations so far, share of the known hypervolume that their front has) after every generation."""
    front, done = np.empty((0, 2)), 0
    for values in generations(algorithm, operators, evaluations):
        front, done = undominated(np.concatenate([front, values])), done + len(values)
        yield done, PROBLEM.hypervolume_of(front) / PROBLEM.hypervolume


def quality(name: str, seeds: int, population: int) -> str:
    """Return one line on a search for the loss alone: its excess over the best there is, and the diversity that is left."""
    excess, distances = {mark: [] for mark in MARKS}, []
    for seed in range(seeds):
        algorithm, operators = ours(name, seed, objectives=1, population=population)
        losses = np.concatenate([values[:, 0] for values in generations(algorithm, operators, MARKS[0])])
        distances.append(mean_hamming_distance(algorithm.pop.get("X").tolist()))
        losses = np.concatenate([losses, *(values[:, 0] for values in generations(algorithm, operators, MARKS[-1] - MARKS[0]))])
        for mark in MARKS:
            excess[mark].append(losses[:mark].min() - PROBLEM.front[-1].loss)
    cells = [
        f"{np.mean(excess[mark]):.3f} ({confidence_interval(excess[mark])[0]:.3f} to {confidence_interval(excess[mark])[1]:.3f})"
        for mark in MARKS
    ]
    return f"| {name} | " + " | ".join(cells) + f" | {np.mean(distances):.1f} |"


def undominated(values: np.ndarray) -> np.ndarray:
    """Return the rows that no other dominates."""
    no_worse, better = (values[:, None] <= values[None]).all(2), (values[:, None] < values[None]).any(2)
    return values[~(no_worse & better).any(0)]


def run(make: Callable[[int], tuple[Algorithm, Operators]], seeds: int, evaluations: int) -> tuple[list[float], dict[int, list[float]]]:
    """Return per seed the evaluations until the target (infinite where it was not reached) and the shares at the marks."""
    reached, at = [], {mark: [] for mark in MARKS}
    for seed in range(seeds):
        first, trace = math.inf, []
        for done, share in shares(*make(seed), evaluations):
            trace.append((done, share))
            first = min(first, done) if share >= TARGET else first
            if math.isfinite(first) and done >= MARKS[-1]:
                break
        reached.append(first)
        for mark in MARKS:
            at[mark].append(next((share for done, share in reversed(trace) if done <= mark), 0.0))
    return reached, at


def row(name: str, reached: list[float], at: dict[int, list[float]]) -> str:
    """Return one line of the table."""
    quartiles = " to ".join(f"{value:,.0f}" for value in np.quantile(reached, (0.25, 0.75), method="nearest"))
    cells = [f"{np.median(reached):,.0f} ({quartiles})", f"{sum(map(math.isfinite, reached))}/{len(reached)}"]
    cells += [f"{np.median(at[mark]):.3f} ({np.quantile(at[mark], 0.25):.3f} to {np.quantile(at[mark], 0.75):.3f})" for mark in MARKS]
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--population", type=int, default=16)
    parser.add_argument("--evaluations", type=int, default=2000)
    arguments = parser.parse_args()
    print(f"known front: {len(PROBLEM.front)} points, hypervolume {PROBLEM.hypervolume:.4f}; depth {PROBLEM.depth}", file=sys.stderr)
    print("| algorithm | evaluations to 95 % | reached | " + " | ".join(f"share at {mark:,}" for mark in MARKS) + " |")
    print("|---|---|---|" + "---|" * len(MARKS))
    found = {}
    makers = {name: lambda seed, name=name: ours(name, seed, population=arguments.population) for name in KINDS if name != "random"}
    makers["nsga2, pymoo's integer operators"] = lambda seed: stock(seed, arguments.population)
    for name, make in makers.items():
        found[name] = run(make, arguments.seeds, arguments.evaluations)
        print(row(name, *found[name]), flush=True)
    budget = CAP * int(np.median([each for each in found["nsga2"][0] if math.isfinite(each)]))
    found["random"] = run(lambda seed: ours("random", seed, population=arguments.population), arguments.seeds, budget)
    print(row(f"random, at most {budget:,}", *found["random"]))
    random, nsga2 = (np.minimum(found[name][0], budget) for name in ("random", "nsga2"))
    print(f"\nRandom search needs {np.median(random) / np.median(nsga2):.1f} times the evaluations of NSGA-II, by medians;", end=" ")
    print(f"it had not reached the target in {sum(map(math.isinf, found['random'][0]))} of {arguments.seeds} searches when it was stopped.")
    for mark in MARKS:
        ours_at, theirs_at = found["nsga2"][1][mark], found["nsga2, pymoo's integer operators"][1][mark]
        print(f"\nOurs less pymoo's operators at {mark:,}: {paired_comparison(ours_at, theirs_at).sentence()}")
    print(f"\n| loss alone | {' | '.join(f'excess loss at {mark:,}' for mark in MARKS)} | mean Hamming distance at {MARKS[0]} |")
    print("|---|" + "---|" * (len(MARKS) + 1))
    for name in (name for name, kind in KINDS.items() if kind.fewest_objectives == 1):
        print(quality(name, arguments.seeds, arguments.population), flush=True)


if __name__ == "__main__":
    main()
