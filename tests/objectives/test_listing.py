"""Candidates filtered and sorted."""

import pytest

from star_search.analysis.run_view import RunView
from star_search.errors import InputError
from star_search.objectives.listing import Listing
from stored_run import with_objective


@pytest.fixture(scope="module")
def view(stored_run):
    return RunView.read(stored_run)


def ids(view, **options):
    return [record.id for record in Listing(view, **options).apply(view.records)]


def test_sorted_by_an_objective_with_failures_last(view):
    found = ids(view, sort="perplexity")
    values = [view.by_id[number].objectives.get("perplexity") for number in found]
    known = [value for value in values if value is not None]
    assert known == sorted(known) and values[len(known) :] == [None] * (30 - len(known))
    backwards = [view.by_id[number].objectives.get("perplexity") for number in ids(view, sort="-perplexity")]
    assert backwards == known[::-1] + [None] * (30 - len(known))
    assert ids(view, sort="-id") == list(range(29, -1, -1))


def test_exact_objectives_are_known_of_failures_and_at_any_length(view):
    assert len(ids(view, where=["cache_bytes@8192<=1e12"])) == 30
    assert len(ids(view, where=["perplexity<=1e9"])) == len([each for each in view.records if each.outcome == "ok"])
    assert ids(view, where=["cache_bytes@8192<=0"]) == []


def test_conditions_outcomes_and_classes_all_hold(view):
    found = ids(view, where=["parameters<=60000"], outcomes=["ok"], classes=["SA-1", "7"])
    expected = [
        each.id
        for each in view.records
        if each.outcome == "ok" and each.objectives["parameters"] <= 60000 and "1" in each.canonical[::6] and "7" in each.canonical[::6]
    ]
    assert found == expected != []
    assert ids(view, outcomes=["crashed", "unstable"]) == [each.id for each in view.records if each.outcome != "ok"]


def test_columns_and_the_run_s_own_objectives_are_conditions_and_sort(view, stored_run, tmp_path):
    assert ids(view, where=["generation>=3", "id<=20"]) == [18, 19, 20]
    assert ids(view, where=["tokens>=1"]) == [each.id for each in view.records if each.tokens]
    name = "m$ [8]@.py:acc"
    own = RunView.read(with_objective(stored_run, tmp_path / "run", name))
    assert ids(own, sort=f"-{name}") == ids(view, sort="-perplexity")
    assert ids(own, where=[f"{name} <= 12.5"]) == ids(view, where=["perplexity<=12.5"]) != []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sort": "perplexty"}, "--sort 'perplexty' is no column; did you mean 'perplexity'?"),
        ({"sort": ""}, "--sort '' is no column; allowed: id, generation, tokens, outcome, perplexity"),
        ({"where": ["generations<=1"]}, "unknown objective 'generations'; did you mean 'generation'?"),
        ({"outcomes": ["okay"]}, "--outcome okay is no outcome; did you mean 'ok'?"),
        ({"where": ["cache_bytes"]}, "constraint 'cache_bytes' must read"),
        ({"classes": ["SA-9"]}, "catalogue star has no LIV class 'SA-9'"),
    ],
)
def test_what_does_not_exist_is_named(view, options, sentence):
    with pytest.raises(InputError) as caught:
        Listing(view, **options)
    assert str(caught.value).startswith(sentence)
