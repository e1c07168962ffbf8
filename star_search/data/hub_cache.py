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
    """Return the commit of a downloaded revision and all its files there, sorted by path; nothing when the client keeps no listing of it.

    What lies in the client's cache may be a part: only the listing that `snapshot_download` keeps says what the whole is. A listed
    file that was not downloaded is among these, and is missed when it is read.
    """
    import huggingface_hub

    if not hasattr(huggingface_hub, "get_cached_repo_tree"):  # An older client keeps no listing.
        return None
    try:
        entries = huggingface_hub.get_cached_repo_tree(repository, repo_type="dataset", revision=revision)
    except huggingface_hub.errors.CachedRepoTreeNotFoundError:
        return None
    found = {entry.path: huggingface_hub.try_to_load_from_cache(repository, entry.path, None, revision, "dataset") for entry in entries}
    copies = {name: Path(copy) for name, copy in found.items() if isinstance(copy, str)}
    if not copies:
        return None
    name, copy = next(iter(copies.items()))
    commit = copy.parents[name.count("/")].name
    files = [
        SourceFile(
            f"{HUB_SCHEME}datasets/{repository}@{commit}/{entry.path}",
            entry.path,
            entry.size,
            _identity(copies[entry.path]) if entry.path in copies else entry.blob_id,
        )
        for entry in sorted(entries, key=lambda entry: entry.path)
    ]
    return commit, files


def _identity(path: Path) -> str:
    """Return the file's object id on the hub: the client links to a file of that name, or, where it cannot link, holds a copy."""
    if path.is_symlink():
        return path.resolve().name
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()
