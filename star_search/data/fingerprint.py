"""What determines a token store, and the fingerprint of it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from star_search.config import DataConfig
from star_search.data.files import write_json
from star_search.data.mixture import Mixture
from star_search.data.sources import SourceFile
from star_search.data.split import SPLIT_VERSION
from star_search.data.tokenizer import Tokenizer
from star_search.errors import InputError

SCHEMA_VERSION = 3
_LARGE_BYTES = 32_000_000


def determines_of(config: DataConfig, tokenizer: Tokenizer, files: list[list[Any]]) -> dict[str, Any]:
    """Return all that determines the tokens; of each file its name, what its content is known by, and whether it is held out."""
    mixture = Mixture.from_config(config)
    return {
        "schema_version": SCHEMA_VERSION,
        "split_version": SPLIT_VERSION,
        "files": files,
        "text_field": config.text_field,
        "subsets": None if mixture.names is None else list(mixture.names),
        "shares": mixture.shares,
        "tokens": config.tokens,
        "tokenizer": tokenizer.fingerprint,
        "validation_fraction": config.validation_fraction,
        "test_fraction": config.test_fraction,
        "longest_document_bytes": config.longest_document_bytes,
        "damaged": config.damaged.model_dump(),
        "seed": config.seed,
    }


def fingerprint_of(determines: dict[str, Any]) -> str:
    """Return the fingerprint of what determines a store."""
    return sha256(json.dumps(determines).encode()).hexdigest()


def check_same_text(before: str, now: str, place: Path) -> None:
    """Refuse to go on with what lies in a place and was made from another text.

    Raises:
        InputError: naming both fingerprints.
    """
    if before != now:
        raise InputError(f"the text of {place} has changed: its fingerprint was {before[:12]} and is now {now[:12]}")


def content_identity(file: SourceFile, cache_folder: Path) -> str:
    """Return what a file's content is known by: on the hub its object id there, on disk its sha256.

    That of a large file is kept in the cache with its size and time, so that workers do not read a corpus to open its tokens.

    Raises:
        InputError: when it cannot be read.
    """
    if file.identity:
        return file.identity
    try:
        state = Path(file.address).stat()
        if state.st_size < _LARGE_BYTES:
            return _sha256(file.address)
        kept = cache_folder / "hashes" / f"{sha256(os.fsencode(file.address)).hexdigest()[:32]}.json"
        seen = {"size": state.st_size, "modified_ns": state.st_mtime_ns}
        known = _read(kept)
        if {name: known.get(name) for name in seen} != seen:
            known = seen | {"sha256": _sha256(file.address)}
            with suppress(OSError):  # In a cache that is read alone, it is found anew each time.
                write_json(kept, known)
        return str(known["sha256"])
    except OSError as error:
        raise InputError(f"{file.address} cannot be read: {error.strerror or error}") from None


def _sha256(address: str) -> str:
    with Path(address).open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _read(kept: Path) -> dict[str, Any]:
    try:
        known = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
