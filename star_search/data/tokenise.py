"""A chunk of rows to a part on disk: its tokens, a row of figures per document, and a summary that says the part is whole."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from star_search.config import DataConfig
from star_search.data.corpus import Damages, Document, parse
from star_search.data.files import write_bytes, write_json
from star_search.data.mixture import Mixture, check_count
from star_search.data.reading import Chunk
from star_search.data.split import SPLITS, document_digest, order_key, split_of
from star_search.data.tokenizer import TokenArray, Tokenizer

# Per document: 128 bits of its order key, which equal documents share; where it was read (source file, row); its split and subset;
# how many tokens, the end of text included, begin where in which part; bytes of text.
ROW = np.dtype(
    [
        ("key", "<u8", 2),
        ("read", "<u8"),
        ("start", "<u8"),
        ("part", "<u4"),
        ("tokens", "<u4"),
        ("bytes", "<u4"),
        ("subset", "<u2"),
        ("split", "u1"),
    ]
)
_FILE_SHIFT = 40  # Rows of a file are counted below it, files above.
_BATCH_DOCUMENTS = 64


@dataclass(frozen=True)
class Part:
    """A tokenised chunk: the subsets that its rows count by, tokens of each, all subsets seen, and what was skipped."""

    file: int
    chunk: int
    subsets: list[str]
    tokens: dict[str, int]
    present: list[str]
    skipped: dict[str, int]
    named: list[str]

    @property
    def name(self) -> str:
        """The name of its files, without what they end in."""
        return part_name(self.file, self.chunk)


def part_name(file: int, chunk: int) -> str:
    """Return the name of a part; names sort as parts are read."""
    return f"{file:06d}-{chunk:07d}"


def read_part(folder: Path, name: str) -> Part | None:
    """Return a part that is whole, or nothing."""
    try:
        return Part(**json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


@dataclass
class ChunkTokeniser:
    """Makes parts of chunks, in whichever process it is called."""

    config: DataConfig
    tokenizer: Tokenizer
    folder: Path
    _mixture: Mixture = field(init=False)

    def __post_init__(self) -> None:
        self._mixture = Mixture.from_config(self.config)

    def __call__(self, file: int, chunk: Chunk) -> Part:
        """Tokenise a chunk of the source's file of that number and write its part.

        Raises:
            InputError: for damage that the configuration refuses, or too many subsets.
        """
        damages, present, subsets, tokens = Damages(self.config), set[str](), dict[str, int](), Counter[str]()
        pieces: list[TokenArray] = []
        rows: list[tuple[Any, ...]] = []
        end = np.array([self.tokenizer.end_of_text], self.tokenizer.dtype)
        start, source = 0, self._wanted(parse(chunk, self.config, damages), present)
        while batch := list(islice(source, _BATCH_DOCUMENTS)):
            for document, ids in zip(batch, self.tokenizer.encode_batch([each.text for each in batch]), strict=True):
                read = (file << _FILE_SHIFT) + chunk.first_row + len(rows)
                rows.append(self._row(document, chunk.file.held_out, read, start, len(ids) + 1, subsets))
                pieces += [ids, end]
                start += len(ids) + 1
                tokens[document.subset] += len(ids) + 1
        check_count(len(subsets), self.config.source)
        name = part_name(file, chunk.number)
        flat = np.concatenate([*pieces, end[:0]])
        write_bytes(self.folder / f"{name}.tokens", flat.data)
        write_bytes(self.folder / f"{name}.rows", np.array(rows, ROW).data)
        part = Part(file, chunk.number, list(subsets), dict(tokens), sorted(present), dict(damages.counts), damages.named)
        write_json(self.folder / f"{name}.json", part.__dict__)
        return part

    def _wanted(self, documents: Iterator[Document], present: set[str]) -> Iterator[Document]:
        for document in documents:
            present.add(document.subset)
            if self._mixture.takes(document.subset):
                yield document

    def _row(
        self, document: Document, held_out: bool, read: int, start: int, count_tokens: int, subsets: dict[str, int]
    ) -> tuple[Any, ...]:
        digest = document_digest(document.text)
        split = split_of(digest, self.config, held_out)
        key = struct.unpack(">2Q", order_key(digest, self.config.seed)[:16])
        subset = subsets.setdefault(document.subset, len(subsets))
        return key, read, start, 0, count_tokens, len(document.text.encode()), subset, SPLITS.index(split)


def read_rows(folder: Path, part: Part) -> NDArray[Any]:
    """Return the figures of a part's documents, a writable array of `ROW`."""
    return np.fromfile(folder / f"{part.name}.rows", ROW)
