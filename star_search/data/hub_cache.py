"""Data sets that the hub's own client has downloaded before: their files in its cache, for work without a connection."""

from __future__ import annotations

import re
from hashlib import file_digest
from pathlib import Path

from star_search.data.sources import HUB_SCHEME, SourceFile

_FILE = re.compile(rf"{HUB_SCHEME}datasets/(?P<repository>[^/]+/[^/]+)@(?P<commit>[^/]+)/(?P<path>.+)")


def downloaded_copy(file: SourceFile) -> Path | None:
    """Return where a file on the hub lies in the client's cache, whole and at the same commit; nothing when it does not."""
    from huggingface_hub import try_to_load_from_cache

    match = _FILE.fullmatch(file.address)
    assert match is not None
    found = try_to_load_from_cache(match["repository"], match["path"], revision=match["commit"], repo_type="dataset")
    path = Path(found) if isinstance(found, str) else None
    return path if path is not None and path.stat().st_size == file.size else None


def downloaded_files(repository: str, revision: str) -> tuple[str, list[SourceFile]] | None:
    """Return the commit of a downloaded revision and all its files there, sorted by path; nothing when it was never downloaded."""
    from huggingface_hub import errors, snapshot_download

    try:
        folder = Path(snapshot_download(repository, repo_type="dataset", revision=revision, local_files_only=True))
    except errors.LocalEntryNotFoundError:
        return None
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return folder.name, [_source_file(path, path.relative_to(folder).as_posix(), repository, folder.name) for path in paths]


def _source_file(path: Path, name: str, repository: str, commit: str) -> SourceFile:
    return SourceFile(f"{HUB_SCHEME}datasets/{repository}@{commit}/{name}", name, path.stat().st_size, _identity(path))


def _identity(path: Path) -> str:
    """Return the file's object id on the hub: the client links to a file of that name, or, where it cannot link, holds a copy."""
    if path.is_symlink():
        return path.resolve().name
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()
