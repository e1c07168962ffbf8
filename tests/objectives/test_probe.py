"""The probe before a search: what it predicts, and where it stays away."""

import pytest

from evolution.small_search import small_config, write_text_source
from star_search.config import load_configuration
from star_search.errors import StarSearchError
from star_search.objectives import probe
from star_search.objectives.probe import Measurement, Prediction, measure, obstacle, predict


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return small_config(write_text_source(tmp_path_factory.mktemp("text")))


def test_hours_are_steps_and_evaluation_of_every_candidate_shared_by_the_workers(config):
    one, other = Measurement([0.1, 0.2], 3_000), Measurement([0.6], 5_000)
    # 32 steps, and 256 validation tokens at a third of the price of 64 training tokens each; twelve candidates.
    assert predict(config, [one], 1) == Prediction(2, pytest.approx(0.15), pytest.approx(0.15 * (32 + 4 / 3) * 12 / 3600), 1, 3_000)
    assert predict(config, [one, other], 2) == Prediction(3, pytest.approx(0.3), pytest.approx(0.3 * (32 + 4 / 3) * 6 / 3600), 2, 5_000)


def test_a_process_measures_steps_of_several_genomes_and_its_memory(config):
    found = measure(config, "cpu", seconds=0.4)
    assert 1 <= len(found.step_seconds) <= 32
    assert all(1e-4 < seconds < 1 for seconds in found.step_seconds)
    assert 50e6 < found.peak_bytes < 50e9


def test_memory_that_does_not_suffice_is_a_sentence(config, monkeypatch):
    def fail(*arguments):
        raise MemoryError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(probe, "train", fail)
    with pytest.raises(StarSearchError, match=r"^a training step of \S+ does not fit the memory of cpu$"):
        measure(config, "cpu", seconds=0.1)


def test_a_step_that_this_machine_cannot_do_in_time_is_not_tried():
    reason = obstacle(load_configuration("nsga2_1b.yaml"), "cpu", 10.0)
    assert reason.startswith("one training step takes about ")


def test_small_searches_can_be_probed(config):
    assert obstacle(config, "cpu", 10.0) == ""


def test_a_tokenizer_that_is_not_there_is_said(config):
    lost = config.model_copy(update={"data": config.data.model_copy(update={"tokenizer": "/none.json"})})
    assert obstacle(lost, "cpu", 10.0).startswith("data.tokenizer /none.json")
