"""Rows of source files, read through `datasets` as they stream and handed on in chunks; nothing of them is looked into here."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import zstandard

from star_search.data.hub import hub_errors
from star_search.data.hub_cache import downloaded_copy
from star_search.data.sources import SourceFile
from star_search.data.zst import ZstReader

if TYPE_CHECKING:
    import pyarrow

CHUNK_BYTES = 4 << 20
CHUNK_ROWS = 1 << 20
_TRIES = 4
_ROWS = 16
_Row: TypeAlias = tuple[bytes | None, bytes | None]
SUBSET_FIELD = "red_pajama_subset"
# Of a line of JSON, at most six bytes stand for one of its text; what else it holds has room beside.
_LINE_BYTES_PER_TEXT_BYTE = 8
_SHORTEST_LIMIT = 64_000_000
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass
class Chunk:
    """Some rows of a file, `CHUNK_BYTES` or `CHUNK_ROWS` of them: JSON lines or texts as bytes, and the subset where a table names it.

    A row is None where a table holds none, and where a line or text is longer than `longest_row`.
    """

    file: SourceFile
    number: int = 0
    first_row: int = 0
    rows: list[bytes | None] = field(default_factory=list)
    subsets: list[bytes | None] = field(default_factory=list)
    size: int = 0

    def add(self, row: bytes | None, subset: bytes | None) -> None:
        """Append a row."""
        self.rows.append(row)
        self.subsets.append(subset)
        self.size += len(row or b"")

    def next(self) -> Chunk:
        """Return the empty chunk that follows."""
        return Chunk(self.file, self.number + 1, self.first_row + len(self.rows))


class Unreadable(Exception):
    """A file that cannot be read to its end, or holds nothing; `kind` is one of `DamageConfig`, `row` the first row not read."""

    def __init__(self, kind: str, reason: str, row: int) -> None:
        super().__init__(kind, reason, row)
        self.kind, self.reason, self.row = kind, reason, row


def longest_row(file: SourceFile, longest_document_bytes: int) -> int:
    """Return the bytes of the longest line or text that is held in memory; a longer one is too long whatever else it says."""
    if file.layout == "text":
        return longest_document_bytes + len(_BYTE_ORDER_MARK)
    return max(_LINE_BYTES_PER_TEXT_BYTE * longest_document_bytes, _SHORTEST_LIMIT)


def read_chunks(file: SourceFile, text_field: str, longest_document_bytes: int) -> Iterator[Chunk]:
    """Yield a file's rows; which rows stand in which chunk depends on the file and the limit alone.

    Raises:
        Unreadable: when the file is cut off, damaged, of another schema or without rows; what was read before is yielded first.
        StarSearchError: when the hub does not give the file.
    """
    chunk, damage = Chunk(file), None
    for row in _rows_or_damage(file, text_field, longest_row(file, longest_document_bytes)):
        if isinstance(row, Unreadable):
            damage = row
        else:
            chunk.add(*row)
        if chunk.size >= CHUNK_BYTES or len(chunk.rows) >= CHUNK_ROWS:
            yield chunk
            chunk = chunk.next()
    if chunk.rows:
        yield chunk
    if damage is not None:
        raise damage


def _rows_or_damage(file: SourceFile, text_field: str, longest: int) -> Iterator[_Row | Unreadable]:
    """Yield a file's rows, and at the end what is wrong with it."""
    count = 0
    try:
        for row in _rows(file, text_field, longest):
            yield row
            count += 1
    except Unreadable as damage:
        yield damage
    except _damages() as error:
        yield Unreadable("unreadable", f"cannot be read: {getattr(error, 'strerror', None) or _first_line(error)}", count)
    else:
        if not count:
            yield Unreadable("unreadable", "holds no documents", 0)


def _damages() -> tuple[type[Exception], ...]:
    import pyarrow

    # gzip reports a bad header and a bad checksum as an OSError; those of the hub are StarSearchErrors by now.
    return (EOFError, OSError, zlib.error, zstandard.ZstdError, pyarrow.ArrowException)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _rows(file: SourceFile, text_field: str, longest: int) -> Iterator[_Row]:
    """Yield each row's bytes, without a byte order mark, and its subset where a table has the column."""
    if file.is_remote:
        if copy := downloaded_copy(file):
            yield from _rows_at(replace(file, address=str(copy)), text_field, longest)
        else:
            with hub_errors(file.address):
                yield from _rows_at(file, text_field, longest)
    elif file.size:
        yield from _rows_at(file, text_field, longest)


