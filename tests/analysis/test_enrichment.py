"""Motif statistics: p that can be counted by hand, no more false findings than stated, and what is planted is found."""

import json

import numpy as np
import pytest

from cli.conftest import run_command
from helpers import STAR
from star_search.analysis.enrichment import enrichment, motif_statistics
from star_search.analysis.run_view import RunView
from star_search.config import SpaceConfig
from star_search.errors import InputError
from star_search.genome.encoding import Genome
from star_search.genome.space import SearchSpace

SPACE = SearchSpace.from_config(SpaceConfig(depth=8, width=64, classes=list(range(1, 10))))


def drawn(count, random_state):
    return [SPACE.sample(random_state).genome for _ in range(count)]


def test_p_of_two_against_two_can_be_counted():
    """Of the six ways to label two of four genomes, two separate the classes fully."""
    genomes = list(map(Genome.parse, ("71111", "71111", "11111", "11111")))
    found = enrichment(genomes[:2], genomes[2:], STAR, permutations=4000)
    assert [(each.name, each.selected, each.initial) for each in found] == [("GConv-1", 1.0, 0.0), ("SA-1", 0.0, 1.0)]
    for each in found:
        assert each.p_value == pytest.approx(1 / 3, abs=0.03)
        # Both motifs are one and the same pattern, so that there is nothing to correct.
        assert each.corrected_p_value == each.p_value


def test_equal_groups_give_p_of_1_and_motifs_of_a_lone_genome_are_left_out():
    genomes = list(map(Genome.parse, ("71111-91111", "11111-91111")))
    found = {each.name: each for each in enrichment(genomes, genomes, STAR, permutations=200)}
    assert {each.corrected_p_value for each in found.values()} == {1.0}
    assert set(found) == {"GConv-1", "SA-1", "GMemless", "GConv-1 then GMemless", "SA-1 then GMemless"}
    assert [each.name for each in enrichment(genomes[:1], genomes[1:], STAR, permutations=200)] == ["GMemless"]


def test_without_a_difference_false_findings_are_as_rare_as_stated():
    random_state = np.random.default_rng(1)
    tests = [enrichment(drawn(12, random_state), drawn(12, random_state), STAR, permutations=199, seed=seed) for seed in range(60)]
    # At a rate of 5 %, more than 8 of 60 come up with a probability under 1 %; without the correction they do.
    assert sum(any(each.is_significant for each in found) for found in tests) <= 8
    assert sum(any(each.p_value < 0.05 for each in found) for found in tests) > 16


def test_what_is_planted_is_found():
    random_state = np.random.default_rng(2)
    planted = [Genome.from_integers([7, 1, 2, 1, 1, 7, 1, 2, 1, 1, *genome.integers()[10:]]) for genome in drawn(12, random_state)]
    found = {each.name: each for each in enrichment(planted, drawn(16, random_state), STAR) if each.is_significant}
    assert {"GConv-1", "GConv-1 then GConv-1", "weights B, v, C, kernel of GConv-1", "weights 1 apart"} <= set(found)
    assert found["GConv-1"].difference > 1
    assert found["GConv-1"].sentence("front").startswith("the front holds class GConv-1 more often: ")


def test_a_run_is_tested_printed_and_in_json(stored_run):
    view = RunView.read(stored_run)
    found = motif_statistics(view, permutations=200)
    assert (found.group, found.selected_genomes, found.initial_genomes) == ("front", 9, 6)
    values = json.loads(run_command("motifs", stored_run.path, "--permutations", 200, "--json").out)
    assert values["motifs"] == json.loads(json.dumps(found.as_json()))["motifs"]
    assert {"kind", "name", "selected", "initial", "p_value", "corrected_p_value"} == set(values["motifs"][0])
    printed = run_command("motifs", stored_run.path, "--permutations", 200, "--all").out
    assert all(f" {each.name} " in printed for each in found.motifs)


def test_of_one_objective_the_last_population_is_compared(stored_run):
    from dataclasses import replace

    view = RunView.read(stored_run)
    alone = replace(view, config=view.config.model_copy(update={"objectives": view.config.objectives[:1]}))
    found = motif_statistics(alone, permutations=200)
    assert (found.group, found.selected_genomes) == ("population", len(view.population)) != ("population", 1)


def test_without_a_generation_there_is_nothing_to_compare(stored_run):
    from dataclasses import replace

    view = RunView.read(stored_run)
    with pytest.raises(InputError, match="no generation 0 to compare"):
        motif_statistics(replace(view, generations=view.generations[1:]))
