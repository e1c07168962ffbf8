"""Documents from JSON-lines files in the layout of the RedPajama sample, read through `datasets`."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import escape, glob
from pathlib import Path
from tempfile import TemporaryDirectory

import zstandard

from star_search.config import DataConfig
from star_search.errors import InputError

EMBEDDED_FOLDER = Path(__file__).parent / "embedded"
SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
_SUFFIX_LIST = ".jsonl, .jsonl.gz or .jsonl.zst"


@dataclass(frozen=True)
class Document:
    """One text and the subset that it belongs to."""

    text: str
    subset: str


def source_files(source: str) -> list[Path]:
    """Return the files of `embedded`, a folder, a glob or one file, sorted by name.

    Raises:
        InputError: when there is none.
    """
    path = EMBEDDED_FOLDER if source == "embedded" else Path(source).expanduser()
    if path.is_dir():
        return _require(_data_files(path.iterdir()), f"data.source {source} is a folder without a {_SUFFIX_LIST} file")
    if path.is_file():
        return _require(_data_files([path]), f"data.source {source} must end in {_SUFFIX_LIST}")
    if any(mark in source for mark in "*?["):
        matches = (Path(match) for match in glob(str(path), recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
        return _require(_data_files(matches), f"data.source {source} matches no {_SUFFIX_LIST} file")
    raise InputError(f"data.source {source} does not exist; give 'embedded', a folder, a glob or a {_SUFFIX_LIST} file")


def read_documents(config: DataConfig) -> Iterator[Document]:
    """Yield the documents of the source's chosen subsets, file by file in the order of their names.

    Raises:
        InputError: naming the file that is empty or damaged, or the subset that the source does not have.
    """
    chosen, present = config.subsets, set()
    for file in source_files(config.source):
        for document in _read_file(file):
            present.add(document.subset)
            if chosen is None or document.subset in chosen:
                yield document
    missing = [subset for subset in chosen or [] if subset not in present]
    if missing or chosen == []:
        wanted = f"names {missing[0]}, which {config.source} does not have" if missing else "is empty"
        raise InputError(f"data.subsets {wanted}; present: {', '.join(sorted(present))}")


def _data_files(paths: Iterable[Path]) -> list[Path]:
    files = [path.absolute() for path in paths if path.name.endswith(SUFFIXES) and path.is_file()]
    return sorted(files, key=lambda file: (file.name, file))


def _require(files: list[Path], problem: str) -> list[Path]:
    if not files:
        raise InputError(problem)
    return files


def _read_file(file: Path) -> Iterator[Document]:
    empty = True
    for number, line in enumerate(_readable_lines(file), start=1):
        if line.strip():
            empty = False
            yield _parse(line, file, number)
    if empty:
        raise InputError(f"{file} holds no documents")


def _parse(line: str, file: Path, number: int) -> Document:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise InputError(f"{file} is damaged: line {number} is not JSON") from None
    text = record.get("text") if isinstance(record, dict) else None
    if not isinstance(text, str):
        raise InputError(f"{file} line {number} has no `text`")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{file} line {number} has a `text` with half of a surrogate pair, which is not Unicode text") from None
    subset = record.get("red_pajama_subset")
    return Document(text, subset if isinstance(subset, str) else _subset_of(file))


def _subset_of(file: Path) -> str:
    return file.name.partition(".jsonl")[0].partition("_sample")[0]


def _readable_lines(file: Path) -> Iterator[str]:
    try:
        if file.stat().st_size:
            _check_frames(file)
            yield from _lines(escape(str(file)))
    except UnicodeDecodeError:
        raise InputError(f"{file} is damaged: it is not UTF-8 text") from None
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise InputError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _check_frames(file: Path) -> None:
    """Refuse a cut-off `.zst` file, or one of several frames: the reader below would silently stop early."""
    if file.suffix != ".zst":
        return
    frame = zstandard.ZstdDecompressor().decompressobj()
    with file.open("rb") as stream:
        while not frame.eof and (piece := stream.read(1 << 20)):
            frame.decompress(piece)
        if not frame.eof:
            raise InputError(f"{file} is damaged: its zst frame is cut off")
        if frame.unused_data or stream.read(1):
            raise InputError(f"{file} holds more than one zst frame; compress it again as one")


def _lines(data_files: str) -> Iterator[str]:
    """Yield the lines of what `datasets` finds under a path, without a trace on disk."""
    # The JSON builder rewrites a `text` that looks like a date and breaks where `meta` changes its type, so lines are read as they are.
    import datasets

    with _silence(), TemporaryDirectory() as folder:
        rows = datasets.load_dataset("text", data_files=[data_files], split="train", streaming=True, encoding="utf-8-sig", cache_dir=folder)
    for row in rows:
        yield row["text"]


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
