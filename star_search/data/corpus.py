"""Documents out of rows, and what of them is damaged: counted and named, then skipped or refused as `data.damaged` says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from star_search.config import DataConfig
from star_search.data.hub import hub_files
from star_search.data.mixture import Mixture
from star_search.data.reading import SUBSET_FIELD, Chunk, Unreadable, longest_row, read_chunks
from star_search.data.sources import HUB_SCHEME, SourceFile, local_files
from star_search.errors import InputError

NAMED_DAMAGES = 20


@dataclass(frozen=True)
class Document:
    """One text and the subset that it belongs to."""

    text: str
    subset: str


class Damaged(Exception):
    """A row that is no document; `kind` is one of `DamageConfig`."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(kind, reason)
        self.kind, self.reason = kind, reason


@dataclass
class Damages:
    """How much was skipped by kind, and the first few by name; what the configuration refuses is raised instead."""

    config: DataConfig
    counts: Counter[str] = field(default_factory=Counter)
    named: list[str] = field(default_factory=list)

    def add(self, kind: str, sentence: str) -> None:
        """Count one damage.

        Raises:
            InputError: when the configuration refuses its kind.
        """
        if getattr(self.config.damaged, kind) == "refuse":
            raise InputError(f"{sentence}; data.damaged.{kind}: skip passes over it") from None
        self.counts[kind] += 1
        if len(self.named) < NAMED_DAMAGES:
            self.named.append(sentence)

    def merge(self, counts: dict[str, int], named: Iterable[str]) -> None:
        """Add what was skipped elsewhere."""
        self.counts.update(counts)
        self.named.extend(list(named)[: NAMED_DAMAGES - len(self.named)])


def source_files(config: DataConfig, cache_folder: Path, refresh: bool = False) -> list[SourceFile]:
    """Return the files of both sources, the held-out ones first: of equal documents the first is kept.

    Raises:
        InputError: when a source has none.
    """
    held_out = [] if config.held_out_source is None else _files(config.held_out_source, "data.held_out_source", cache_folder, refresh)
    return [
        *(SourceFile(file.address, file.name, file.size, file.identity, held_out=True) for file in held_out),
        *_files(config.source, "data.source", cache_folder, refresh),
    ]


def _files(source: str, key: str, cache_folder: Path, refresh: bool) -> list[SourceFile]:
    return hub_files(source, cache_folder, refresh).files if source.startswith(HUB_SCHEME) else local_files(source, key)


def read_documents(config: DataConfig, cache_folder: Path) -> Iterator[tuple[Document, bool]]:
    """Yield the documents of the chosen subsets, file by file in the order of their names, and whether each is held out.

    Raises:
        InputError: naming the file that is damaged, or the subset that the source does not have.
    """
    mixture, damages, present = Mixture.from_config(config), Damages(config), set[str]()
    for file in source_files(config, cache_folder):
        if file.declared_subset and not mixture.takes(file.declared_subset):
            present.add(file.declared_subset)
            continue
        try:
            for chunk in read_chunks(file, config.text_field, config.longest_document_bytes):
                for document in parse(chunk, config, damages):
                    present.add(document.subset)
                    if mixture.takes(document.subset):
                        yield document, file.held_out
        except Unreadable as error:
            damages.add(error.kind, unreadable_sentence(file, error))
    mixture.check_present(present, config.source, config.tokens)


def unreadable_sentence(file: SourceFile, error: Unreadable) -> str:
    """Return which file is unreadable, from where on, and why."""
    return f"{file.address} {error.reason}" + (f", after {error.row} rows" if error.row else "")


def parse(chunk: Chunk, config: DataConfig, damages: Damages) -> Iterator[Document]:
    """Yield the documents of a chunk; rows that hold none are added to the damages."""
    file, place = chunk.file, "line" if chunk.file.layout == "lines" else "row"
    for index, row in enumerate(chunk.rows):
        if file.layout == "lines" and row is not None and not row.strip():
            continue
        try:
            yield _document(chunk, index, row, config)
        except Damaged as damage:
            where = file.address if file.layout == "text" else f"{file.address} {place} {chunk.first_row + index + 1}"
            damages.add(damage.kind, f"{where} {damage.reason}")


def _document(chunk: Chunk, index: int, row: bytes | None, config: DataConfig) -> Document:
    if row is None and chunk.file.layout == "table":
        raise Damaged("no_text", f"has no `{config.text_field}`")
    if row is None:
        most, limit = longest_row(chunk.file, config.longest_document_bytes), f"{config.longest_document_bytes:,}"
        raise Damaged("too_long", f"is longer than {most:,} bytes, too long for data.longest_document_bytes ({limit})")
    try:
        content = row.decode()
    except UnicodeDecodeError as error:
        raise Damaged("not_utf8", f"is not UTF-8 text (byte {error.start})") from None
    text, named = _fields(content, config.text_field) if chunk.file.layout == "lines" else (content, chunk.subsets[index])
    size = len(row) if text is content else len(text.encode())
    if size > config.longest_document_bytes:
        raise Damaged("too_long", f"has a text of {size:,} bytes, above data.longest_document_bytes ({config.longest_document_bytes:,})")
    if not text:
        raise Damaged("empty", "has an empty text")
    return Document(text, _subset(named, chunk.file))


def _fields(line: str, text_field: str) -> tuple[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise Damaged("not_json", "is not JSON") from None
    text = record.get(text_field) if isinstance(record, dict) else None
    if not isinstance(text, str):
        raise Damaged("no_text", f"has no `{text_field}`")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Damaged("not_utf8", f"has a `{text_field}` with half of a surrogate pair, which is not Unicode text") from None
    return text, record.get(SUBSET_FIELD)


def _subset(named: Any, file: SourceFile) -> str:
    """Return the subset that a document names, or its file's; the path decides where it gives one of RedPajama's."""
    if file.declared_subset or not (isinstance(named, (str, bytes)) and named):
        return file.subset
    try:
        return named.decode() if isinstance(named, bytes) else named.encode().decode()
    except UnicodeError:
        raise Damaged("not_utf8", f"has a `{SUBSET_FIELD}` that is not UTF-8 text") from None
