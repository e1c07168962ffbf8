"""The probe before a search: what it predicts, and where it stays away."""

import pytest

from evolution.small_search import small_config, write_text_source
from star_search.config import load_configuration
from star_search.objectives.probe import obstacle, probe


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return small_config(write_text_source(tmp_path_factory.mktemp("text")))


def test_hours_are_steps_and_evaluation_of_every_candidate_shared_by_the_workers(config):
    one, two = (probe(config, "cpu", workers, seconds=0.4) for workers in (1, 2))
    for found, rounds in ((one, 12), (two, 6)):
        # 32 steps, and 256 validation tokens at a third of the price of 64 training tokens each.
        assert found.hours * 3600 == pytest.approx(found.step_seconds * (32 + 4 / 3) * rounds)
    assert one.genomes >= 1
    assert 1e-4 < one.step_seconds < 1
    assert 50e6 < one.peak_bytes < 50e9


def test_a_step_that_this_machine_cannot_do_in_time_is_not_tried():
    reason = obstacle(load_configuration("nsga2_1b.yaml"), "cpu", 10.0)
    assert reason.startswith("one training step takes about ")


def test_small_searches_can_be_probed(config):
    assert obstacle(config, "cpu", 10.0) == ""


def test_a_tokenizer_that_is_not_there_is_said(config):
    lost = config.model_copy(update={"data": config.data.model_copy(update={"tokenizer": "/none.json"})})
    assert obstacle(lost, "cpu", 10.0).startswith("data.tokenizer /none.json")
