"""From `data.source` to files: the embedded sample, files, folders and globs on disk, data sets on the hub."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from glob import escape, glob
from pathlib import Path, PurePosixPath

from star_search.data.mixture import KNOWN_SUBSETS
from star_search.errors import InputError
from star_search.paths import expanded

EMBEDDED_FOLDER = Path(__file__).parent / "embedded"
HUB_SCHEME = "hf://"
_LAYOUTS = {".jsonl": "lines", ".parquet": "table", ".json": "lines", ".txt": "text"}
_COMPRESSIONS = ("", ".gz", ".zst")
# A table's own columns are compressed.
SUFFIXES = tuple(f"{suffix}{packed}" for suffix, kind in _LAYOUTS.items() for packed in (("",) if kind == "table" else _COMPRESSIONS))
SUFFIX_LIST = ".jsonl, .json, .txt (each also .gz or .zst) or .parquet"
# Where RedPajama keeps lists of addresses, and what RedPajama-Data-V2 keeps beside its documents.
_ADDRESS_FOLDERS = ("urls", "listings")
_OTHER_FOLDERS = ("quality_signals", "duplicates", "minhash")
_LOOKED_AT_BYTES = 4096
# What RedPajama's own files and folders call its subsets.
_OTHER_NAMES = (
    (re.compile(r"cc(_\d{4}-\d{2})?"), "common_crawl"),
    (re.compile(r"books"), "book"),
    (re.compile(r"c4-train\..*"), "c4"),
)


@dataclass(frozen=True)
class SourceFile:
    """One file: what `datasets` opens, its path within the source, its size in bytes, and what its content is known by."""

    address: str
    name: str
    size: int
    identity: str = ""
    held_out: bool = False

    @property
    def is_remote(self) -> bool:
        """Whether it lies on the hub."""
        return self.address.startswith(HUB_SCHEME)

    @property
    def commit(self) -> str:
        """The commit that it is read at, empty on disk."""
        return self.address.partition("@")[2].partition("/")[0] if self.is_remote else ""

    @property
    def pattern(self) -> str:
        """The address as `datasets` takes it, which reads globs."""
        return escape(self.address)

    @cached_property
    def layout(self) -> str:
        """How documents stand in it: `lines` of JSON, a `table`, or as one `text`."""
        return _LAYOUTS[PurePosixPath(self.plain_name).suffix]

    @cached_property
    def compression(self) -> str:
        """The suffix of its compression, empty without one."""
        suffix = PurePosixPath(self.name).suffix
        return suffix if suffix in _COMPRESSIONS else ""

    @property
    def plain_name(self) -> str:
        """The name without the suffix of its compression."""
        return self.name.removesuffix(self.compression)

    @cached_property
    def subset(self) -> str:
        """The subset of documents that name none: RedPajama's, when the path says so, else the file's or a text's folder's name."""
        path = PurePosixPath(self.plain_name)
        if self.declared_subset:
            return self.declared_subset
        if self.layout == "text":
            return path.parent.name or Path(self.address).parent.name
        return path.name.removesuffix(path.suffix).partition("_sample")[0]

    @cached_property
    def declared_subset(self) -> str | None:
        """The subset of RedPajama that the path gives, as in `cc_2019-30_sample.jsonl` and `arxiv/arxiv_1.jsonl`."""
        path = PurePosixPath(self.plain_name)
        stem = path.name.removesuffix(path.suffix).partition("_sample")[0]
        for word in (*reversed(path.parent.parts), stem):
            name = next((subset for pattern, subset in _OTHER_NAMES if pattern.fullmatch(word)), word)
            if name in KNOWN_SUBSETS:
                return name
        return None


def local_files(source: str, key: str = "data.source") -> list[SourceFile]:
    """Return the files of `embedded`, a folder with all below it, a glob or one file, sorted by name; of a folder those of `one_kind`.

    Raises:
        InputError: when there is none that can be used.
    """
    try:
        return usable(_found(source, key), source, key)
    except OSError as error:
        raise InputError(f"{key} {source} cannot be read: {error.strerror}") from None


def _found(source: str, key: str) -> list[SourceFile]:
    path = EMBEDDED_FOLDER if source == "embedded" else expanded(source)
    if path.is_dir():
        return _require(one_kind(_data_files(_below(path), path)), f"{key} {source} is a folder without a file that ends in {SUFFIX_LIST}")
    if path.is_file():
        return _require(_data_files([path], path.parent), f"{key} {source} must end in {SUFFIX_LIST}")
    if any(mark in source for mark in "*?["):
        matches = (Path(match) for match in glob(str(path), recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
        return _require(_data_files(matches, _fixed_part(path)), f"{key} {source} matches no file that ends in {SUFFIX_LIST}")
    raise InputError(
        f"{key} {source} does not exist; give 'embedded', a folder, a glob, a file that ends in {SUFFIX_LIST}, or hf://datasets/OWNER/NAME"
    )


def one_kind(files: list[SourceFile]) -> list[SourceFile]:
    """Return a folder's files of its main kind: beside JSON lines or tables, other JSON and texts are descriptions and licences."""
    files = _documents(files)
    for suffix in _LAYOUTS:
        if kind := [file for file in files if PurePosixPath(file.plain_name).suffix == suffix]:
            return kind
    return []


