"""The algorithms over an analytic stand-in: they improve, keep what they must keep, and repeat themselves."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from pymoo.core.evaluator import Evaluator
from pymoo.core.population import Population
from pymoo.problems.static import StaticProblem
from pymoo.util.ref_dirs import get_reference_directions

from evolution.small_search import GAINS, analytic_perplexity, chance
from star_search.config import AlgorithmConfig, SpaceConfig
from star_search.errors import InputError
from star_search.evolution.algorithms import ALGORITHMS, Operators, SearchProblem, build_algorithm, mean_hamming_distance
from star_search.evolution.kinds import KINDS, complete, directions
from star_search.genome.accounting import Accounting
from star_search.genome.encoding import Genome
from star_search.genome.space import SearchSpace

REFERENCE_POINT = np.array([12.0, 100_000.0, 300_000.0])
SPACE = SearchSpace.from_config(SpaceConfig(classes=list(GAINS), depth=6, width=64))


class Driven:
    """An algorithm asked and told as the search does it, on perplexity (and cache) computed from the genome."""

    def __init__(
        self,
        name: str,
        objectives: int,
        generations: int,
        seed: int = 0,
        fails: Callable[[str], bool] = lambda canonical: False,
        **config: object,
    ) -> None:
        self.fails = fails
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
        failed = np.array([self.fails(individual.get("canonical")) for individual in asked])
        # A failure stands at the reference point, as in a search.
        F = np.where(failed[:, None], 1.0, F / REFERENCE_POINT[: self.problem.n_obj])
        Evaluator().eval(StaticProblem(self.problem, F=F, G=np.where(failed, 1.0, -1.0)[:, None]), asked)
        for number, individual in enumerate(asked, len(self.operators.duplicates.archive)):
            individual.set("candidate", number)
        self.operators.duplicates.archive |= {individual.get("canonical") for individual in asked}
        self.algorithm.tell(infills=asked)
        self.populations.append([individual.get("canonical") for individual in self.algorithm.pop])

    def objectives(self, individual: Population) -> list[float]:
        canonical = individual.get("canonical")
        account = Accounting.of(Genome.parse(canonical), SPACE.width)
        values = [analytic_perplexity(canonical), float(account.cache_bytes(128)), float(account.parameters)][: self.problem.n_obj]
        self.values[canonical] = values
        return values

    def best(self, generation: int) -> float:
        return min(self.values[text][0] for text in self.populations[generation])


TAKEN = [(name, objectives) for name, kind in KINDS.items() for objectives in (1, 2, 3) if objectives >= kind.fewest_objectives]


@pytest.mark.parametrize(("name", "objectives"), TAKEN)
def test_every_algorithm_finds_better_and_asks_for_no_architecture_twice(name, objectives):
    driven = Driven(name, objectives, generations=8)
    assert len(driven.seen) == 9 * 12 == len(driven.operators.duplicates.archive)
    # RVEA alone keeps no more than its reference vectors catch.
    assert all(len(population) == 12 or (name == "rvea" and 0 < len(population) < 12) for population in driven.populations)
    shares = (np.array(driven.seen) / REFERENCE_POINT[:objectives]).sum(1)
    assert shares[12:].min() < shares[:12].min()


@pytest.mark.parametrize("name", sorted(KINDS))
def test_an_algorithm_repeats_itself_with_its_seed_alone(name):
    def run(seed: int, global_seed: int) -> list[list[str]]:
        np.random.seed(global_seed)
        return Driven(name, 2, 4, seed=seed).populations

    runs = [run(0, 1), run(0, 2), run(1, 1)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


@pytest.mark.parametrize("name", ["nsga2", "ga"])
def test_with_elitist_survival_the_best_is_never_lost(name):
    driven = Driven(name, 1, generations=10)
    bests = [driven.best(generation) for generation in range(11)]
    assert bests == sorted(bests, reverse=True)


def test_every_algorithm_that_is_named_can_be_built():
    assert KINDS.keys() == ALGORITHMS.keys()


class TestWhatPymooIsKnownToGetWrong:
    """NaN objectives are kept out by the archive (test_archive, test_search); here are the others, for every algorithm."""

    several = pytest.mark.parametrize("name", sorted(KINDS))

    @several
    @pytest.mark.parametrize("share", [0.5, 0.95, 1.0])
    def test_failures_take_over_no_population(self, name, share):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            driven = Driven(name, 2, 6, fails=lambda canonical: chance(canonical) < share)
        good = {canonical for canonical in driven.values if chance(canonical) >= share}
        kept = good & set(driven.populations[-1])
        if name == "ga":
            assert len(kept) >= min(2, len(good))
        elif name == "firefly":
            # A firefly gives way to its own move alone, so that a bad start outlives good moves of others.
            assert bool(kept) == bool(good)
        elif name == "rvea":
            assert bool(kept) == bool(good)
        else:
            assert len(kept) == min(12, len(good))

    @several
    def test_dead_genomes_come_back_neither_as_duplicates_nor_as_questions(self, name):
        driven = Driven(name, 2, 8, fails=lambda canonical: chance(canonical) < 0.6)
        for population in driven.populations:
            assert len(set(population)) == len(population)
        assert len(driven.seen) == len(driven.operators.duplicates.archive)

    @several
    def test_equal_objectives_are_no_division_by_zero(self, name, monkeypatch):
        monkeypatch.setattr(Driven, "objectives", lambda self, individual: [6.0, 50_000.0])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            driven = Driven(name, 2, 4)
        assert all(np.isfinite(individual.F).all() for individual in driven.algorithm.pop)
        assert len(driven.operators.duplicates.archive) == 60

    @several
    @pytest.mark.parametrize("entrants", [1, 3, 7])
    def test_tournaments_of_any_size(self, name, entrants):
        driven = Driven(name, 2, 3, tournament=entrants)
        assert len(driven.operators.duplicates.archive) == 48

    @several
    def test_an_initial_population_is_full_and_a_space_that_cannot_fill_it_is_refused(self, name):
        """Two places, SA-1 or GMemless in each, at least one mixer, nothing shared: three architectures."""
        space = SearchSpace.from_config(SpaceConfig(depth=2, width=64, classes=[1, 9], sharing=False))
        for size in (3, 4):
            operators = Operators(space, AlgorithmConfig(name=name, population=size))
            algorithm = build_algorithm(operators, SearchProblem(space, 2, 1))
            if size == 4:
                with pytest.raises(InputError, match="gave only 3 distinct architectures for a population of 4"):
                    algorithm.ask()
            else:
                assert len(algorithm.ask()) == 3

    def test_two_searches_in_one_process_do_not_share_survival(self):
        """pymoo's SPEA2 keeps the bounds of all searches in a default argument."""
        alone = Driven("spea2", 2, 4, seed=3).populations
        Driven("spea2", 2, 4, seed=9, fails=lambda canonical: True)
        assert Driven("spea2", 2, 4, seed=3).populations == alone


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

    def test_weights_decide_which_objective_counts(self):
        for weights, lowest in (([1.0, 0.0], 0), ([0.0, 1.0], 1)):
            driven = Driven("ga", 2, 8, weights=weights)
            last = [driven.values[text][lowest] for text in driven.populations[-1]]
            assert min(last) == min(row[lowest] for row in driven.seen)
            assert np.mean(last) < np.mean([row[lowest] for row in driven.seen[:12]])


