"""The tokens of one split on disk: shards of equal length, mapped into memory read-only, and a table of its documents."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from star_search.data.tokenizer import TokenArray

SHARD_TOKENS = 1 << 27

# Where a document ends, counted in tokens of its split; its subset; 128 bits that equal documents share.
DOCUMENT = np.dtype([("end", "<u8"), ("key", "<u8", 2), ("subset", "<u2")])


class SplitTokens:
    """Tokens of a split as one read-only array, whatever the number of shards.

    Opening maps files and reads no more than the last entry of the table, so that any number of processes share one copy in memory.

    Raises:
        OSError, ValueError: when a file is missing, cut off or of another type than the index says.
    """

    def __init__(self, folder: Path, split: str, count_tokens: int, dtype: np.dtype[np.unsignedinteger[Any]], shard_tokens: int) -> None:
        self.dtype = dtype
        self._count, self._shard_tokens = count_tokens, shard_tokens
        starts = range(0, count_tokens, shard_tokens)
        lengths = [min(shard_tokens, count_tokens - start) for start in starts]
        self._shards = [_map(shard_path(folder, split, number), length, dtype) for number, length in enumerate(lengths)]
        self._documents_path = documents_path(folder, split)
        table = self.documents()
        if table.dtype != DOCUMENT or (int(table["end"][-1]) if len(table) else 0) != count_tokens:
            raise ValueError(f"{self._documents_path} is damaged")

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        """How many bytes the tokens take."""
        return self._count * self.dtype.itemsize

    def __getitem__(self, places: slice | NDArray[np.integer[Any]]) -> TokenArray:
        """Return the tokens at these places, any shape, or of a slice."""
        if len(self._shards) == 1:
            return self._shards[0][places]
        if isinstance(places, slice):
            places = np.arange(*places.indices(self._count))
        numbers, offsets = np.divmod(places, self._shard_tokens)
        tokens = np.empty(places.shape, self.dtype)
        for number in np.unique(numbers).tolist():
            here = numbers == number
            tokens[here] = self._shards[number][offsets[here]]
        return tokens

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self[:], dtype=dtype)

    def documents(self) -> NDArray[Any]:
        """Return the table of documents, `DOCUMENT` each, in the order of the tokens."""
        return np.load(self._documents_path, mmap_mode="r" if self._count else None)


class HeldTokens(SplitTokens):
    """Tokens in memory as a split of one document, for text that is on no disk."""

    def __init__(self, tokens: TokenArray) -> None:
        self.dtype, self._count, self._shard_tokens, self._shards = tokens.dtype, len(tokens), len(tokens), [tokens]

    def documents(self) -> NDArray[Any]:
        """Return the table of the one document."""
        return np.array([(len(self), (0, 0), 0)], DOCUMENT)


def shard_path(folder: Path, split: str, number: int) -> Path:
    """Return where a shard lies."""
    return folder / f"{split}-{number:05d}.npy"


def documents_path(folder: Path, split: str) -> Path:
    """Return where a split's table of documents lies."""
    return folder / f"{split}-documents.npy"


def _map(path: Path, count: int, dtype: np.dtype[np.unsignedinteger[Any]]) -> TokenArray:
    tokens: TokenArray = np.load(path, mmap_mode="r")
    if tokens.shape != (count,) or tokens.dtype != dtype:
        raise ValueError(f"{path} is damaged")
    return tokens


class ArrayWriter:
    """Writes a one-dimensional `.npy` file whose length is known before its content, safe on disk once closed."""

    def __init__(self, path: Path, dtype: np.dtype[Any], count: int) -> None:
        self._stream = path.open("wb")
        np.lib.format.write_array_header_1_0(
            self._stream, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (count,)}
        )

    def write(self, values: NDArray[Any]) -> None:
        """Append values."""
        self._stream.write(np.ascontiguousarray(values).data)

    def close(self) -> None:
        """End the file."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()


class TokensWriter:
    """Writes a split's shards, one after another."""

    def __init__(self, folder: Path, split: str, dtype: np.dtype[Any], count_tokens: int, shard_tokens: int) -> None:
        self._folder, self._split, self._dtype = folder, split, dtype
        self._left, self._shard_tokens = count_tokens, shard_tokens
        self._number, self._room = 0, 0
        self._shard: ArrayWriter | None = None

    def write(self, tokens: TokenArray) -> None:
        """Append tokens."""
        while len(tokens):
            if self._room == 0:
                self._next_shard()
            piece, tokens = tokens[: self._room], tokens[self._room :]
            assert self._shard is not None
            self._shard.write(piece)
            self._room -= len(piece)
            self._left -= len(piece)

    def _next_shard(self) -> None:
        self.close()
        self._room = min(self._shard_tokens, self._left)
        self._shard = ArrayWriter(shard_path(self._folder, self._split, self._number), self._dtype, self._room)
        self._number += 1

    def close(self) -> None:
        """End the last shard."""
        if self._shard is not None:
            self._shard.close()
            self._shard = None
