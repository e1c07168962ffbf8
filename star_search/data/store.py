"""The token store: a corpus tokenised once and cached under the fingerprint of all that determines it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from dataclasses import dataclass, field
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from star_search.config import DataConfig
from star_search.data.corpus import read_documents, source_files
from star_search.data.split import SPLIT_VERSION
from star_search.data.tokenise import SPLITS, write_splits
from star_search.data.tokenizer import TokenArray, Tokenizer, load_tokenizer
from star_search.errors import InputError, StarSearchError

SCHEMA_VERSION = 1
_INDEX = "index.json"


@dataclass(frozen=True, eq=False)
class TokenStore:
    """The tokens of a corpus on disk, each document followed by the end of text."""

    fingerprint: str
    tokenizer: Tokenizer
    train: TokenArray = field(repr=False)
    validation: TokenArray = field(repr=False)
    index: dict[str, Any] = field(repr=False)

    @property
    def vocabulary_size(self) -> int:
        """How many ids the tokenizer has."""
        return self.tokenizer.vocabulary_size

    def byte_count(self, tokens: NDArray[np.integer[Any]]) -> int:
        """Return how many bytes of text these tokens stand for; the end of text stands for none."""
        return int(self.tokenizer.bytes_per_token[tokens].sum())


def prepare(config: DataConfig, cache_folder: Path | None = None) -> TokenStore:
    """Return the tokens of a corpus, from the cache when it has them.

    Raises:
        InputError: when the source or the tokenizer cannot be used.
        StarSearchError: when the cache folder cannot be written.
    """
    tokenizer = load_tokenizer(config.tokenizer)
    fingerprint = _fingerprint(config, tokenizer)
    folder = (cache_folder or default_cache_folder()) / fingerprint
    return _open(folder, tokenizer) or _build(folder, tokenizer, config)


def default_cache_folder() -> Path:
    """Return `$STAR_SEARCH_CACHE`, or `star-search` under `$XDG_CACHE_HOME` or `~/.cache`."""
    if folder := os.environ.get("STAR_SEARCH_CACHE"):
        return Path(folder).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "star-search"


def _fingerprint(config: DataConfig, tokenizer: Tokenizer) -> str:
    determines = {
        "schema_version": SCHEMA_VERSION,
        "split_version": SPLIT_VERSION,
        "files": [[file.name, _file_sha256(file)] for file in source_files(config.source)],
        "subsets": None if config.subsets is None else sorted(set(config.subsets)),
        "tokenizer": tokenizer.fingerprint,
        "validation_fraction": config.validation_fraction,
        "seed": config.seed,
    }
    return sha256(json.dumps(determines).encode()).hexdigest()


def _file_sha256(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from None


def _open(folder: Path, tokenizer: Tokenizer) -> TokenStore | None:
    """Return the store in a folder, or nothing when it is missing or damaged."""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        arrays = {split: _open_array(folder / f"{split}.npy", tokenizer, index["splits"][split]["tokens"]) for split in SPLITS}
        intact = index["fingerprint"] == folder.name
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    return TokenStore(folder.name, tokenizer, arrays["train"], arrays["validation"], index) if intact else None


def _open_array(path: Path, tokenizer: Tokenizer, token_count: int) -> TokenArray:
    tokens: TokenArray = np.load(path, mmap_mode="r" if token_count else None)
    if tokens.shape != (token_count,) or tokens.dtype != tokenizer.dtype:
        raise ValueError(f"{path} is damaged")
    return tokens


def _build(folder: Path, tokenizer: Tokenizer, config: DataConfig) -> TokenStore:
    temporary = folder.parent / f".{folder.name}.{secrets.token_hex(4)}"
    try:
        temporary.mkdir(parents=True)
        header = {"schema_version": SCHEMA_VERSION, "fingerprint": folder.name, "tokenizer": tokenizer.name}
        index = header | write_splits(temporary, read_documents(config), tokenizer, config)
        (temporary / _INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
        _publish(temporary, folder)
    except OSError as error:
        raise StarSearchError(
            f"the token cache {folder.parent} cannot be written ({error.strerror or error}); set STAR_SEARCH_CACHE to a folder that can"
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    store = _open(folder, tokenizer)
    if store is None:
        raise StarSearchError(f"the token cache {folder} was damaged while it was written; run the command again")
    return store


def _publish(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        # A damaged store is in the way, or another process was first. Equal fingerprints mean equal files: each may replace its namesake.
        for name in (*(f"{split}.npy" for split in SPLITS), _INDEX):
            (temporary / name).replace(folder / name)
