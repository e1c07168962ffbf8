"""The algorithms over an analytic stand-in: they improve, keep what they must keep, and repeat themselves."""

import numpy as np
import pytest
from pymoo.core.evaluator import Evaluator
from pymoo.core.population import Population
from pymoo.problems.static import StaticProblem

from evolution.small_search import GAINS, analytic_perplexity
from star_search.config import AlgorithmConfig, SpaceConfig
from star_search.errors import InputError
from star_search.evolution.algorithms import ALGORITHMS, Operators, SearchProblem, build_algorithm, mean_hamming_distance
from star_search.genome.accounting import Accounting
from star_search.genome.encoding import Genome
from star_search.genome.space import SearchSpace

SPACE = SearchSpace.from_config(SpaceConfig(classes=list(GAINS), depth=6, width=64))


class Driven:
    """An algorithm asked and told as the search does it, on perplexity (and cache) computed from the genome."""

    def __init__(self, name: str, objectives: int, generations: int, seed: int = 0, **config: object) -> None:
        self.operators = Operators(SPACE, AlgorithmConfig(name=name, seed=seed, **{"population": 12, **config}))
        self.problem = SearchProblem(SPACE, objectives, 1)
        self.algorithm = build_algorithm(self.operators, self.problem)
        self.seen: list[list[float]] = []
        self.populations: list[list[str]] = []
        self.values: dict[str, list[float]] = {}
        for _ in range(generations + 1):
            self.step()

    def step(self) -> None:
        asked = self.algorithm.ask()
        F = np.array([self.objectives(individual) for individual in asked])
        self.seen += F.tolist()
        Evaluator().eval(StaticProblem(self.problem, F=F, G=np.full((len(asked), 1), -1.0)), asked)
        for number, individual in enumerate(asked, len(self.operators.duplicates.archive)):
            individual.set("candidate", number)
        self.operators.duplicates.archive |= {individual.get("canonical") for individual in asked}
        self.algorithm.tell(infills=asked)
        self.populations.append([individual.get("canonical") for individual in self.algorithm.pop])

    def objectives(self, individual: Population) -> list[float]:
        canonical = individual.get("canonical")
        account = Accounting.of(Genome.parse(canonical), SPACE.width)
        values = [analytic_perplexity(canonical), float(account.cache_bytes(128))][: self.problem.n_obj]
        self.values[canonical] = values
        return values

    def best(self, generation: int) -> float:
        return min(self.values[text][0] for text in self.populations[generation])


@pytest.mark.parametrize(("name", "objectives"), [("nsga2", 1), ("nsga2", 2), ("ga", 1), ("random", 1), ("random", 2)])
def test_every_algorithm_improves_and_asks_for_no_architecture_twice(name, objectives):
    driven = Driven(name, objectives, generations=10)
    assert len(driven.seen) == 11 * 12 == len(driven.operators.duplicates.archive)
    assert all(len(population) == 12 for population in driven.populations)
    bests = [driven.best(generation) for generation in range(11)]
    assert bests == sorted(bests, reverse=True)
    assert bests[-1] < bests[0]


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_an_algorithm_repeats_itself_with_its_seed_alone(name):
    runs = [Driven(name, 1, 4, seed=seed).populations for seed in (0, 0, 1)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_selection_beats_chance():
    def mean_best(name: str) -> float:
        return float(np.mean([Driven(name, 1, 10, seed=seed).best(-1) for seed in range(4)]))

    chance = mean_best("random")
    assert mean_best("ga") < chance - 0.2
    assert mean_best("nsga2") < chance - 0.2


def test_nsga2_dominates_more_than_chance():
    def spread(name: str) -> float:
        values = np.array([Driven(name, 2, 10, seed=seed).seen for seed in range(3)]) / [12.0, 20_000.0]
        front = [row for run in values for row in run if not (((run <= row).all(1)) & (run < row).any(1)).any()]
        return float(np.mean(np.sort([row.sum() for row in front])[:8]))

    assert spread("nsga2") < spread("random")


class TestElitistGA:
    @pytest.mark.parametrize("elites", [1, 3])
    def test_the_best_of_the_old_population_stay(self, elites):
        driven = Driven("ga", 1, 12, elites=elites)
        for old, new in zip(driven.populations, driven.populations[1:], strict=False):
            best = sorted(old, key=lambda text: driven.values[text][0])[:elites]
            assert set(best) <= set(new)

    def test_all_others_are_offspring(self):
        driven = Driven("ga", 1, 6, elites=2)
        for old, new in zip(driven.populations, driven.populations[1:], strict=False):
            assert len(set(old) & set(new)) == 2

    def test_without_elites_nothing_stays(self):
        driven = Driven("ga", 1, 6, elites=0)
        for old, new in zip(driven.populations, driven.populations[1:], strict=False):
            assert not set(old) & set(new)
        bests = [driven.best(generation) for generation in range(7)]
        assert bests != sorted(bests, reverse=True)

    def test_the_best_is_never_lost(self):
        driven = Driven("ga", 1, 12, elites=1)
        assert driven.best(-1) == min(row[0] for row in driven.seen)

    def test_a_failed_offspring_never_takes_the_place_of_an_elite(self):
        driven = Driven("ga", 1, 3, elites=2)
        algorithm, best = driven.algorithm, driven.best(-1)
        asked = algorithm.ask()
        # A failure's filler is better than anything, and its constraint is violated.
        values = StaticProblem(driven.problem, F=np.zeros((len(asked), 1)), G=np.ones((len(asked), 1)))
        Evaluator().eval(values, asked)
        algorithm.tell(infills=asked)
        kept = [individual.get("canonical") for individual in algorithm.pop if individual.CV[0] == 0]
        assert min(driven.values[text][0] for text in kept) == best
        assert len(kept) == 2


@pytest.mark.parametrize(
    ("config", "objectives", "sentence"),
    [
        ({"name": "nsga3"}, 2, "unknown algorithm 'nsga3'; did you mean 'nsga2'?"),
        ({"name": "ga"}, 2, "algorithm ga takes one objective, got 2; nsga2 takes several"),
        ({"name": "ga", "population": 4, "elites": 4}, 1, "algorithm.elites must be below algorithm.population (4), got 4"),
    ],
)
def test_what_cannot_work_is_refused(config, objectives, sentence):
    operators = Operators(SPACE, AlgorithmConfig(**config))
    with pytest.raises(InputError) as error:
        build_algorithm(operators, SearchProblem(SPACE, objectives, 1))
    assert str(error.value) == sentence


def test_a_tournament_has_no_more_entrants_than_the_population():
    driven = Driven("nsga2", 1, 3, population=4, tournament=50)
    assert len(driven.populations[-1]) == 4


def test_the_mean_distance_counts_the_genes_in_which_two_genomes_differ():
    # Pairs differ in 1, 2 and 3 genes.
    assert mean_hamming_distance([[1, 1, 1, 1], [1, 1, 1, 2], [2, 2, 1, 1]]) == 2.0
    assert mean_hamming_distance([[1, 2, 3]]) == 0.0
