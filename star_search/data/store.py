"""The token store: a corpus tokenised once and kept under the fingerprint of all that determines it."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from star_search.config import DataConfig
from star_search.data.building import build, read_index, remove_parts
from star_search.data.corpus import source_files
from star_search.data.fingerprint import content_identity, determines_of, fingerprint_of
from star_search.data.preparation import Report
from star_search.data.sources import SourceFile
from star_search.data.tokenizer import Tokenizer, load_tokenizer
from star_search.data.tokens import SplitTokens
from star_search.errors import InputError, StarSearchError, refused_write
from star_search.paths import expanded

# What reading a file that is missing, cut off or changed raises.
_DAMAGE = (OSError, EOFError, ValueError, LookupError, TypeError)


@dataclass(frozen=True, eq=False)
class TokenStore:
    """The tokens of a corpus on disk, each document followed by the end of text."""

    folder: Path
    fingerprint: str
    tokenizer: Tokenizer
    train: SplitTokens = field(repr=False)
    validation: SplitTokens = field(repr=False)
    index: dict[str, Any] = field(repr=False)

    @cached_property
    def test(self) -> SplitTokens:
        """The split that no search reads; its files are opened when this is first asked for.

        Raises:
            InputError: when one is damaged.
        """
        try:
            return _open_split(self.folder, "test", self.index, self.tokenizer)
        except _DAMAGE as error:
            raise InputError(f"the token store {self.folder} is damaged ({error}); once it is deleted, it is made again") from None

    @property
    def vocabulary_size(self) -> int:
        """How many ids the tokenizer has."""
        return self.tokenizer.vocabulary_size

    @property
    def subsets(self) -> list[str]:
        """Names of the subsets, in the order that tables of documents count them."""
        return list(self.index["subsets"])

    def split(self, name: str) -> SplitTokens:
        """Return the tokens of `train`, `validation` or `test`."""
        return self.test if name == "test" else {"train": self.train, "validation": self.validation}[name]

    def text_bytes(self, split: str, tokens: NDArray[np.integer[Any]], subsets: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Return how many bytes of text these tokens stand for, by the subset of each: [subsets]; the end of text stands for none.

        Bytes are those of the text as it was read. Where the tokenizer normalises, so that its tokens stand for other bytes, these are
        scaled by the ratio of the two over the split's subset.
        """
        counts = self.index["splits"][split]["subsets"]
        ratios = [counts[name]["bytes"] / max(1, counts[name]["token_bytes"]) if name in counts else 1.0 for name in self.subsets]
        spelt = np.bincount(subsets, self.tokenizer.bytes_per_token[tokens], len(ratios))
        return np.rint(spelt * ratios).astype(np.int64)


def prepare(
    config: DataConfig,
    cache_folder: Path | None = None,
    processes: int | None = None,
    report: Report = lambda done, tokens: None,
    refresh: bool = False,
) -> TokenStore:
    """Return the tokens of a corpus, made first where they are not there yet; a kill loses at most the parts in work.

    `processes` tokenise, as many as there are cores and work for by default. `refresh` looks again at what the hub has.

    Raises:
        InputError: when the source or the tokenizer cannot be used, or a store is another's.
        StarSearchError: when the hub cannot be reached, or the folder cannot be written.
    """
    place = _Place.of(config, cache_folder or default_cache_folder(), refresh)
    store = place.open()
    if store is None:
        with place.locked():
            store = place.open() or place.build(processes, report)
    return store


def find(config: DataConfig, cache_folder: Path | None = None) -> TokenStore | None:
    """Return the tokens of a corpus if they are there."""
    return _Place.of(config, cache_folder or default_cache_folder(), refresh=False).open()


def validation_tokens(config: DataConfig, fingerprint: str, cache_folder: Path | None = None) -> SplitTokens | None:
    """Return the validation tokens of the store with this fingerprint, nothing where it is not there whole; its source is not looked at."""
    folder = (cache_folder or default_cache_folder()) / fingerprint if config.store is None else Path(config.store)
    index = read_index(folder)
    try:
        if index is None or index["fingerprint"] != fingerprint:
            return None
        count, dtype = index["splits"]["validation"]["tokens"], np.dtype(f"u{index['token_bytes']}")
        return SplitTokens(folder, "validation", count, dtype, index["shard_tokens"])
    except _DAMAGE:
        return None


