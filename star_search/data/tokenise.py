"""Documents to token arrays on disk: tokenised in the order read, then laid out in the order of the split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from star_search.config import DataConfig
from star_search.data.corpus import Document
from star_search.data.split import document_digest, is_validation, order_key
from star_search.data.tokenizer import TokenArray, Tokenizer

SPLITS = ("train", "validation")
_BATCH_DOCUMENTS = 256


@dataclass(frozen=True)
class _Piece:
    """Where one document lies in the spool file."""

    split: str
    order: bytes
    subset: str
    start: int
    token_count: int
    byte_count: int


def write_splits(folder: Path, documents: Iterable[Document], tokenizer: Tokenizer, config: DataConfig) -> dict[str, Any]:
    """Write `train.npy` and `validation.npy` into the folder and return their counts, and that of the duplicates dropped."""
    spool = folder / "spool"
    unique = _Unique(documents)
    pieces = sorted(_spool(spool, unique, tokenizer, config), key=lambda piece: piece.order)
    tokens = np.memmap(spool, dtype=tokenizer.dtype, mode="r")
    for split in SPLITS:
        _lay_out(folder / f"{split}.npy", tokens, [piece for piece in pieces if piece.split == split])
    spool.unlink()
    counts = {split: _counts([piece for piece in pieces if piece.split == split]) for split in SPLITS}
    return {"duplicates_dropped": unique.duplicates, "splits": counts}


class _Unique:
    """Documents with their digests, without those whose text came before; counts the ones left out."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._documents = documents
        self.duplicates = 0

    def __iter__(self) -> Iterator[tuple[Document, bytes]]:
        seen: set[bytes] = set()
        for document in self._documents:
            digest = document_digest(document.text)
            if digest in seen:
                self.duplicates += 1
                continue
            seen.add(digest)
            yield document, digest


def _spool(spool: Path, documents: Iterable[tuple[Document, bytes]], tokenizer: Tokenizer, config: DataConfig) -> Iterator[_Piece]:
    start, source = 0, iter(documents)
    with spool.open("wb") as stream:
        while batch := list(islice(source, _BATCH_DOCUMENTS)):
            encoded = tokenizer.encode_batch([document.text for document, _ in batch])
            for (document, digest), ids in zip(batch, encoded, strict=True):
                tokens = np.append(ids, tokenizer.dtype.type(tokenizer.end_of_text))
                stream.write(tokens.tobytes())
                split = "validation" if is_validation(digest, config.validation_fraction) else "train"
                size = len(document.text.encode())
                yield _Piece(split, order_key(digest, config.seed), document.subset, start, tokens.size, size)
                start += tokens.size


def _lay_out(path: Path, tokens: TokenArray, pieces: list[_Piece]) -> None:
    header = {"descr": tokens.dtype.str, "fortran_order": False, "shape": (sum(piece.token_count for piece in pieces),)}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for piece in pieces:
            stream.write(tokens[piece.start : piece.start + piece.token_count].tobytes())


def _counts(pieces: list[_Piece]) -> dict[str, Any]:
    subsets = sorted({piece.subset for piece in pieces})
    by_subset = {subset: _sums([piece for piece in pieces if piece.subset == subset]) for subset in subsets}
    return {**_sums(pieces), "subsets": by_subset}


def _sums(pieces: list[_Piece]) -> dict[str, int]:
    return {
        "documents": len(pieces),
        "tokens": sum(piece.token_count for piece in pieces),
        "bytes": sum(piece.byte_count for piece in pieces),
    }
