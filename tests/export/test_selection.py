"""Which candidate `export-best` takes, and what it refuses."""

from __future__ import annotations

import pytest

from export.hand_made import SIZES, configuration, generation_of, record_of
from star_search.analysis.run_view import RunView
from star_search.errors import InputError
from star_search.export.selection import Selection, find_candidate
from star_search.objectives.registry import KINDS

# Width 32, 16 tokens: softmax attention holds 2 * 2 * 32 * 16 bytes, linear attention 2 * (32 * 32 / 4 + 32).
CACHES = [0, 576, 2048, 4096]


@pytest.fixture
def view(sizes_run):
    return RunView.read(sizes_run)


def test_the_run_is_what_the_numbers_say(view):
    assert [view.by_id[number].objectives["cache_bytes"] for number in range(4)] == CACHES
    assert [record.id for record in view.front] == [2, 1, 0]


@pytest.mark.parametrize(
    ("by", "expected"),
    # The knee: scaled to the front, candidate 1 lies at (0.28, 0.2), the others a full unit from the ideal point.
    # Both attentions have 4d^2 parameters: the better objectives decide.
    [(None, 2), ("perplexity", 2), ("bits_per_byte", 2), ("knee", 1), ("cache_bytes", 0), ("cache_bytes@64", 0), ("parameters", 2)],
)
def test_by(view, by, expected):
    assert Selection(view, by).best().id == expected


def test_the_default_is_the_first_objective_where_perplexity_is_none(make_run):
    config = configuration(2, objectives=["cache_bytes", "parameters"])
    run = make_run(config, [record_of(number, genome, config, 5.0) for number, genome in enumerate(SIZES[:2])], front=[0, 1])
    selection = Selection(RunView.read(run))
    assert (selection.order, selection.best().id) == ("cache_bytes", 0)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (["cache_bytes<=1e3"], 1),
        (["cache_bytes <= 2048"], 2),
        (["cache_bytes<=2047"], 1),
        (["perplexity>=4.5", "cache_bytes>=100"], 1),
        (["cache_bytes@32<=2047"], 1),
        # None of the front holds as much; the dominated candidate does.
        (["cache_bytes>=3000"], 3),
    ],
)
def test_where(view, where, expected):
    assert Selection(view, None, where).best().id == expected


def test_the_knee_among_those_that_fit(view):
    assert Selection(view, "knee", ["cache_bytes>=1"]).best().id in (1, 2)
    assert Selection(view, "knee", ["cache_bytes>=3000"]).best().id == 3


@pytest.mark.parametrize(
    ("by", "where", "sentence"),
    [
        ("perplexty", [], "--by perplexty is no objective; did you mean 'perplexity'?"),
        ("kne", [], "--by kne is no objective; did you mean 'knee'?"),
        ("zzz", [], f"--by zzz is no objective; allowed: {', '.join(KINDS)}, knee"),
        ("parameters@7", [], "objective 'parameters@7': takes no length"),
        (None, ["cache_byte<=7"], "unknown objective 'cache_byte'; did you mean 'cache_bytes'?"),
        (
            None,
            ["cache_bytes=7"],
            "constraint 'cache_bytes=7' must read 'objective <= number' or 'objective >= number', for example 'parameters <= 95e6'",
        ),
        (
            None,
            ["perplexity<=3.5"],
            "no candidate of runs/tiny has perplexity<=3.5: the nearest is candidate 2, whose perplexity 4 is above 3.5",
        ),
        (
            None,
            ["perplexity<=4.5", "cache_bytes<=600"],
            "no candidate of runs/tiny has perplexity<=4.5 and cache_bytes<=600: "
            "the nearest is candidate 1, whose perplexity 5 is above 4.5",
        ),
    ],
)
def test_what_cannot_be_chosen(view, by, where, sentence):
    with pytest.raises(InputError) as caught:
        Selection(view, by, where).best()
    assert str(caught.value) == sentence


def test_a_run_without_an_ok_candidate(make_run):
    config = configuration(2)
    run = make_run(config, [], front=[])
    with pytest.raises(InputError, match=r"^runs/tiny has no candidate that ended ok, so there is nothing to export$"):
        Selection(RunView.read(run)).best()


def test_before_the_first_generation_all_that_ended_ok_counts(make_run):
    config = configuration(2)
    run = make_run(config, [record_of(number, genome, config, 9 - number) for number, genome in enumerate(SIZES[:2])], front=[])
    (run.path / "gen00" / "generation.json").unlink()
    assert Selection(RunView.read(run)).best().id == 1


def test_a_candidate_by_its_id(view):
    assert find_candidate(view, 3).id == 3
    with pytest.raises(InputError, match=r"^runs/tiny has no candidate 9; it has 0 to 4$"):
        find_candidate(view, 9)
    with pytest.raises(InputError, match=r"^candidate 4 of runs/tiny ended unstable \(it diverged\), so it has no model to export$"):
        find_candidate(view, 4)


def test_the_front_of_a_generation_is_that_generation_s(sizes_run):
    sizes_run.write_generation(generation_of(1, [], [0, 1], [0, 1]))
    assert Selection(RunView.read(sizes_run, 0)).best().id == 2
    assert Selection(RunView.read(sizes_run)).best().id == 1
