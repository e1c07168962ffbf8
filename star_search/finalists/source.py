"""Which model a user means: a candidate of a run, a genome, a baseline's name, or an exported folder."""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from star_search.analysis.run_view import RunView
from star_search.config import SearchConfig, load_configuration, parse_configuration
from star_search.data.tokenizer import load_tokenizer
from star_search.errors import InputError, check_whole
from star_search.export.loading import ExportedModel
from star_search.export.selection import find_candidate
from star_search.genome.accounting import Accounting
from star_search.genome.baselines import BASELINES, read_genome
from star_search.genome.catalogue import load_catalogue
from star_search.genome.encoding import Genome
from star_search.genome.matching import Match, matched
from star_search.genome.rules import Rules
from star_search.genome.scaling import Scale, scaled
from star_search.paths import expanded
from star_search.runs.directory import is_run
from star_search.runs.locate import locate

DEFAULT_CONFIGURATION = "quickstart.yaml"
# A genome of many LIVs is longer than any file's name may be.
_NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


@dataclass(frozen=True)
class Source:
    """A model to train: what it is called, its genome, the configuration with its depth, width and catalogue, and an exported
    folder whose weights it begins with."""

    label: str
    genome: Genome
    config: SearchConfig
    weights: Path | None = None

    @property
    def account(self) -> Accounting:
        """Its sizes."""
        space = self.config.space
        return Accounting.of(self.genome, space.width, load_catalogue(space.catalogue), self.config.backbone.residual)

    def matching(self, other: Source, by: Match, vocabulary_size: int) -> Source:
        """Return the source at the width that makes it as large, or as dear, as another."""
        found = matched(self.account, other.account, by, vocabulary_size, self.config.training.sequence_length)
        return replace(self, config=_with_space(self.config, width=found.width))

    def at_rate(self, learning_rate: float) -> Source:
        """Return the source with another peak learning rate."""
        training = self.config.training.model_copy(update={"learning_rate": learning_rate})
        return replace(self, config=self.config.model_copy(update={"training": training}))


@dataclass(frozen=True)
class Wish:
    """What the user asked for beside the model: a configuration, changes to it, a candidate, depth, width and how to scale."""

    config: str | None = None
    overrides: tuple[str, ...] = ()
    candidate: int | None = None
    depth: int | None = None
    width: int | None = None
    scale: Scale = "stack"
    fresh: bool = False


def find_source(text: str, wish: Wish) -> Source:
    """Return what a text means, scaled to the depth and width asked for: by option, else by a configuration that was named.

    Raises:
        InputError: when it means nothing, or what it means cannot be.
    """
    path = expanded(text)
    is_there = _is_there(path)
    if is_there and _is_there(path / "config.json"):
        return _checked(_scaled(_exported(path, wish), wish))
    if wish.fresh:
        raise InputError(f"--fresh draws new weights for an exported folder; {text} is none, and its weights are new")
    found = _candidate(path, wish) if is_there or wish.candidate is not None else _written(text, wish)
    return _checked(_scaled(found, wish))


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return False
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    return True


def _candidate(path: Path, wish: Wish) -> Source:
    """Return a candidate of a run, or a sentence why there is none."""
    if path.is_dir() and not is_run(path) and not path.name.startswith("gen"):
        raise InputError(f"{path} holds neither a run (run.json) nor an exported model (config.json)")
    view = RunView.read(*locate(path))
    if wish.candidate is None:
        raise InputError(f"{path} is a run; --candidate says which of its models, for example --candidate {_example(view)}")
    record = find_candidate(view, wish.candidate)
    stored = view.config.model_dump(mode="json")
    base = load_configuration(wish.config, list(wish.overrides)) if wish.config else parse_configuration(stored, list(wish.overrides))
    backbone = view.config.backbone if wish.config else base.backbone
    config = _with_space(base, catalogue=view.catalogue.source)
    label = f"{view.run.path.resolve().name}-{record.id}"
    return Source(label, Genome.parse(record.canonical), config.model_copy(update={"backbone": backbone}))


def _example(view: RunView) -> int:
    return next(iter([record.id for record in view.front] or [0]))


def _written(text: str, wish: Wish) -> Source:
    """Return a genome as it is written, or a baseline."""
    config = load_configuration(wish.config or DEFAULT_CONFIGURATION, list(wish.overrides))
    if "/" in text or text.startswith("."):
        raise InputError(f"{text} does not exist; give a run, an exported folder, a genome, or one of: {', '.join(BASELINES)}")
    genome = read_genome(text, wish.depth or config.space.depth, load_catalogue(config.space.catalogue))
    name = text.strip().lower()
    label = name if name in BASELINES else "genome"
    return Source(label, genome, config if wish.config else _with_space(config, depth=genome.depth))


def _exported(folder: Path, wish: Wish) -> Source:
    """Return the model of an exported folder, beginning with its weights unless they are to be fresh."""
    if wish.candidate is not None:
        raise InputError(f"--candidate says which model of a run; {folder} is one exported model")
    exported = ExportedModel.read(folder)
    values = exported.config
    for key in ("depth", "width"):
        if any(change.partition("=")[0].strip() == f"space.{key}" for change in wish.overrides):
            raise InputError(f"--set space.{key} does not change the model of {folder}; --{key} does")
    base = load_configuration(wish.config or DEFAULT_CONFIGURATION, list(wish.overrides))
    genome, width = Genome.parse(values["genome"]), values["width"]
    backbone = base.backbone.model_copy(update={"residual": values["residual"], "router_top_k": values["router_top_k"]})
    own = base.model_copy(update={"backbone": backbone})
    config = _with_space(own, catalogue=exported.catalogue.source, depth=genome.depth, width=width)
    same_size = (wish.depth, wish.width) in ((None, None), (genome.depth, width), (genome.depth, None), (None, width))
    if wish.fresh:
        return Source(folder.resolve().name, genome, config)
    if not same_size:
        raise InputError(f"{folder} holds the weights of {genome.depth} LIVs of width {width}; --fresh draws new ones for another size")
    if not exported.has_tokenizer(config.data.tokenizer):
        raise InputError(
            f"{folder} was trained with another tokenizer than data.tokenizer {config.data.tokenizer}; set data.tokenizer to its own, "
            "or --fresh to draw new weights"
        )
    if values["vocab_size"] != (ids := load_tokenizer(config.data.tokenizer).vocabulary_size):
        raise InputError(
            f"{folder} has {values['vocab_size']:,} ids and data.tokenizer {config.data.tokenizer} {ids:,}; --fresh draws new weights"
        )
    return Source(folder.resolve().name, genome, config, folder)


def _scaled(source: Source, wish: Wish) -> Source:
    catalogue = load_catalogue(source.config.space.catalogue)
    depth, width = wish.depth or source.config.space.depth, wish.width or source.config.space.width
    for option, value in (("--depth", wish.depth), ("--width", wish.width)):
        if value is not None:
            check_whole(value, option, 1)
    Rules.of(catalogue, source.genome.layout).check(source.genome)
    genome = source.genome if depth == source.genome.depth else scaled(source.genome, depth, wish.scale, catalogue)
    return replace(source, genome=genome, config=_with_space(source.config, depth=depth, width=width))


def _checked(source: Source) -> Source:
    _ = source.account.dimensions
    return source


def _with_space(config: SearchConfig, **changes: Any) -> SearchConfig:
    """Return the configuration with other sizes; which classes a search may draw says nothing about a genome."""
    space = config.space.model_copy(update={"classes": None, **changes})
    return config.model_copy(update={"space": space})
