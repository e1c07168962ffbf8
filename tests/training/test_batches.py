"""Batches on the device are those of the stream, cut there or copied there."""

from pathlib import Path

import numpy as np
import pytest
import torch

from star_search.data.store import TokenStore
from star_search.data.stream import TokenStream
from star_search.data.tokenizer import load_tokenizer
from star_search.data.tokens import HeldTokens
from star_search.training.batches import ResidentBatches, StagedBatches, parts_of, static_batches

LENGTH, ROWS, STEPS = 5, 4, 7


def stream_of(dtype):
    # The largest ids are negative where the device holds them signed.
    tokens = np.arange(np.iinfo(dtype).max - 70, np.iinfo(dtype).max + 1, dtype=dtype)
    return TokenStream(
        TokenStore(Path(), "here", load_tokenizer("bytes"), HeldTokens(tokens), HeldTokens(tokens), {}), LENGTH, ROWS, seed=3
    )


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
@pytest.mark.parametrize("resident", [True, False])
def test_every_step_is_the_streams(dtype, resident):
    stream, step = stream_of(dtype), torch.zeros((), dtype=torch.int64)
    batches = ResidentBatches(stream, STEPS, step) if resident else StagedBatches(stream, step.device)
    for number in range(STEPS):
        batches.load(number)
        parts = [batches.rows(part) for part in parts_of(ROWS, 2)]
        inputs, targets = (torch.cat(each) for each in zip(*parts, strict=True))
        expected = [torch.from_numpy(array) for array in stream.batch(number)]
        assert torch.equal(inputs, expected[0]) and torch.equal(targets, expected[1])
        step += 1


def test_text_that_would_fill_the_device_is_staged():
    stream, step = stream_of(np.uint16), torch.zeros((), dtype=torch.int64)
    assert isinstance(static_batches(stream, STEPS, step, free_bytes=stream.store.train.nbytes * 10 - 1), StagedBatches)
    assert isinstance(static_batches(stream, STEPS, step, free_bytes=stream.store.train.nbytes * 11), ResidentBatches)
