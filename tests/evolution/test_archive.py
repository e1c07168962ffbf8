"""What pymoo is told of candidates, and the front: a failure is no number."""

import numpy as np
import pytest

from evolution.small_search import stand_in_config
from star_search.evolution.archive import Archive
from star_search.objectives.assignment import Assignment
from star_search.objectives.registry import Criteria
from star_search.runs.records import Outcome

WORST = [50.0, 9000.0]


def archive(*rows, constraints=()):
    """Make an archive of (outcome, objectives)."""
    made = Archive(Criteria.from_config(stand_in_config(constraints=list(constraints))), WORST)
    for number, (outcome, objectives) in enumerate(rows):
        made.add(Assignment(number, 0, "11111", "11111", "").record(0, outcome, "", objectives, tokens=10, details={"curve": []}))
        made.settle([number])
    return made


def ok(perplexity, cache):
    return Outcome.ok, {"perplexity": perplexity, "cache_bytes": cache}


@pytest.mark.parametrize("outcome", [each for each in Outcome if each != Outcome.ok])
def test_a_failure_gets_the_worst_finite_value_and_violates_a_constraint(outcome):
    made = archive(ok(5.0, 100.0), (outcome, {"cache_bytes": 200.0}), (outcome, {}))
    assert made.objective_array([0, 1, 2]).tolist() == [[0.1, 100 / 9000], [1.0, 200 / 9000], [1.0, 1.0]]
    violation = 0.5 if outcome == Outcome.stopped else 1.0
    assert made.constraint_array([0, 1, 2])[:, 0].tolist() == [-1.0, violation, violation]
    assert np.isfinite(made.objective_array([0, 1, 2])).all()


def test_constraints_are_told_as_their_violation():
    made = archive(
        ok(5.0, 100.0), ok(9.0, 300.0), (Outcome.crashed, {"cache_bytes": 100.0}), constraints=["perplexity <= 6", "cache_bytes >= 200"]
    )
    expected = [[-1.0, -1 / 6, 1 / 12], [-1.0, 1 / 12, -0.5], [1.0, 0.0, 1 / 12]]
    assert made.constraint_array([0, 1, 2]).tolist() == [pytest.approx(row) for row in expected]


def test_ok_candidates_far_beyond_their_bounds_come_before_stopped_ones_and_these_before_failures():
    bounds = ["perplexity <= 1", "cache_bytes <= 1"]
    stopped = (Outcome.stopped, {"cache_bytes": 9e9})
    made = archive(ok(2.0, 1.0), ok(50.0, 9e9), stopped, (Outcome.crashed, {}), constraints=bounds)
    totals = np.maximum(made.constraint_array(range(4)), 0).sum(1)
    assert (np.diff(totals) > 0).all()


def test_arrays_are_in_the_order_asked():
    made = archive(ok(5.0, 100.0), ok(6.0, 90.0))
    assert made.objective_array([1, 0]).tolist() == [[0.12, 0.01], [0.1, 100 / 9000]]


def test_the_front_holds_ok_candidates_that_none_dominates():
    failed = (Outcome.unstable, {"cache_bytes": 1.0})
    made = archive(ok(5.0, 100.0), ok(6.0, 90.0), ok(6.0, 100.0), ok(5.0, 100.0), failed, ok(4.0, 500.0))
    assert made.front() == [0, 1, 3, 5]


def test_what_breaks_a_constraint_is_not_in_the_front_and_dominates_nothing():
    made = archive(ok(5.0, 100.0), ok(4.0, 90.0), ok(3.0, 400.0), constraints=["perplexity >= 4.5", "cache_bytes <= 400"])
    assert made.front() == [0]


def test_an_empty_archive_and_one_of_failures_have_no_front():
    assert archive().front() == archive((Outcome.timeout, {"cache_bytes": 1.0})).front() == []


def test_only_settled_candidates_count_towards_the_front():
    made = archive(ok(5.0, 100.0))
    made.add(Assignment(1, 0, "11111", "11111", "").record(0, Outcome.ok, "", ok(4.0, 90.0)[1]))
    assert made.front() == [0]
    made.settle([1])
    assert made.front() == [1]


def test_memory_stays_flat_because_all_but_the_front_can_be_let_go():
    made = archive(ok(5.0, 100.0), ok(6.0, 100.0), ok(7.0, 100.0), ok(8.0, 80.0))
    made.keep([1])
    assert sorted(made.records) == [0, 1, 3]
    assert made.records[0].details == {}
    assert (made.front(), made.tokens) == ([0, 3], 40)