def default_cache_folder() -> Path:
    """Return `$STAR_SEARCH_CACHE`, or `star-search` under `$XDG_CACHE_HOME` or `~/.cache`."""
    if folder := os.environ.get("STAR_SEARCH_CACHE"):
        return expanded(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "star-search"


@dataclass(frozen=True)
class _Place:
    """Where the store of a configuration lies, or is to lie, and what determines it."""

    folder: Path
    cache_folder: Path
    config: DataConfig
    tokenizer: Tokenizer
    files: list[SourceFile]
    determines: dict[str, Any]

    @classmethod
    def of(cls, config: DataConfig, cache_folder: Path, refresh: bool) -> _Place:
        """Look up the sources' files; a store that `data.store` names, and that was made of them, can do without."""
        tokenizer = load_tokenizer(config.tokenizer)
        recorded = None if config.store is None else read_index(Path(config.store))
        try:
            files = source_files(config, cache_folder, refresh)
            named = [[file.name, content_identity(file, cache_folder), file.held_out] for file in files]
        except StarSearchError:
            if recorded is None or not _made_of(recorded, config):
                raise
            files, named = [], recorded["determines"]["files"]
        determines = determines_of(config, tokenizer, named)
        folder = cache_folder / fingerprint_of(determines) if config.store is None else Path(config.store)
        return cls(folder, cache_folder, config, tokenizer, files, determines)

    @property
    def fingerprint(self) -> str:
        """What the store's is to be."""
        return fingerprint_of(self.determines)

    @property
    def _building(self) -> Path:
        return self.folder.parent / f".{self.folder.name}.building"

    def open(self) -> TokenStore | None:
        """Return the store, or nothing when it is missing, or damaged where it can be made again.

        Raises:
            InputError: when what lies there is no store, a damaged one that `data.store` names, or another's.
        """
        index = read_index(self.folder)
        try:
            if index is None:
                self._refuse_foreign()
                return None
            self._check_fingerprint(index)
            train, validation = (_open_split(self.folder, split, index, self.tokenizer) for split in ("train", "validation"))
        except _DAMAGE as error:
            if self.config.store is not None:
                raise InputError(f"data.store {self.folder} is damaged ({error}); once it is deleted, it is made again") from None
            return None
        return TokenStore(self.folder, self.fingerprint, self.tokenizer, train, validation, index)

    def _refuse_foreign(self) -> None:
        there = self.config.store is not None and self.folder.exists()
        if there and not (self.folder.is_dir() and not any(self.folder.iterdir())):
            raise InputError(f"data.store {self.folder} exists and is no token store")

    def _check_fingerprint(self, index: dict[str, Any]) -> None:
        there, own = str(index["fingerprint"]), fingerprint_of(index["determines"])
        if there != own:
            raise InputError(
                f"the token store {self.folder} says that its fingerprint is {there[:16]}, and what it records comes to {own[:16]}"
            )
        if there != self.fingerprint:
            changed = ", ".join(key for key, value in self.determines.items() if index["determines"].get(key) != value)
            raise InputError(
                f"the token store {self.folder} has the fingerprint {there[:16]}, and this configuration and its source come to "
                f"{self.fingerprint[:16]}; what differs: {changed}"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from building the same store; one that finds it in work waits until it is done, or goes on with it."""
        try:
            with self._lock():
                yield
        except OSError as error:
            if self.config.store is not None:
                raise refused_write(error, f"data.store {self.folder} cannot be written: {error.strerror or error}") from None
            sentence = f"the token cache {self.folder.parent} cannot be written ({error.strerror or error})"
            raise refused_write(error, f"{sentence}; set STAR_SEARCH_CACHE to a folder that can") from None

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with self._own_lock_file():
            yield
            # Nothing is left of a folder that was made to wait in; a build has renamed its own.
            shutil.rmtree(self._building, ignore_errors=True)

    def _own_lock_file(self) -> IO[str]:
        """Return the lock file, open and locked, of the folder that is there now: a builder that is done or refused takes its own away."""
        path = self._building / "lock"
        while True:
            self._building.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError), ExitStack() as stack:
                stream = stack.enter_context(path.open("w"))
                fcntl.flock(stream, fcntl.LOCK_EX)
                if os.path.samestat(os.fstat(stream.fileno()), path.stat()):
                    stack.pop_all()
                    return stream

    def build(self, processes: int | None, report: Report) -> TokenStore:
        """Make the store; what a killed process left is used."""
        index = read_index(self._building)
        if index is None or index.get("fingerprint") != self.fingerprint:
            try:
                build(self._building, self.config, self.tokenizer, self.files, self.determines, processes, report)
                self._refuse_changed()
            except InputError:
                # Whatever mends it changes the fingerprint: nobody would come back to these parts.
                shutil.rmtree(self._building, ignore_errors=True)
                raise
        remove_parts(self._building)
        self._publish()
        store = self.open()
        if store is None:
            raise StarSearchError(f"the token store {self.folder} was damaged while it was written; run the command again")
        return store

    def _refuse_changed(self) -> None:
        """Refuse tokens of files that are not what they were: they would stand under the fingerprint of what the files held before."""
        for file, (_, identity, _) in zip(self.files, self.determines["files"], strict=True):
            if content_identity(file, self.cache_folder) != identity:
                raise InputError(f"{file.address} changed while it was read; run the command again")

    def _publish(self) -> None:
        if self.folder.exists() and any(self.folder.iterdir()):
            if self.config.store is not None:
                raise InputError(
                    f"data.store {self.folder} was filled while the text was prepared; once it is empty, the same command goes on"
                )
            # A damaged store is in the way; whoever has it open keeps it.
            damaged = self.folder.parent / f".{self.folder.name}.damaged"
            shutil.rmtree(damaged, ignore_errors=True)
            self.folder.rename(damaged)
            shutil.rmtree(damaged)
        self._building.rename(self.folder)
        (self.folder / "lock").unlink()


def _made_of(index: dict[str, Any], config: DataConfig) -> bool:
    """Return whether a store was made of the sources that a configuration names, whatever they hold now."""
    held_out = index.get("held_out_source", config.held_out_source)
    return (index["source"], held_out) == (config.source, config.held_out_source)


def _open_split(folder: Path, split: str, index: dict[str, Any], tokenizer: Tokenizer) -> SplitTokens:
    tokens, shard_tokens = index["splits"][split]["tokens"], index["shard_tokens"]
    if not index["subsets"] or "skipped" not in index:
        raise ValueError("its index names no subsets or not what was skipped")
    if any("token_bytes" not in counts for counts in index["splits"][split]["subsets"].values()):
        raise ValueError("its index does not count the bytes of its tokens")
    return SplitTokens(folder, split, tokens, tokenizer.dtype, shard_tokens)
