"""Data sets on the hub: their files at one commit, looked up once and then kept, and what its refusals mean."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote

from star_search.data.files import write_json
from star_search.data.hub_cache import downloaded_files
from star_search.data.sources import HUB_SCHEME, SUFFIX_LIST, SUFFIXES, SourceFile, one_kind, usable
from star_search.errors import InputError, StarSearchError

_ADDRESS = re.compile(r"hf://datasets/(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[^/]+))?(/(?P<pattern>.+))?")
_FORM = "hf://datasets/OWNER/NAME, with @REVISION and /FILE, /FOLDER or /GLOB where wanted"


@dataclass(frozen=True)
class HubListing:
    """The data files of a source on the hub, at the commit that they were seen at."""

    source: str
    commit: str
    files: list[SourceFile]


class _Unreachable(StarSearchError):
    """The hub gave no answer at all; what it answers with a refusal is none of these."""


def hub_files(source: str, cache_folder: Path, refresh: bool = False) -> HubListing:
    """Return the files that a source names. A listing once made is kept: a run goes on with the commit that it began with.

    Without a connection they are those of the listing that the hub's client keeps beside what it downloads.

    Raises:
        InputError: for an address that cannot be read, a data set that is not there or not open, or one without data files.
        StarSearchError: when the hub refuses, or cannot be reached and the client keeps no listing.
    """
    kept = cache_folder / "hub" / f"{sha256(source.encode()).hexdigest()[:32]}.json"
    listing = None if refresh else _read(kept)
    if listing is None:
        try:
            listing = _list(source)
        except _Unreachable:
            listing = _downloaded(source)
            if listing is None:
                raise
        else:
            write_json(kept, asdict(listing))
    return listing


@contextmanager
def hub_errors(what: str) -> Iterator[None]:
    """Turn what the hub's client raises inside the block into one sentence about `what`."""
    from huggingface_hub import errors

    try:
        yield
    except gzip.BadGzipFile:  # The file was had, and is damaged.
        raise
    except errors.OfflineModeIsEnabled:
        raise _Unreachable(f"{what} is not in the cache, and the hub is off limits: HF_HUB_OFFLINE is set") from None
    except errors.LocalEntryNotFoundError:
        raise _Unreachable(f"{what} is not in the cache, and the hub cannot be reached") from None
    except errors.HfHubHTTPError as error:
        code = error.response.status_code if error.response is not None else 0
        raise _refusal(what, code, error) from None
    except (errors.EntryNotFoundError, FileNotFoundError):
        raise InputError(f"{what} is not on the hub (404)") from None
    except _unreachable() as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise _Unreachable(f"{what} cannot be had from the hub: {reason}; the same command goes on") from None


def _refusal(what: str, code: int, error: Exception) -> StarSearchError:
    if code in (401, 403):
        return InputError(
            f"{what} is not open to you ({code}): set HF_TOKEN to a token that may read it; a misspelt name is answered so too"
        )
    if code == 404:
        return InputError(f"{what} is not on the hub (404)")
    return StarSearchError(f"{what} cannot be had from the hub ({str(error).splitlines()[0]}); the same command goes on")


def _unreachable() -> tuple[type[Exception], ...]:
    """Return what is raised where the hub cannot be reached; the HTTP library's name differs between versions of the client."""
    import huggingface_hub.utils._http as client

    library = getattr(client, "httpx2", None) or getattr(client, "httpx", None)
    return (OSError,) if library is None else (OSError, library.TransportError)


def _list(source: str) -> HubListing:
    from huggingface_hub import HfApi, constants
    from huggingface_hub.hf_api import RepoFile

    repository, revision, _ = _address(source)
    hub = HfApi(endpoint=constants.ENDPOINT)
    with hub_errors(f"data.source {source}"):
        commit = str(hub.dataset_info(repository, revision=revision).sha)
        tree = hub.list_repo_tree(repository, revision=commit, recursive=True, repo_type="dataset")
        entries = [entry for entry in tree if isinstance(entry, RepoFile)]
    files = [
        SourceFile(
            f"{HUB_SCHEME}datasets/{repository}@{commit}/{entry.path}",
            entry.path,
            entry.size,
            entry.lfs.sha256 if entry.lfs else entry.blob_id,
        )
        for entry in sorted(entries, key=lambda entry: entry.path)
    ]
    return HubListing(source, commit, _wanted(source, files))


def _downloaded(source: str) -> HubListing | None:
    repository, revision, _ = _address(source)
    there = downloaded_files(repository, revision)
    return None if there is None else HubListing(source, there[0], _wanted(source, there[1]))


def _address(source: str) -> tuple[str, str, str]:
    """Return repository, revision and pattern of a source's address."""
    match = _ADDRESS.fullmatch(source)
    if match is None:
        raise InputError(f"data.source {source} must read {_FORM}")
    return match["repository"], unquote(match["revision"] or "main"), match["pattern"] or "**"


def _wanted(source: str, files: list[SourceFile]) -> list[SourceFile]:
    """Return the data files that the address names, out of all that the data set has."""
    pattern = _address(source)[2]
    wanted = [file for file in files if file.name.endswith(SUFFIXES) and _matches(file.name, pattern)]
    if not wanted:
        raise InputError(f"data.source {source} has no file that ends in {SUFFIX_LIST}")
    is_glob = pattern != "**" and any(mark in pattern for mark in "*?[")
    return usable(wanted if is_glob else one_kind(wanted), source)


def _matches(path: str, pattern: str) -> bool:
    """Tell whether a path is the file, lies in the folder, or matches the glob; `*` stays within a folder, `**` does not."""
    folder = pattern.rstrip("/")
    if path == folder or path.startswith(f"{folder}/"):
        return True
    if "**" not in pattern and path.count("/") != pattern.count("/"):
        return False
    return fnmatchcase(path, pattern.replace("**/", "*").replace("**", "*"))


def _read(kept: Path) -> HubListing | None:
    try:
        values = json.loads(kept.read_text(encoding="utf-8"))
        return HubListing(values["source"], values["commit"], [SourceFile(**file) for file in values["files"]])
    except (OSError, ValueError, KeyError, TypeError):
        return None
