"""Batches from a token store: training sequences in a seeded order, held-out tokens in their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from star_search.data.store import TokenStore
from star_search.data.tokens import SplitTokens
from star_search.errors import InputError

Batch: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class EvaluationBatches:
    """Sequences of one split as batches of inputs and targets; each target stands in exactly one."""

    store: TokenStore = field(repr=False)
    split: str
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
        return _cut(self._tokens, self.sequences, self.sequence_length)[1].ravel()

    @cached_property
    def subsets(self) -> NDArray[np.int64]:
        """The subset of every target's document, counted as in `store.subsets`; an end of text belongs to the document it ends."""
        places = (self.sequences[:, None] * self.sequence_length + np.arange(1, self.sequence_length + 1)).ravel()
        documents = self._tokens.documents()
        numbers = np.searchsorted(documents["end"], places.astype(np.uint64), side="right")
        return documents["subset"][numbers].astype(np.int64)

    @property
    def count_bytes(self) -> int:
        """How many bytes of text the targets stand for."""
        return int(self._subset_bytes.sum())

    @cached_property
    def _subset_bytes(self) -> NDArray[np.int64]:
        return self.store.text_bytes(self.split, self.targets, self.subsets)

    def by_subset(self, losses: NDArray[np.float64]) -> dict[str, tuple[float, int, int]]:
        """Return mean loss, tokens and bytes of text of each subset that has text here, from the loss of every target."""
        names = self.store.subsets
        counts, sums = (np.bincount(self.subsets, weights, len(names)) for weights in (None, losses))
        return {
            name: (float(total / count), int(count), int(size))
            for name, total, count, size in zip(names, sums, counts, self._subset_bytes, strict=True)
            if size
        }

    def __len__(self) -> int:
        return -(-len(self.sequences) // self.rows)

    def __iter__(self) -> Iterator[Batch]:
        for first in range(0, len(self.sequences), self.rows):
            yield _cut(self._tokens, self.sequences[first : first + self.rows], self.sequence_length)

    @property
    def _tokens(self) -> SplitTokens:
        return self.store.split(self.split)


@dataclass(frozen=True, eq=False)
class TokenStream:
    """The training and validation batches that every candidate gets: functions of the store and the seed alone."""

    store: TokenStore
    sequence_length: int
    rows: int
    seed: int

    def __post_init__(self) -> None:
        for split in ("train", "validation"):
            _check_length(split, len(self.store.split(split)), self.sequence_length)

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

    def validation_batches(self, count_tokens: int, rows: int) -> EvaluationBatches:
        """Return `count_tokens` validation targets, or all there are, in whole sequences spread evenly over the split.

        The last batch may have fewer rows.

        Raises:
            InputError: when `count_tokens` is less than one sequence.
        """
        return self._evaluation_batches("validation", count_tokens, rows)

    def test_batches(self, count_tokens: int, rows: int) -> EvaluationBatches:
        """Return test targets, as `validation_batches` does; for final figures, never for a search.

        Raises:
            InputError: when `count_tokens`, or the test split, is less than one sequence.
        """
        _check_length("test", len(self.store.test), self.sequence_length)
        return self._evaluation_batches("test", count_tokens, rows)

    def _evaluation_batches(self, split: str, count_tokens: int, rows: int) -> EvaluationBatches:
        length = self.sequence_length
        if count_tokens < length:
            raise InputError(f"data.validation_tokens must be at least training.sequence_length ({length}), got {count_tokens}")
        there = (len(self.store.split(split)) - 1) // length
        count = min(count_tokens // length, there)
        return EvaluationBatches(self.store, split, np.arange(count) * there // count, length, rows)


def _check_length(split: str, count_tokens: int, sequence_length: int) -> None:
    if count_tokens <= sequence_length:
        raise InputError(
            f"the {split} split has {count_tokens} tokens, and one sequence of training.sequence_length {sequence_length} "
            f"needs {sequence_length + 1}"
        )


def _cut(tokens: SplitTokens, sequences: NDArray[Any], sequence_length: int) -> Batch:
    """Return inputs and targets of sequences; sequence k is tokens k * T to k * T + T, both included."""
    windows = tokens[sequences[:, None] * sequence_length + np.arange(sequence_length + 1)].astype(np.int64)
    return np.ascontiguousarray(windows[:, :-1]), np.ascontiguousarray(windows[:, 1:])


@lru_cache(maxsize=4)
def _order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    # RandomState, because numpy freezes its stream for good; a Generator's may change between versions.
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence([seed, epoch]))).permutation(count)
