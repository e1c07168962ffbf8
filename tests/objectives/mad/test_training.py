"""Training on MAD tasks: what is counted, what an architecture is told apart by, and the objective in a search."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

from evolution.small_search import small_config, write_text_source
from star_search.config import parse_configuration
from star_search.config_objectives import MADConfig
from star_search.errors import InputError
from star_search.genome.encoding import Genome
from star_search.objectives.assessment import Assessor
from star_search.objectives.assignment import Assignment
from star_search.objectives.candidate import candidate_backbone
from star_search.objectives.mad.objective import mad_accuracies
from star_search.objectives.mad.tasks import Examples
from star_search.objectives.mad.training import Compressor, accuracy_after_training, held_out_accuracy, positions
from star_search.runs.records import Outcome
from star_search.training.stability import Unhealthy

CPU = torch.device("cpu")


class Says(nn.Module):
    """Gives the token that it reads, whatever it is trained on."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, tokens_BT):
        return self.weight * one_hot(tokens_BT, 4).float()


def test_accuracy_counts_the_targets_that_are_asked_for_over_all_batches():
    """Of five targets, two are what was read; batches of two rows would weigh the lone third row double."""
    inputs = np.array([[0, 1], [2, 3], [1, 1]])
    targets = np.array([[0, 2], [-100, 3], [0, 0]])
    assert held_out_accuracy(Says(), Examples(inputs, targets, inputs, targets), 2, CPU) == 2 / 5


def test_it_stops_where_nearly_all_is_right():
    inputs = np.arange(8).reshape(2, 4) % 4
    found, seen = Examples(inputs, inputs, inputs, inputs), []
    model = Says()
    model.register_forward_hook(lambda *rest: seen.append(model.training))
    assert accuracy_after_training(model, found, MADConfig(steps=100, batch=2), 0, CPU) == 1.0
    assert seen == [True] * 10 + [False]


def test_a_loss_that_is_not_finite_is_an_outcome():
    model, inputs = Says(), np.zeros((1, 2), dtype=np.int64)
    model.weight.data.fill_(torch.nan)
    with pytest.raises(Unhealthy, match=r"^the loss on a MAD task is nan at step 1$"):
        accuracy_after_training(model, Examples(inputs, inputs, inputs, inputs), MADConfig(steps=5), 0, CPU)


def test_positions_differ_and_begin_at_sines_of_zero():
    found = positions(32, 16)
    assert found[0].tolist() == [0.0] * 8 + [1.0] * 8
    assert torch.cdist(found, found).add(torch.eye(32)).min() > 0.1


def test_the_compressor_sees_the_last_position_alone():
    """With a memoryless backbone, nothing of the tokens before the last reaches any logit."""
    backbone = candidate_backbone(parse_configuration({"space": {"width": 16}}), Genome.parse("91111"), 0)
    model = Compressor(backbone, 16)
    one, other = torch.randint(15, (2, 1, 32))
    one[0, -1] = other[0, -1] = 15
    assert torch.equal(model(one), model(other))
    assert not torch.allclose(model(one)[0, 0], model(one)[0, 1])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_products_are_made_in_the_precision_of_training(precision):
    """In steps and in looks at the test examples alike."""
    settings = {"tasks": ["memorization", "compression"], "steps": 1, "test_examples": 4}
    config = parse_configuration({"space": {"width": 16}, "training": {"precision": precision}, "mad": settings})
    seen = set()

    def look(module, given, result):
        if isinstance(module, nn.Linear):
            seen.add((module.training, result.dtype))

    hook = nn.modules.module.register_module_forward_hook(look)
    try:
        mad_accuracies(config, "91111", 0, "cpu")
    finally:
        hook.remove()
    assert seen == {(True, getattr(torch, precision)), (False, getattr(torch, precision))}


@pytest.mark.slow
def test_what_is_memorised_needs_no_mixing_and_what_is_recalled_does():
    """GMemless answers a token that is the same after every key: it can do no better than the commonest value."""
    settings = {"tasks": ["memorization"], "steps": 300, "learning_rate": 1e-2, "test_examples": 64}
    config = parse_configuration({"space": {"width": 32}, "mad": settings})
    (memoryless,) = mad_accuracies(config, "91111-91111", 0, "cpu").values()
    (convolution,) = mad_accuracies(config, "71111-91111", 0, "cpu").values()
    assert memoryless < 0.05
    assert convolution > 0.9


def test_as_an_objective_it_is_one_less_the_mean_and_the_record_has_every_task(tmp_path):
    source = write_text_source(tmp_path)
    brief = {"tasks": ["memorization", "compression"], "train_examples": 16, "test_examples": 8, "steps": 2, "batch": 8}
    config = small_config(source, objectives=["mad", "cache_bytes"], mad=brief)
    record = Assessor(config, "cpu")(Assignment(0, 0, "71111", "71111", str(tmp_path / "w"))).record
    assert record.outcome == Outcome.ok
    assert set(record.details["mad"]) == {"memorization", "compression"}
    assert record.objectives["mad"] == 1 - sum(record.details["mad"].values()) / 2
    assert record.details["mad"] == mad_accuracies(config, "71111", record.seed, "cpu")


def test_a_task_that_is_none_is_one_sentence():
    with pytest.raises(
        InputError, match=r"^the configuration: mad\.tasks\.0 must be one of 'in-context-recall', 'noisy-in-context-recall', "
    ):
        parse_configuration({"mad": {"tasks": ["recall"]}})
