"""Batches from a token store: training sequences in a seeded order, validation tokens in their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from star_search.data.store import TokenStore
from star_search.data.tokenizer import TokenArray
from star_search.errors import InputError

Batch: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class ValidationBatches:
    """Validation sequences as batches of inputs and targets; each target stands in exactly one."""

    store: TokenStore = field(repr=False)
    sequences: NDArray[np.int64] = field(repr=False)
    sequence_length: int
    rows: int

    @property
    def count_tokens(self) -> int:
        """How many targets there are."""
        return len(self.sequences) * self.sequence_length

    @cached_property
    def targets(self) -> NDArray[np.int64]:
        """Every target, in order."""
        return _cut(self.store.validation, self.sequences, self.sequence_length)[1].ravel()

    @property
    def count_bytes(self) -> int:
        """How many bytes of text the targets stand for."""
        return self.store.byte_count(self.targets)

    def __len__(self) -> int:
        return -(-len(self.sequences) // self.rows)

    def __iter__(self) -> Iterator[Batch]:
        for first in range(0, len(self.sequences), self.rows):
            yield _cut(self.store.validation, self.sequences[first : first + self.rows], self.sequence_length)


@dataclass(frozen=True, eq=False)
class TokenStream:
    """The training and validation batches that every candidate gets: functions of the store and the seed alone."""

    store: TokenStore
    sequence_length: int
    rows: int
    seed: int

    def __post_init__(self) -> None:
        for split, tokens in (("train", self.store.train), ("validation", self.store.validation)):
            if len(tokens) <= self.sequence_length:
                raise InputError(
                    f"the {split} split has {len(tokens)} tokens, and one sequence of training.sequence_length {self.sequence_length} "
                    f"needs {self.sequence_length + 1}"
                )

    @property
    def sequence_count(self) -> int:
        """How many training sequences make an epoch."""
        return (len(self.store.train) - 1) // self.sequence_length

    def batch(self, step: int) -> Batch:
        """Return inputs and targets [rows, T] of a training step, counted from 0."""
        return _cut(self.store.train, self.sequences(step, step + 1)[0], self.sequence_length)

    def sequences(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return which sequences the training steps from `start` until `stop` see, [steps, rows]; sequence k begins at token k T."""
        positions = np.arange(start * self.rows, stop * self.rows)
        epochs, places = np.divmod(positions, self.sequence_count)
        sequences = np.empty_like(positions)
        for epoch in np.unique(epochs).tolist():
            sequences[epochs == epoch] = _order(self.sequence_count, self.seed, epoch)[places[epochs == epoch]]
        return sequences.reshape(stop - start, self.rows)

    def validation_batches(self, count_tokens: int, rows: int) -> ValidationBatches:
        """Return `count_tokens` validation targets, or all there are, in whole sequences spread evenly over the split.

        The last batch may have fewer rows.

        Raises:
            InputError: when `count_tokens` is less than one sequence.
        """
        length = self.sequence_length
        if count_tokens < length:
            raise InputError(f"data.validation_tokens must be at least training.sequence_length ({length}), got {count_tokens}")
        there = (len(self.store.validation) - 1) // length
        count = min(count_tokens // length, there)
        return ValidationBatches(self.store, np.arange(count) * there // count, length, rows)


def _cut(tokens: TokenArray, sequences: NDArray[Any], sequence_length: int) -> Batch:
    """Return inputs and targets of sequences; sequence k is tokens k * T to k * T + T, both included."""
    windows = tokens[sequences[:, None] * sequence_length + np.arange(sequence_length + 1)].astype(np.int64)
    return np.ascontiguousarray(windows[:, :-1]), np.ascontiguousarray(windows[:, 1:])


@lru_cache(maxsize=4)
def _order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    # RandomState, because numpy freezes its stream for good; a Generator's may change between versions.
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence([seed, epoch]))).permutation(count)
