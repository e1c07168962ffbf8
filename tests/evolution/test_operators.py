"""The genome operators: what crossover, mutation and repair do, and that all chance is handed to them."""

import random
from collections import Counter

import numpy as np
import pytest
from pymoo.core.population import Population

from evolution.populations import GENES, PROBLEM, SPACE, evaluated, generator, population, sampled
from helpers import whole_space
from star_search.config import AlgorithmConfig
from star_search.evolution.algorithms import Operators, SearchProblem
from star_search.evolution.operators import (
    GeneMutation,
    GenomeRepair,
    MatingStatistics,
    MutationRates,
    PointCrossover,
)
from star_search.evolution.selection import by_rank_and_crowding
from star_search.genome.encoding import GENES_PER_LIV, Genome
from star_search.genome.space import SearchSpace


def cross(points: int, probability: float = 1.0, pairs: int = 1, seed: int = 0, boundary: str = "gene") -> Population:
    """Cross a parent of ones, candidate 7, with a parent of twos, candidate 8."""
    parents = population([[1] * GENES, [2] * GENES], first=7)
    return PointCrossover(SPACE, points, probability, boundary).do(PROBLEM, parents, parents=[[0, 1]] * pairs, random_state=generator(seed))


def per_gene(probability: float, **by_segment: float) -> MutationRates:
    return MutationRates("per_gene", probability, by_segment)


def switches(genes: np.ndarray) -> list[int]:
    return (np.flatnonzero(np.diff(genes)) + 1).tolist()


class TestPointCrossover:
    @pytest.mark.parametrize("points", [1, 2, 5])
    def test_offspring_complement_each_other_and_change_parent_at_each_cut(self, points):
        for seed in range(50):
            one, two = cross(points, seed=seed)
            assert (one.X + two.X == 3).all()
            assert switches(one.X) == one.get("lineage")["points"] == two.get("lineage")["points"]
            assert len(switches(one.X)) == points
            assert (one.X[0], two.X[0]) == (1, 2)

    def test_lineage_names_first_the_parent_that_gives_the_first_gene(self):
        one, two = cross(2)
        assert one.get("lineage")["parents"] == [7, 8]
        assert two.get("lineage")["parents"] == [8, 7]

    def test_every_place_between_two_genes_is_cut_equally_often(self):
        counts = Counter(cut for child in cross(2, pairs=3000)[::2] for cut in child.get("lineage")["points"])
        assert sorted(counts) == list(range(1, GENES))
        expected = 6000 / (GENES - 1)
        assert max(abs(count - expected) for count in counts.values()) < 5 * expected**0.5

    def test_more_points_than_places_cut_at_every_gene(self):
        one, _ = cross(1000)
        assert switches(one.X) == list(range(1, GENES))

    @pytest.mark.parametrize("points", [1, 2, 5, 1000])
    def test_between_livs_alone_no_liv_is_torn(self, points):
        for seed in range(20):
            one, _ = cross(points, seed=seed, boundary="liv")
            assert all(cut % GENES_PER_LIV == 0 for cut in switches(one.X))
            assert len(switches(one.X)) == min(points, SPACE.depth - 1)

    def test_the_probability_is_that_of_crossing_at_all(self):
        assert all(child.get("lineage")["points"] == [] and len(set(child.X)) == 1 for child in cross(2, probability=0.0, pairs=20))
        crossed = sum(bool(child.get("lineage")["points"]) for child in cross(2, probability=0.3, pairs=1000)[::2])
        assert abs(crossed - 300) < 5 * (1000 * 0.3 * 0.7) ** 0.5

    @pytest.mark.parametrize("boundary", ["gene", "liv"])
    def test_classes_of_the_genomes_own_are_crossed_by_themselves(self, boundary):
        space = whole_space(4, evolved=3)
        start = space.layout.unit_slice(4).start
        parents, problem = population([[1] * space.size, [2] * space.size]), SearchProblem(space, 2, 1)
        crossover, begins = PointCrossover(space, 2, 1.0, boundary), Counter()
        for seed in range(60):
            one, two = crossover.do(problem, parents, parents=[[0, 1]], random_state=generator(seed))
            assert (one.X + two.X == 3).all()
            assert switches(one.X) == one.get("lineage")["points"]
            assert len(switches(one.X[:start])) == len(switches(one.X[start:])) == 2
            begins[int(one.X[start])] += 1
        assert min(begins[1], begins[2]) > 15

    def test_parents_stay_as_they_are(self):
        parents = population([[1] * GENES, [2] * GENES])
        PointCrossover(SPACE, 2, 1.0, "gene").do(PROBLEM, parents, parents=[[0, 1]], random_state=generator())
        assert parents.get("X").tolist() == [[1] * GENES, [2] * GENES]


