"""A finished run under other objectives: values from genomes, fronts anew, nothing trained."""

import math

import pytest

from evolution.small_search import UNIGRAM_LOSS, StandIn, chance, stand_in_config, stand_in_run
from star_search.analysis.run_view import RunView
from star_search.errors import InputError
from star_search.genome.encoding import Genome
from star_search.objectives.reassessment import reassess
from star_search.objectives.registry import account_of
from star_search.runs.records import Outcome


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    config = stand_in_config()
    fails = StandIn(config, lambda canonical: Outcome.unstable if chance(canonical) < 0.2 else None)
    return RunView.read(stand_in_run(tmp_path_factory.mktemp("run") / "run", config, fails))


def test_its_own_objectives_give_the_same_view(view):
    again = reassess(view, ["perplexity", "cache_bytes"])
    assert again.generations == view.generations
    assert (again.reference_point, again.progress) == (view.reference_point, view.progress)


def test_values_follow_from_genomes_and_the_front_is_that_of_the_ok(view):
    seen = reassess(view, ["parameters", "cache_bytes@8192"])
    for record in seen.records:
        account = account_of(view.config, Genome.parse(record.canonical))
        assert record.objectives["cache_bytes@8192"] == account.cache_bytes(8192)
    good = [record for record in seen.records if record.outcome == Outcome.ok]
    pairs = {record.id: (record.objectives["parameters"], record.objectives["cache_bytes@8192"]) for record in good}
    undominated = [number for number, (p, c) in pairs.items() if not any(q <= p and d <= c and (q, d) != (p, c) for q, d in pairs.values())]
    assert sorted(record.id for record in seen.front) == undominated
    assert all(earlier.hypervolume <= later.hypervolume for earlier, later in zip(seen.progress, seen.progress[1:], strict=False))
    assert seen.progress[-1].hypervolume > 0


def test_the_reference_point_follows_the_rules_of_a_search(view):
    bits = reassess(view, ["bits_per_byte", "parameters"]).reference_point
    assert bits[0] == pytest.approx(UNIGRAM_LOSS / math.log(2))
    assert bits[1] == max(account_of(view.config, Genome.parse("-".join([f"{each}1111"] * 4))).parameters for each in range(1, 10))


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["perplexty"], "unknown objective 'perplexty'; did you mean 'perplexity'?"),
        (["parameters", "parameters"], "objectives names one twice"),
        (["a", "b", "c", "d"], "--objectives must name one to three objectives, got 4"),
    ],
)
def test_what_cannot_be_is_refused(view, names, sentence):
    with pytest.raises(InputError) as error:
        reassess(view, names)
    assert str(error.value).startswith(sentence)