class TestRVEA:
    def test_extended_it_goes_on_as_a_longer_run_with_the_same_horizon(self):
        short, long = (Driven("rvea", 2, generations, horizon=4).populations for generations in (4, 9))
        assert long[:5] == short

    def test_the_horizon_changes_what_survives(self):
        one, other = (Driven("rvea", 2, 8, horizon=horizon, population=30).populations for horizon in (1, 200))
        assert one[1:] != other[1:]


@pytest.mark.parametrize(
    ("config", "objectives", "sentence"),
    [
        ({"name": "nsga4"}, 2, "unknown algorithm 'nsga4'; did you mean 'nsga"),
        ({"name": "spea2"}, 1, "algorithm spea2 takes two or three objectives, got 1; nsga2, ga, firefly, random take one too"),
        ({"name": "ga", "population": 4, "elites": 4}, 1, "algorithm.elites must be below algorithm.population (4), got 4"),
        ({"name": "nsga2", "elites": 2}, 2, "algorithm.elites is a key of ga; algorithm.name is nsga2"),
        ({"name": "ga", "partitions": 2}, 2, "algorithm.partitions is a key of nsga3, unsga3, rvea; algorithm.name is ga"),
        ({"name": "ga", "weights": [1.0]}, 2, "algorithm.weights must be 2 numbers, one per objective and not all 0, got [1.0]"),
        ({"name": "ga", "weights": [0.0, 0.0]}, 2, "algorithm.weights must be 2 numbers, one per objective and not all 0, got [0.0, 0.0]"),
        (
            {"name": "nsga3", "population": 8, "partitions": 8},
            2,
            "algorithm.partitions 8 gives 9 reference directions, more than algorithm.population (8)",
        ),
        ({"name": "rvea", "asynchronous": True}, 2, "algorithm rvea follows a schedule over generations and cannot run asynchronously"),
        (
            {"asynchronous": True, "offspring": 4},
            2,
            "algorithm.offspring is a key of generational search; an asynchronous one makes one at a time",
        ),
        ({"max_pending": 4}, 2, "algorithm.max_pending is a key of asynchronous search; algorithm.asynchronous is false"),
        (
            {"segment_mutation": {"operator": 0.1}},
            2,
            "algorithm.segment_mutation names operator, which genomes of this space lack; they have backbone",
        ),
    ],
)
def test_what_cannot_work_is_refused(config, objectives, sentence):
    operators = Operators(SPACE, AlgorithmConfig(**config))
    with pytest.raises(InputError) as error:
        build_algorithm(operators, SearchProblem(SPACE, objectives, 1))
    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_completed_configuration_holds_every_key_of_its_algorithm_and_stays_as_it_is(name):
    completed = complete(AlgorithmConfig(name=name), SPACE, 2)
    assert all(getattr(completed, key) is not None for key in KINDS[name].parameters)
    assert complete(completed, SPACE, 2) == completed


