"""A source to the files of a token store, in a folder that is put in place when all is there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from star_search.config import DataConfig
from star_search.data.files import write_json
from star_search.data.fingerprint import fingerprint_of
from star_search.data.layout import Layout
from star_search.data.preparation import Preparation, Report
from star_search.data.sources import SourceFile
from star_search.data.tokenise import ChunkTokeniser
from star_search.data.tokenizer import Tokenizer
from star_search.errors import InputError
from star_search.processes import available_cores

_INDEX = "index.json"
_PARTS = "parts"
# Below this many bytes on disk a second process takes longer to start than it saves.
_BYTES_PER_PROCESS = 4_000_000


def build(
    folder: Path,
    config: DataConfig,
    tokenizer: Tokenizer,
    files: list[SourceFile],
    determines: dict[str, Any],
    processes: int | None,
    report: Report,
) -> None:
    """Write parts, then shards and tables, then the index; parts of this fingerprint that are there already are used.

    Raises:
        InputError: for a source that is damaged or lacks a subset.
        StarSearchError: when the hub or a process fails.
        OSError: when the folder cannot be written.
    """
    fingerprint = fingerprint_of(determines)
    parts = _own_parts(folder, fingerprint)
    count = processes or _processes(tokenizer, files)
    preparation = Preparation(config, files, ChunkTokeniser(config, tokenizer, parts), count, report)
    preparation.run()
    counts = Layout(preparation.parts, parts, folder, tokenizer, config).write()
    if not any(split["documents"] for split in counts["splits"].values()):
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(preparation.damages.counts.items()))
        raise InputError(f"data.source {config.source} has no document left; what was skipped: {kinds or 'nothing'}")
    header = {
        "fingerprint": fingerprint,
        "source": config.source,
        "held_out_source": config.held_out_source,
        "commits": sorted({file.commit for file in files if file.commit}),
        "tokenizer": tokenizer.name,
        "token_bytes": tokenizer.dtype.itemsize,
        "determines": determines,
    }
    skipped = {"skipped": dict(sorted(preparation.damages.counts.items())), "skipped_first": preparation.damages.named}
    write_json(folder / _INDEX, header | counts | skipped)


def _own_parts(folder: Path, fingerprint: str) -> Path:
    """Return the folder of this fingerprint's parts; whatever a build of another text or tokenizer left is deleted."""
    parts = folder / _PARTS / fingerprint[:16]
    if not parts.exists():
        remove_parts(folder)
        for left_over in folder.glob("*.*"):
            left_over.unlink()
        parts.mkdir(parents=True)
    return parts


def read_index(folder: Path) -> dict[str, Any] | None:
    """Return the index of the store in a folder, nothing where there is none that can be read."""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return index if isinstance(index, dict) and isinstance(index.get("determines"), dict) else None


def remove_parts(folder: Path) -> None:
    """Delete what is not needed once the index is written."""
    if (folder / _PARTS).exists():
        shutil.rmtree(folder / _PARTS)


def _processes(tokenizer: Tokenizer, files: list[SourceFile]) -> int:
    if tokenizer.name == "bytes":
        return 1
    return max(1, min(available_cores(), sum(file.size for file in files) // _BYTES_PER_PROCESS))
