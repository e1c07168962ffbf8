"""A source to parts: read in order by this process, tokenised by others, and gone on with after a kill."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from typing import TypeAlias

from star_search.config import DataConfig
from star_search.data.corpus import Damages, unreadable_sentence
from star_search.data.files import write_json
from star_search.data.mixture import Mixture
from star_search.data.pool import Submit, failed, finished, tokenising
from star_search.data.reading import Unreadable, read_chunks
from star_search.data.sources import SourceFile
from star_search.data.tokenise import ChunkTokeniser, Part, part_name, read_part
from star_search.errors import StarSearchError

# Of one byte of rows, how much lies on disk; for the progress bar.
_PACKED = {"": 1.0, ".gz": 0.35, ".zst": 0.27}
_STRETCHES = 8

Report: TypeAlias = Callable[[float, int], None]


@dataclass(frozen=True)
class _FileEnd:
    """A file that was read as far as it goes: how many chunks it came to, and its damage by kind and in words."""

    file: int
    chunks: int
    damage: list[str] | None = None


_Event: TypeAlias = Future[Part] | _FileEnd


@dataclass(eq=False)
class _Group:
    """The files of one subset, as far as paths tell: what is accepted of them, up to `quota` tokens.

    With `weights`, the files mix subsets, and each is to come to its weight of the quota.
    """

    files: list[tuple[int, SourceFile]]
    share: float
    quota: float
    weights: dict[str, float] | None
    tokens: Counter[str] = field(default_factory=Counter)
    bytes_read: float = 0.0

    def is_full(self) -> bool:
        """Whether the quota is there."""
        if self.weights is None:
            return self.tokens.total() >= self.quota
        return all(self.tokens[name] >= weight * self.quota for name, weight in self.weights.items())


@dataclass
class Preparation:
    """The parts of one source, in the tokeniser's folder; `report` hears the share that is done, and how many tokens there are."""

    config: DataConfig
    files: list[SourceFile]
    tokeniser: ChunkTokeniser
    processes: int
    report: Report
    parts: list[Part] = field(default_factory=list)
    present: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.damages, self._mixture = Damages(self.config), Mixture.from_config(self.config)
        self._bytes = sum(file.size for file in self.files) or 1
        self._ends: list[_FileEnd] = []
        self._tokens = 0
        self._groups = self._group_files()

    def run(self) -> None:
        """Make every part that is not there yet; afterwards `parts` are those that the source comes to.

        Which those are depends on the source and the configuration alone: each group's events are taken in the order of its files,
        and what was read ahead beyond its quota is left.

        Raises:
            InputError: for a source that is damaged or lacks a subset.
            StarSearchError: when the hub or a process fails.
        """
        waiting: deque[tuple[_Group, _Event]] = deque()
        ahead = 2 * self.processes if self.processes > 1 else 0
        with tokenising(self.tokeniser, self.processes) as submit:
            for pair in self._events(submit):
                waiting.append(pair)
                while len(waiting) > ahead:
                    self._accept(*waiting.popleft())
            while waiting:
                self._accept(*waiting.popleft())
        self.report(1.0, self._tokens)
        self._mixture.check_present(self.present, self.config.source, self.config.tokens)
        self.parts.sort(key=lambda part: part.name)
        for part in self.parts:
            self.damages.merge(part.skipped, part.named)
        for end in sorted(self._ends, key=lambda end: end.file):
            if end.damage:
                self.damages.add(*end.damage)

    def _group_files(self) -> list[_Group]:
        """Return the files by the subset that their path declares; under a budget, other files in stretches, to be read side by side."""
        stretches = _STRETCHES if self.config.tokens is not None and self._mixture.shares is None else 1
        files: dict[tuple[bool, str | None, int], list[tuple[int, SourceFile]]] = {}
        for number, file in enumerate(self.files):
            subset = file.declared_subset
            if subset is None or self._mixture.takes(subset):
                stretch = number * stretches // len(self.files) if subset is None else 0
                files.setdefault((file.held_out, subset, stretch), []).append((number, file))
            else:
                self.present.add(subset)
        return [self._group(held_out, subset, members) for (held_out, subset, _), members in files.items()]

    def _group(self, held_out: bool, subset: str | None, files: list[tuple[int, SourceFile]]) -> _Group:
        share = max(1, sum(file.size for _, file in files)) / self._bytes
        budget, shares = self.config.tokens, self._mixture.shares
        if held_out or budget is None:
            return _Group(files, share, float("inf"), None)
        if shares is None:
            return _Group(files, share, budget * share, None)
        return _Group(files, share, budget, shares) if subset is None else _Group(files, shares[subset], budget * shares[subset], None)

    def _events(self, submit: Submit) -> Iterator[tuple[_Group, _Event]]:
        """Read the groups side by side, in proportion to their shares, each until it is full or at its end."""
        readers = {group: self._read(group, submit) for group in self._groups}
        while readers := {group: reader for group, reader in readers.items() if not group.is_full()}:
            group = min(readers, key=lambda group: group.bytes_read / group.share)
            try:
                event = next(readers[group], None)
            except StarSearchError as error:  # It matters only if the group is not full by what was read before.
                event = failed(error)
            if event is None:
                del readers[group]
            else:
                yield group, event

    def _read(self, group: _Group, submit: Submit) -> Iterator[_Event]:
        for number, file in group.files:
            if done := self._recorded(number):
                group.bytes_read += file.size / _PACKED.get(file.compression, 1.0)
                yield from done
                continue
            chunks, damage = 0, None
            try:
                for chunk in read_chunks(file, self.config.text_field, self.config.longest_document_bytes):
                    chunks += 1
                    group.bytes_read += chunk.size
                    part = read_part(self.tokeniser.folder, part_name(number, chunk.number))
                    yield submit(number, chunk) if part is None else finished(part)
            except Unreadable as error:
                damage = [error.kind, unreadable_sentence(file, error)]
            yield _FileEnd(number, chunks, damage)

    def _recorded(self, number: int) -> list[_Event]:
        """Return what a file came to when it was read to its end before, nothing when it was not."""
        folder = self.tokeniser.folder
        try:
            end = _FileEnd(**json.loads((folder / f"{number:06d}.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return []
        parts = [part for part in (read_part(folder, part_name(number, chunk)) for chunk in range(end.chunks)) if part is not None]
        return [*map(finished, parts), end] if len(parts) == end.chunks else []

    def _accept(self, group: _Group, event: _Event) -> None:
        if group.is_full():  # Not even a failure counts: how far ahead it was read depends on the processes.
            return
        if isinstance(event, _FileEnd):
            if event.damage:
                Damages(self.config).add(*event.damage)
            self._ends.append(event)
            write_json(self.tokeniser.folder / f"{event.file:06d}.json", asdict(event))
        else:
            part = event.result()
            self.parts.append(part)
            group.tokens.update(part.tokens)
            self.present.update(part.present)
            self._tokens += sum(part.tokens.values())
        self.report(self._done(), self._tokens)

    def _done(self) -> float:
        """Estimate the share of the work that is done; rows of compressed files are known by their size unpacked alone."""
        shares = []
        for group in self._groups:
            size = sum(file.size / _PACKED.get(file.compression, 1.0) for _, file in group.files)
            of_quota = group.tokens.total() / group.quota
            shares.append(group.share * min(1.0, max(of_quota, group.bytes_read / size if size else 1.0)))
        return sum(shares) / sum(group.share for group in self._groups)
