"""Tournaments: with two entrants every rule is pymoo's own, with more the unbeaten win."""

from collections import Counter

import numpy as np
import pytest
from pymoo.algorithms.moo.nsga2 import binary_tournament
from pymoo.algorithms.moo.sms import cv_and_dom_tournament
from pymoo.algorithms.moo.spea2 import spea_binary_tournament
from pymoo.algorithms.moo.unsga3 import comp_by_rank_and_ref_line_dist
from pymoo.core.population import Population

from evolution.populations import GENES, PROBLEM, evaluated, generator, population
from star_search.evolution.selection import Tournament, by_dominance, by_fitness, by_niche, by_rank_and_crowding, by_violation


def contestants(count: int, seed: int = 0) -> Population:
    """Make individuals with coarse random attributes, so that many are equal; a third break a constraint."""
    rng = np.random.default_rng(seed)
    pop = Population.new("X", np.ones((count, 3)))
    for individual in pop:
        values = {"F": rng.integers(0, 4, 2).astype(float), "G": np.array([rng.integers(-2, 2) / 2]), "H": np.array([])}
        values |= {"rank": int(rng.integers(3)), "crowding": float(rng.integers(3)), "niche": int(rng.integers(2))}
        values |= {"dist_to_niche": float(rng.integers(3)), "SPEA_F": float(rng.integers(3))}
        for name, value in values.items():
            individual.set(name, value)
    return pop


class Kind:
    """What pymoo's tournaments ask of an algorithm."""

    tournament_type = "comp_by_rank_and_crowding"

    def __init__(self, seed: int) -> None:
        self.random_state = np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("beats", "theirs"),
    [
        (by_rank_and_crowding, binary_tournament),
        (by_dominance, cv_and_dom_tournament),
        (by_fitness, spea_binary_tournament),
        (by_niche, comp_by_rank_and_ref_line_dist),
    ],
)
def test_of_two_entrants_those_win_that_win_in_pymoo(beats, theirs):
    pop, ours, decided = contestants(14), Tournament(2, beats), 0
    for one in range(14):
        for other in range(14):
            if one == other:
                continue
            winners = {ours.winner(pop, (one, other), np.random.default_rng(seed)) for seed in range(12)}
            expected = {
                int(theirs(pop, np.array([[one, other]]), algorithm=Kind(seed), random_state=np.random.default_rng(seed))[0, 0])
                for seed in range(12)
            }
            # pymoo draws some ties from another generator, so that only what is decided can be compared one to one.
            if len(winners) == 1:
                decided += 1
                assert expected == winners
    assert decided > 60


@pytest.mark.parametrize("beats", [by_violation, by_rank_and_crowding, by_dominance, by_fitness, by_niche])
def test_nobody_in_a_larger_contest_beats_its_winner_and_equals_win_equally_often(beats):
    pop = contestants(9, seed=1)
    tournament, counts = Tournament(9, beats), np.zeros(9)
    for seed in range(600):
        counts[tournament.winner(pop, range(9), np.random.default_rng(seed))] += 1
    unbeaten = [index for index in range(9) if not any(beats(other, pop[index]) for other in pop)]
    assert np.flatnonzero(counts).tolist() == unbeaten
    assert counts[unbeaten] == pytest.approx(np.full(len(unbeaten), 600 / len(unbeaten)), rel=0.35)


class TestTournament:
    def contestants(self, rows):
        """Make individuals of (violation, rank, crowding)."""
        pop = population([[1] * GENES] * len(rows))
        for individual, (violation, rank, crowding) in zip(pop, rows, strict=True):
            evaluated(individual, violation, rank, crowding)
        return pop

    def winner(self, rows, seed=0):
        tournament = Tournament(len(rows), by_rank_and_crowding)
        return tournament.winner(self.contestants(rows), range(len(rows)), generator(seed))

    @pytest.mark.parametrize(
        ("rows", "best"),
        [
            ([(1.0, 0, 9.0), (-1.0, 5, 0.0)], 1),  # a feasible one beats an infeasible one of better rank
            ([(1.0, 0, 9.0), (0.2, 5, 0.0), (0.5, 0, 9.0)], 1),  # the least violation
            ([(-1.0, 2, 9.0), (-1.0, 1, 0.0), (-1.0, 3, 9.0)], 1),  # the lower rank
            ([(-1.0, 1, 0.5), (-1.0, 1, np.inf), (-1.0, 1, 2.0)], 1),  # the lonelier
        ],
    )
    def test_the_winner_is_feasible_then_of_low_rank_then_lonely(self, rows, best):
        assert {self.winner(rows, seed) for seed in range(20)} == {best}
        assert {self.winner(rows[::-1], seed) for seed in range(20)} == {len(rows) - 1 - best}

    def test_of_equally_infeasible_ones_none_is_better(self):
        assert {self.winner([(1.0, 0, 9.0), (1.0, 5, 0.0)], seed) for seed in range(20)} == {0, 1}

    def test_equals_win_by_lot_equally_often(self):
        counts = Counter(self.winner([(-1.0, 1, 1.0)] * 3, seed) for seed in range(900))
        assert sorted(counts) == [0, 1, 2]
        assert max(abs(count - 300) for count in counts.values()) < 5 * (900 * 2 / 9) ** 0.5

    def test_a_tournament_of_all_is_won_by_the_best_alone(self):
        pop = self.contestants([(-1.0, rank, 0.0) for rank in (3, 1, 0, 2)])
        chosen = Tournament(4, by_rank_and_crowding)(PROBLEM, pop, 10, n_parents=2, random_state=generator(), to_pop=False)
        assert set(np.asarray(chosen).ravel().tolist()) == {2}

    def test_more_entrants_press_harder(self):
        pop = self.contestants([(-1.0, rank, 0.0) for rank in range(12)])
        mean = {}
        for entrants in (1, 2, 4):
            chosen = Tournament(entrants, by_rank_and_crowding)(PROBLEM, pop, 300, n_parents=2, random_state=generator(), to_pop=False)
            mean[entrants] = float(np.mean(chosen))
        # The lowest of k draws without replacement from 0..11 is (12 - k) / (k + 1) on average.
        assert mean == pytest.approx({1: 5.5, 2: 10 / 3, 4: 8 / 5}, abs=0.35)