def _documents(files: list[SourceFile]) -> list[SourceFile]:
    """Return of RedPajama-Data-V2's layout the folders `documents`, of another layout all: the folders beside those hold no text."""
    folders = {file: PurePosixPath(file.name).parents for file in files}
    with_others = {folder.parent for parents in folders.values() for folder in parents if folder.name in _OTHER_FOLDERS}
    documents = [file for file in files if any(folder.name == "documents" and folder.parent in with_others for folder in folders[file])]
    return documents or files


def _below(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _fixed_part(pattern: Path) -> Path:
    parts = pattern.parts
    fixed = next(index for index, part in enumerate(parts) if any(mark in part for mark in "*?["))
    return Path(*parts[:fixed])


def _data_files(paths: Iterable[Path], root: Path) -> list[SourceFile]:
    found = [path for path in paths if path.name.endswith(SUFFIXES) and path.is_file()]
    files = [SourceFile(str(path.absolute()), path.relative_to(root).as_posix(), path.stat().st_size) for path in found]
    return sorted(files, key=lambda file: file.name)


def usable(files: list[SourceFile], source: str, key: str = "data.source") -> list[SourceFile]:
    """Return the files, unless one cannot be named to `datasets`, or lists addresses, as those of RedPajama-Data-1T on the hub do.

    Raises:
        InputError: naming the first such file.
    """
    for file in files:
        if "::" in file.address:
            raise InputError(f"{key} {source} has the file {file.name}, and `::` in a path stands for a file within another; rename it")
        if _lists_addresses(file):
            raise InputError(
                f"{key} {source} lists the addresses of its text ({'/'.join(PurePosixPath(file.address).parts[-2:])}), "
                "which are not followed; give a folder with the text, or hf://datasets/togethercomputer/RedPajama-Data-1T-Sample"
            )
    return files


def _lists_addresses(file: SourceFile) -> bool:
    """Tell whether a text lies where RedPajama keeps its lists and, as far as it is on disk, begins with addresses alone."""
    if file.layout != "text" or PurePosixPath(file.address).parent.name not in _ADDRESS_FOLDERS:
        return False
    if file.is_remote:
        return True
    with Path(file.address).open("rb") as stream:
        lines = [line.split() for line in stream.read(_LOOKED_AT_BYTES).splitlines() if line.strip()]
    return bool(lines) and all(len(words) == 1 and b"/" in words[0] for words in lines)


def _require(files: list[SourceFile], problem: str) -> list[SourceFile]:
    if not files:
        raise InputError(problem)
    return files