def _rows_at(file: SourceFile, text_field: str, longest: int) -> Iterator[_Row]:
    return _table_rows(file, text_field) if file.layout == "table" else _byte_rows(file, longest)


def _byte_rows(file: SourceFile, longest: int) -> Iterator[_Row]:
    from star_search.data.builder import Bytes

    with _silence(), _temporary_cache() as cache:
        builder = Bytes(data_files=[file.pattern], whole=file.layout == "text", longest=longest, cache_dir=cache)
        rows = builder.as_streaming_dataset(split="train")
    at_start = True
    for batch in _batches(rows):
        for row in batch.column("row").to_pylist():
            yield row.removeprefix(_BYTE_ORDER_MARK) if at_start and row else row, None
            at_start = False


def _table_rows(file: SourceFile, text_field: str) -> Iterator[_Row]:
    import pyarrow

    try:
        features = _table(file).features
    except pyarrow.ArrowException:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # Of what `datasets` finds in the metadata, it checks nothing.
        raise Unreadable("other_schema", f"has a schema that cannot be read: {_first_line(error)}", 0) from None
    if not _is_text(features.get(text_field)):
        raise Unreadable("other_schema", f"has no column `{text_field}` of text; its columns: {', '.join(features)}", 0)
    named = _is_text(features.get(SUBSET_FIELD))
    columns = list(dict.fromkeys([text_field, SUBSET_FIELD] if named else [text_field]))
    for batch in _batches(_table(file, columns=columns, batch_size=_ROWS)):
        texts, *subsets = (batch.column(name).cast(pyarrow.large_binary()).to_pylist() for name in columns)
        yield from zip(texts, (subsets or [texts])[0] if named else [None] * len(texts), strict=True)


def _is_text(feature: Any) -> bool:
    return getattr(feature, "dtype", None) in ("string", "large_string", "string_view")


def _table(file: SourceFile, **options: Any) -> Any:
    import datasets

    with _silence(), _patience(), _temporary_cache() as cache:
        return datasets.load_dataset("parquet", data_files=[file.pattern], split="train", streaming=True, cache_dir=cache, **options)


def _batches(rows: Any) -> Iterator[pyarrow.Table]:
    batches = iter(rows.with_format("arrow").iter(batch_size=_ROWS))
    while True:
        with _patience():
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


@contextmanager
def _patience() -> Iterator[None]:
    """Bound what a dead connection costs until the block ends: each try of `datasets` is six of the hub's client, some 28 seconds."""
    from datasets import config

    before = config.STREAMING_READ_MAX_RETRIES
    config.STREAMING_READ_MAX_RETRIES = min(before, _TRIES)
    try:
        yield
    finally:
        config.STREAMING_READ_MAX_RETRIES = before


@contextmanager
def _temporary_cache() -> Iterator[str]:
    """Give `datasets` a folder that is gone when the block ends, and have fsspec read `.zst` files by `ZstReader`."""
    from fsspec.compression import register_compression

    # The reader that fsspec brings ends silently at the end of the first frame, and at the cut of a cut-off one.
    register_compression("zstd", _open_zst, "zst", force=True)
    with TemporaryDirectory() as folder:
        yield folder


def _open_zst(stream: IO[bytes], mode: str = "rb") -> IO[bytes]:
    return io.BufferedReader(ZstReader(stream))


@contextmanager
def _silence() -> Iterator[None]:
    """Keep `datasets` from printing, and from reporting each load to its servers, until the block ends."""
    from datasets import config
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, logging

    before = are_progress_bars_disabled(), logging.get_verbosity(), config.HF_UPDATE_DOWNLOAD_COUNTS
    disable_progress_bars()
    logging.set_verbosity(logging.CRITICAL)
    config.HF_UPDATE_DOWNLOAD_COUNTS = False
    try:
        yield
    finally:
        if not before[0]:
            enable_progress_bars()
        logging.set_verbosity(before[1])
        config.HF_UPDATE_DOWNLOAD_COUNTS = before[2]
