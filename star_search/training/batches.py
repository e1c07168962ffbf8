"""The batches of a training on its device: cut from tokens that reside there, or staged from the host where they do not fit.

Shapes: B rows of a step, T tokens.
"""

from __future__ import annotations

from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from star_search.data.store import TokenStore
from star_search.data.stream import TokenStream

RESIDENT_SHARE = 0.1

_resident: WeakKeyDictionary[TokenStore, Tensor] = WeakKeyDictionary()


class StaticBatches(Protocol):
    """Batches at addresses that do not change, as a captured step needs them."""

    def load(self, step: int) -> None:
        """Make a step's batch the one that `rows` returns, where the host must do it."""
        ...

    def rows(self, part: slice) -> tuple[Tensor, Tensor]:
        """Return inputs and targets [rows, T] of a part of the present step."""
        ...


class ResidentBatches:
    """Batches cut on the device from the whole training text; the present step is read from a tensor there."""

    def __init__(self, stream: TokenStream, steps: int, step: Tensor) -> None:
        self._tokens, self._step = resident_tokens(stream.store, step.device), step
        self._mask = 0xFFFF if self._tokens.dtype == torch.int16 else 0xFFFFFFFF
        self._starts = torch.from_numpy(stream.sequences(0, steps) * stream.sequence_length).to(step.device)
        self._offsets = torch.arange(stream.sequence_length + 1, device=step.device)

    def load(self, step: int) -> None:
        """Nothing: the device has it all."""

    def rows(self, part: slice) -> tuple[Tensor, Tensor]:
        """Return inputs and targets [rows, T] of a part of the present step."""
        starts = self._starts.index_select(0, self._step.reshape(1))[0, part]
        windows = self._tokens[starts[:, None] + self._offsets].long() & self._mask
        return windows[:, :-1], windows[:, 1:]


class StagedBatches:
    """Batches copied from the host, step by step."""

    def __init__(self, stream: TokenStream, device: torch.device) -> None:
        self._stream = stream
        self._held = torch.zeros(2, stream.rows, stream.sequence_length, dtype=torch.int64, device=device)

    def load(self, step: int) -> None:
        """Copy a step's batch to the device; returns when the host's copy may be forgotten."""
        self._held.copy_(torch.from_numpy(np.stack(self._stream.batch(step))))

    def rows(self, part: slice) -> tuple[Tensor, Tensor]:
        """Return inputs and targets [rows, T] of a part of the step that was loaded."""
        inputs_BT, targets_BT = self._held[:, part]
        return inputs_BT, targets_BT


def static_batches(stream: TokenStream, steps: int, step: Tensor, free_bytes: int) -> StaticBatches:
    """Return resident batches where the text takes little of the device's memory, staged ones elsewhere."""
    fits = stream.store in _resident or stream.store.train.nbytes <= RESIDENT_SHARE * free_bytes
    return ResidentBatches(stream, steps, step) if fits else StagedBatches(stream, step.device)


def resident_tokens(store: TokenStore, device: torch.device) -> Tensor:
    """Return the training text on the device, signed, copied there once in the life of a process."""
    if store not in _resident or _resident[store].device != device:
        signed = np.asarray(store.train).view(np.int16 if store.train.dtype.itemsize == 2 else np.int32)
        _resident[store] = torch.from_numpy(signed).to(device)
    return _resident[store]


def parts_of(rows: int, at_once: int) -> list[slice]:
    """Return the parts of a step's rows that are trained one after another."""
    return [slice(start, start + at_once) for start in range(0, rows, at_once)]