class TestGeneMutation:
    def test_the_share_of_genes_that_change_is_the_probability(self):
        before, pop = sampled(400), sampled(400)
        GeneMutation(SPACE, per_gene(0.1)).do(PROBLEM, pop, random_state=generator(1))
        free = changed = 0
        for old, new in zip(before.get("X"), pop.get("X"), strict=True):
            # A gene with one legal value cannot change; the class that decides is the mutated one.
            can = [len(SPACE.legal_values(new, i)) > 1 for i in range(GENES)]
            free, changed = free + sum(can), changed + int((old != new)[can].sum())
        assert abs(changed - 0.1 * free) < 4 * (0.09 * free) ** 0.5

    @pytest.mark.parametrize("probability", [0.1, 1.0])
    def test_a_mutated_gene_takes_another_value_that_is_legal_for_its_class_and_the_lineage_says_which(self, probability):
        before, pop = sampled(200, seed=2), sampled(200, seed=2)
        GeneMutation(SPACE, per_gene(probability)).do(PROBLEM, pop, random_state=generator(3))
        for old, individual in zip(before, pop, strict=True):
            new = individual.X
            assert individual.get("lineage")["mutated"] == np.flatnonzero(new != old.X).tolist()
            for index in individual.get("lineage")["mutated"]:
                assert new[index] in SPACE.legal_values(new, index)

    def test_every_other_class_is_equally_likely(self):
        pop = population([[1] * GENES] * 1500)
        GeneMutation(SPACE, per_gene(1.0)).do(PROBLEM, pop, random_state=generator())
        counts = Counter(pop.get("X")[:, ::GENES_PER_LIV].ravel().tolist())
        others = [each for each in SPACE.rules.classes if each != 1]
        assert sorted(counts) == others
        expected = 1500 * SPACE.depth / len(others)
        assert max(abs(count - expected) for count in counts.values()) < 5 * expected**0.5

    def test_per_genome_one_gene_mutates_in_the_share_of_genomes(self):
        pop = sampled(600)
        GeneMutation(SPACE, MutationRates("per_genome", 0.4, {})).do(PROBLEM, pop, random_state=generator(1))
        changed = [len(individual.get("lineage")["mutated"]) for individual in pop]
        assert set(changed) == {0, 1}
        # A gene that has one legal value alone cannot change.
        assert 0.25 < np.mean(changed) <= 0.45

    @pytest.mark.parametrize(("unit", "most"), [("per_gene", 15), ("per_genome", 1)])
    def test_a_segment_has_a_probability_of_its_own(self, monkeypatch, unit, most):
        monkeypatch.setattr(SearchSpace, "segment_of", lambda self, index: "operator" if index >= 15 else "backbone")
        pop = population([[1] * GENES] * 300)
        GeneMutation(SPACE, MutationRates(unit, 0.0, {"operator": 1.0})).do(PROBLEM, pop, random_state=generator(1))
        for individual in pop:
            mutated = individual.get("lineage")["mutated"]
            assert all(index >= 15 for index in mutated)
            assert len(mutated) <= most
        pop = population([[1] * GENES] * 300)
        GeneMutation(SPACE, MutationRates(unit, 1.0, {"operator": 0.0})).do(PROBLEM, pop, random_state=generator(1))
        assert {index for individual in pop for index in individual.get("lineage")["mutated"]} == {
            index for index in range(15) if len(SPACE.legal_values([1] * GENES, index)) > 1
        }

    def test_unconstrained_a_gene_takes_any_value_that_the_space_knows_but_a_class_is_a_class(self):
        pop = population([Genome.parse("-".join(["91111"] * 6)).integers()] * 400)
        GeneMutation(SPACE, per_gene(1.0), constrained=False).do(PROBLEM, pop, random_state=generator(1))
        X = pop.get("X")
        lower, upper = SPACE.bounds()
        assert (np.clip(X, lower, upper) == X).all()
        assert set(X[:, 0]) == set(SPACE.rules.classes) - {9}
        # GMemless has no context groups, and so one legal feature strategy alone.
        assert set(X[:, 4]) == set(range(2, int(upper[4]) + 1))

    def test_with_probability_0_nothing_changes(self):
        before, pop = sampled(20), sampled(20)
        GeneMutation(SPACE, per_gene(0.0)).do(PROBLEM, pop, random_state=generator())
        assert (before.get("X") == pop.get("X")).all()