@pytest.mark.parametrize(("objectives", "population", "partitions"), [(2, 16, 15), (3, 16, 4), (3, 2, 1)])
def test_reference_directions_fit_the_population(objectives, population, partitions):
    completed = complete(AlgorithmConfig(name="nsga3", population=max(population, 3)), SPACE, objectives)
    assert completed.partitions == partitions
    reference = get_reference_directions("das-dennis", objectives, n_partitions=partitions)
    assert len(reference) == directions(objectives, partitions) <= max(population, 3)


def test_more_offspring_than_the_population_are_as_many_candidates():
    driven = Driven("nsga2", 2, 3, offspring=20)
    assert len(driven.seen) == 12 + 3 * 20 == AlgorithmConfig(population=12, generations=3, offspring=20).candidates


def test_a_tournament_has_no_more_entrants_than_the_population():
    driven = Driven("nsga2", 1, 3, population=4, tournament=50)
    assert len(driven.populations[-1]) == 4


def test_the_mean_distance_counts_the_genes_in_which_two_genomes_differ():
    # Pairs differ in 1, 2 and 3 genes.
    assert mean_hamming_distance([[1, 1, 1, 1], [1, 1, 1, 2], [2, 2, 1, 1]]) == 2.0
    assert mean_hamming_distance([[1, 2, 3]]) == 0.0
