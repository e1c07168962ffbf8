from dataclasses import replace

import numpy as np
import pytest

from star_search.config import DataConfig
from star_search.data.store import prepare
from star_search.data.stream import TokenStream, _order
from star_search.errors import InputError

T = 16


@pytest.fixture
def store(make_store):
    return make_store("filler " * 5)


def test_sequences_are_shifted_windows_of_the_train_tokens(store):
    stream = TokenStream(store, T, rows=3, seed=0)
    tokens = np.array(store.train).astype(np.int64)
    windows = {tuple(tokens[k * T : k * T + T + 1]) for k in range(stream.sequence_count)}
    inputs, targets = stream.batch(0)
    assert inputs.shape == targets.shape == (3, T)
    assert inputs.dtype == targets.dtype == np.int64
    assert np.array_equal(inputs[:, 1:], targets[:, :-1])
    assert all((*row, last) in windows for row, last in zip(inputs.tolist(), targets[:, -1].tolist(), strict=True))


def test_an_epoch_holds_every_sequence_once_and_the_next_in_another_order(store):
    stream = TokenStream(store, T, rows=1, seed=0)
    count = stream.sequence_count
    assert count == (len(store.train) - 1) // T
    rows = [stream.batch(step)[1].tobytes() for step in range(2 * count)]
    expected = sorted(np.array(store.train[k * T + 1 : k * T + T + 1]).astype(np.int64).tobytes() for k in range(count))
    assert sorted(rows[:count]) == sorted(rows[count:]) == expected
    assert rows[:count] != rows[count:]


def test_a_batch_depends_on_store_seed_and_step_alone(store):
    forward = [TokenStream(store, T, rows=4, seed=7).batch(step) for step in range(40)]
    stream = TokenStream(store, T, rows=4, seed=7)
    backward = [stream.batch(step) for step in reversed(range(40))][::-1]
    assert np.array_equal(forward, backward)
    assert not np.array_equal(forward[0], TokenStream(store, T, rows=4, seed=8).batch(0))


def test_rows_do_not_change_the_order_of_sequences(store):
    count = TokenStream(store, T, rows=1, seed=0).sequence_count
    one = np.concatenate([TokenStream(store, T, rows=1, seed=0).batch(step)[0] for step in range(2 * count)])
    many, _ = TokenStream(store, T, rows=2 * count, seed=0).batch(0)
    assert np.array_equal(one, many)


def test_the_order_is_this_one_for_good():
    assert _order(8, 0, 0).tolist() == [6, 3, 5, 0, 7, 2, 1, 4]


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_validation_batches_spread_evenly_and_count_every_target_once(store, rows):
    stream = TokenStream(store, T, rows=1, seed=0)
    batches = stream.validation_batches(5 * T, rows)
    there = (len(store.validation) - 1) // T
    starts = [index * there // 5 * T for index in range(5)]
    expected = np.concatenate([store.validation[start + 1 : start + T + 1] for start in starts])
    assert batches.count_tokens == len(expected)
    assert np.array_equal(np.concatenate([targets for _, targets in batches]).ravel(), expected)
    assert np.array_equal(batches.targets, expected)
    assert len(batches) == len(list(batches)) == -(-5 // rows)
    assert batches.count_bytes == np.count_nonzero(expected != 256)
    assert np.array_equal(next(iter(batches))[0][0], store.validation[:T])


def test_validation_takes_what_there_is_in_whole_sequences(store):
    stream = TokenStream(store, T, rows=1, seed=0)
    most = (len(store.validation) - 1) // T * T
    assert stream.validation_batches(10**9, rows=4).count_tokens == most
    assert stream.validation_batches(3 * T - 1, rows=4).count_tokens == 2 * T


def test_refuses_fewer_validation_tokens_than_a_sequence(store):
    with pytest.raises(InputError) as caught:
        TokenStream(store, T, rows=1, seed=0).validation_batches(T - 1, rows=1)
    assert str(caught.value) == "data.validation_tokens must be at least training.sequence_length (16), got 15"


@pytest.mark.parametrize("split", ["train", "validation"])
def test_refuses_a_split_shorter_than_a_sequence(store, split):
    short = replace(store, **{split: getattr(store, split)[:T]})
    with pytest.raises(InputError) as caught:
        TokenStream(short, T, rows=1, seed=0)
    assert str(caught.value) == f"the {split} split has 16 tokens, and one sequence of training.sequence_length 16 needs 17"


def test_exactly_one_sequence_is_enough(store):
    stream = TokenStream(store, len(store.validation) - 1, rows=2, seed=0)
    assert stream.validation_batches(10**9, rows=2).count_tokens == len(store.validation) - 1


def test_every_target_has_the_subset_of_its_document(corpus):
    store = prepare(DataConfig(source=str(corpus), validation_fraction=0.3, test_fraction=0.2))
    stream = TokenStream(store, T, rows=1, seed=0)
    for batches in (stream.validation_batches(10**9, rows=4), stream.test_batches(10**9, rows=4)):
        tokens, subset = store.split(batches.split)[1:], 0
        # Alpha's documents begin with d, beta's with o; the end of text, 256, belongs to the document that it ends.
        names, start = [], True
        for token in store.split(batches.split)[:].tolist():
            subset = {ord("d"): "alpha", ord("o"): "beta"}[token] if start else subset
            names.append(subset)
            start = token == 256
        expected = names[1 : len(batches.targets) + 1]
        assert [store.subsets[number] for number in batches.subsets] == expected
        assert batches.targets.tolist() == tokens[: len(expected)].tolist()


def test_losses_are_summed_by_subset(corpus):
    store = prepare(DataConfig(source=str(corpus), validation_fraction=0.3, test_fraction=0.2))
    batches = TokenStream(store, T, rows=1, seed=0).validation_batches(10**9, rows=4)
    losses = np.where(batches.subsets == store.subsets.index("beta"), 3.0, 1.0)
    found = batches.by_subset(losses)
    assert {name: loss for name, (loss, _, _) in found.items()} == {"alpha": 1.0, "beta": 3.0}
    assert sum(count for _, count, _ in found.values()) == batches.count_tokens
    assert sum(size for _, _, size in found.values()) == batches.count_bytes


def test_a_search_does_not_read_the_test_split(corpus):
    config = DataConfig(source=str(corpus), validation_fraction=0.3, test_fraction=0.2)
    for path in prepare(config).folder.glob("test-*"):
        path.unlink()
    store = prepare(config)
    stream = TokenStream(store, T, rows=1, seed=0)
    assert stream.batch(0)[0].shape == (1, T) and stream.validation_batches(T, rows=1).count_tokens == T
    with pytest.raises(InputError, match=r"is damaged \(.*test-00000\.npy.*\); once it is deleted, it is made again"):
        stream.test_batches(T, rows=1)


def test_refuses_a_test_split_that_is_not_there(corpus):
    store = prepare(DataConfig(source=str(corpus), validation_fraction=0.3, test_fraction=0.0))
    with pytest.raises(InputError) as caught:
        TokenStream(store, T, rows=1, seed=0).test_batches(T, rows=1)
    assert str(caught.value) == "the test split has 0 tokens, and one sequence of training.sequence_length 16 needs 17"