class TestGenomeRepair:
    legal = Genome.parse("11111-91111-11111-91111-11111-91111")
    illegal = Genome.parse("11111-91111-11411-91111-11111-91111")  # featurizer strategy 4, where 1 and 2 are legal

    def repaired(self, genomes, method="resample", seed=0):
        statistics = MatingStatistics()
        pop = population([genome.integers() for genome in genomes])
        GenomeRepair(SPACE, method, statistics).do(PROBLEM, pop, random_state=generator(seed))
        return pop, statistics

    def test_a_legal_genome_is_left_alone_and_counted(self):
        pop, statistics = self.repaired([self.legal])
        assert pop[0].X.tolist() == self.legal.integers()
        assert pop[0].get("lineage")["repaired"] == []
        assert (statistics.genomes, statistics.illegal_genomes, statistics.repaired_genes) == (1, 0, 0)

    def test_resampling_changes_the_illegal_gene_alone(self):
        values = set()
        for seed in range(20):
            pop, statistics = self.repaired([self.illegal], seed=seed)
            assert pop[0].get("lineage")["repaired"] == [12]
            assert (statistics.illegal_genomes, statistics.repaired_genes) == (1, 1)
            values.add(int(pop[0].X[12]))
        assert values == {1, 2}

    def test_reinitialising_draws_the_whole_LIV_anew(self):
        places = set()
        for seed in range(20):
            pop, _ = self.repaired([self.illegal], "reinitialise", seed)
            places |= set(pop[0].get("lineage")["repaired"])
        assert places == {10, 11, 12, 13, 14}

    def test_off_it_counts_and_leaves_the_genome_as_it_is(self):
        pop, statistics = self.repaired([self.legal, self.illegal], "off")
        assert [individual.X.tolist() for individual in pop] == [self.legal.integers(), self.illegal.integers()]
        assert [individual.get("lineage")["repaired"] for individual in pop] == [[], []]
        assert (statistics.genomes, statistics.illegal_genomes, statistics.repaired_genes) == (2, 1, 0)

    def test_rates_are_shares_of_genomes_and_of_genes(self):
        _, statistics = self.repaired([self.legal, self.illegal, self.legal, self.legal])
        statistics.duplicates_avoided = 5
        assert statistics.rates(GENES) == {"invalid_before_repair_rate": 0.25, "repair_rate": 1 / 120, "duplicates_avoided": 5.0}
        taken = statistics.take()
        assert statistics.rates(GENES) == {"invalid_before_repair_rate": 0.0, "repair_rate": 0.0, "duplicates_avoided": 0.0}
        assert (taken + taken).genomes == 8
        assert (taken + taken).rates(GENES) == taken.rates(GENES) | {"duplicates_avoided": 10.0}


def mate(operators: Operators, parents: Population, count: int, random_state: np.random.Generator) -> Population:
    """Cross, mutate and repair pairs of parents, as pymoo's mating does."""
    arguments = operators.for_mating(by_rank_and_crowding)
    pairs = random_state.integers(len(parents), size=(count // 2, 2))
    offspring = arguments["crossover"].do(PROBLEM, parents, parents=pairs, random_state=random_state)
    arguments["mutation"].do(PROBLEM, offspring, random_state=random_state)
    return arguments["repair"].do(PROBLEM, offspring, random_state=random_state)


def test_chance_comes_from_the_random_state_alone():
    def offspring(global_seed: int) -> list[list[int]]:
        np.random.seed(global_seed)
        random.seed(global_seed)
        before = np.random.get_state()[1].tolist(), random.getstate()
        operators, rng = Operators(SPACE, AlgorithmConfig()), generator(5)
        pop = population(operators.sampling(PROBLEM, 40, random_state=rng).get("X").tolist())
        for individual in pop:
            evaluated(individual, -1.0, 0, 1.0)
        chosen = operators.for_mating(by_rank_and_crowding)["selection"](PROBLEM, pop, 20, n_parents=2, random_state=rng, to_pop=False)
        children = mate(operators, pop, 40, rng)
        assert (np.random.get_state()[1].tolist(), random.getstate()) == before
        return [*np.asarray(chosen).tolist(), *children.get("X").tolist()]

    assert offspring(1) == offspring(2)


def assert_all_legal(count: int, method: str) -> None:
    """Sample a tenth of `count` and mate them and their offspring for nine rounds; repair must have had work."""
    operators, rng = Operators(SPACE, AlgorithmConfig(repair=method)), generator(11)
    parents = population([SPACE.sample(rng).genome.integers() for _ in range(count // 10)])
    illegal = sum(bool(SPACE.rules.problems(Genome.from_integers(X))) for X in parents.get("X"))
    for _ in range(9):
        parents = mate(operators, parents, count // 10, rng)
        for number, individual in enumerate(parents):
            individual.set("candidate", number)
        illegal += sum(bool(SPACE.rules.problems(Genome.from_integers(X))) for X in parents.get("X"))
    assert illegal == 0
    assert operators.statistics.genomes == 9 * (count // 10)
    assert operators.statistics.illegal_genomes > operators.statistics.genomes / 10


@pytest.mark.parametrize("method", ["resample", "reinitialise"])
def test_ten_thousand_genomes_sampled_mated_and_repaired_are_legal(method):
    assert_all_legal(10_000, method)
