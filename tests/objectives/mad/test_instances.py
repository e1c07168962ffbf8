"""MAD instances: mad-lab's own for the same seeds, and what the tasks say of them."""

from hashlib import sha256

import numpy as np
import pytest

from star_search.config_objectives import MAD_TASKS
from star_search.objectives.mad.instances import IGNORED
from star_search.objectives.mad.tasks import TASKS, examples

# sha256 of the inputs and targets of 200 instances for training and 50 for test after them, as little-endian int64, drawn by mad-lab's
# own functions (athms/mad-lab at 6e7e4c9, mad/data/instances.py) in the settings of its benchmark, numpy's global generator seeded alike.
FROM_MAD_LAB = {
    ("in-context-recall", 12345): "c37db63f1eebec6a",
    ("noisy-in-context-recall", 12345): "2e99377a32c9139f",
    ("fuzzy-in-context-recall", 12345): "4ea816e3d8d0c4e8",
    ("memorization", 12345): "0b0dd2bae20bf62a",
    ("compression", 12345): "c19a60b8883c2bf7",
    ("selective-copying", 12345): "22c17b6d01d7047c",
    ("in-context-recall", 7): "9fbf8bb74ebcddc6",
    ("noisy-in-context-recall", 7): "0538d613e4d4a11a",
    ("fuzzy-in-context-recall", 7): "8a1e3805865a3656",
    ("memorization", 7): "f637cb0dc4a21739",
    ("compression", 7): "081013aad298dd92",
    ("selective-copying", 7): "ae7129f83c512a09",
}


@pytest.mark.parametrize(("name", "seed"), FROM_MAD_LAB)
def test_instances_are_mad_lab_s(name, seed):
    found = examples(name, 200, 50, seed)
    arrays = (found.inputs, found.targets, found.test_inputs, found.test_targets)
    assert sha256(b"".join(array.astype("<i8").tobytes() for array in arrays)).hexdigest()[:16] == FROM_MAD_LAB[name, seed]


def test_every_task_has_a_name_that_the_configuration_takes():
    assert list(TASKS) == MAD_TASKS


def test_memorisation_has_its_own_number_of_examples():
    assert len(examples("memorization", 12_800, 3, 0).inputs) == 256
    assert len(examples("compression", 300, 3, 0).inputs) == 300


@pytest.mark.parametrize("name", ["in-context-recall", "noisy-in-context-recall"])
def test_a_test_asks_for_values_whose_key_stood_before_and_for_all_of_them(name):
    found = examples(name, 5, 20, 0)
    assert np.array_equal(found.inputs[:, 1:], found.targets[:, :-1])
    for inputs, targets in zip(found.test_inputs, found.test_targets, strict=True):
        value_of = {}
        for position in range(0, len(inputs), 2):
            key = inputs[position]
            expected = value_of.get(key, IGNORED) if key < 16 else IGNORED
            assert targets[position] == expected
            if position + 1 < len(inputs) and key < 16:
                value_of[key] = inputs[position + 1]
        assert targets[-1] != IGNORED


def test_what_is_copied_stands_before_in_order():
    found = examples("selective-copying", 1, 20, 0)
    for inputs, targets in zip(found.test_inputs, found.test_targets, strict=True):
        assert inputs[inputs < 14].tolist() == targets[targets != IGNORED].tolist()
        assert inputs[-17] == 15


def test_a_memorised_value_is_the_same_in_every_instance_and_never_among_the_inputs():
    found = examples("memorization", 256, 20, 3)
    value_of = {}
    for inputs, targets in zip(found.inputs, found.targets, strict=True):
        for key, value in zip(inputs[::2], targets[1::2], strict=True):
            assert value_of.setdefault(key, value) == value
    assert not {*value_of.values()} & {*found.inputs.flatten()}
