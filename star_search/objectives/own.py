"""Objectives of the user's own: where they come from, what a run keeps of them, and how they are called.

An objective is a function of a `Candidate`, or a class that is made without arguments once in every worker and whose instance is called
with one. It returns a finite number of at least 0 that is better the smaller. Attributes say more, each with a default: `worst` (1.0), the
reference point of its hypervolume, and `trains_itself` (False), which spares the training of a language model that nothing needs.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from star_search.config import SearchConfig
from star_search.config_objectives import CONSTRAINT, OWN_OBJECTIVE, ObjectiveSource, short_name
from star_search.errors import InputError, did_you_mean
from star_search.objectives.registry import KINDS

GROUP = "star_search.objectives"
BUILT_IN = {"mad": "star_search.objectives.mad.objective:MADObjective"}


@dataclass(frozen=True)
class OwnObjective:
    """An objective that can be called with a candidate."""

    name: str
    function: Callable[[Any], Any]
    worst: float
    trains_itself: bool


def with_sources(config: SearchConfig) -> SearchConfig:
    """Return the configuration with every objective of the user's own by its short name, and what it was made of kept beside it.

    Raises:
        InputError: for an objective that is neither one of ours, nor of a package, nor a file that can be read.
    """
    sources = dict[str, ObjectiveSource]()
    names = [_kept(text, config, sources, "objectives") for text in config.objectives]
    constraints = [_constraint(text, config, sources) for text in config.constraints]
    return config.model_copy(update={"objectives": names, "constraints": constraints, "own_objectives": sources})


def _constraint(text: str, config: SearchConfig, sources: dict[str, ObjectiveSource]) -> str:
    """Return a constraint with its objective by the short name; one that cannot be read is left to `parse_constraint`."""
    match = CONSTRAINT.fullmatch(text)
    if match is None or match["name"] in sources:
        return text
    name = _kept(match["name"], config, sources, "constraints")
    return text if name == match["name"] else f"{name} {match['sign']} {match['bound']}"


def _kept(text: str, config: SearchConfig, sources: dict[str, ObjectiveSource], key: str) -> str:
    """Return an objective's short name; what it was made of is put among the sources."""
    name, source = _found(text, config)
    if source is not None:
        if sources.get(name, source).sha256 != source.sha256:
            raise InputError(f"{key} names two files {name.partition(':')[0]} that differ; rename one")
        sources[name] = source
    return name


def _found(text: str, config: SearchConfig) -> tuple[str, ObjectiveSource | None]:
    if text.partition("@")[0] in KINDS:
        return text, None
    if text in config.own_objectives:
        return text, config.own_objectives[text]
    if match := OWN_OBJECTIVE.fullmatch(text):
        return short_name(text), _of_file(Path(match["file"]), text)
    points = _entry_points()
    if text not in points:
        raise InputError(f"unknown objective '{text}'{did_you_mean(text, [*KINDS, *points])}")
    return text, _of_package(points[text])


def _of_file(path: Path, objective: str) -> ObjectiveSource:
    try:
        content = path.read_bytes()
        return ObjectiveSource(origin=str(path), sha256=sha256(content).hexdigest(), source=content.decode())
    except OSError as error:
        raise InputError(f"objective {objective}: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"objective {objective}: {path} is not UTF-8") from None


def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _of_package(point: EntryPoint) -> ObjectiveSource:
    specification = find_spec(point.module)
    if specification is None or specification.origin is None:
        raise InputError(f"objective {point.name}: the module {point.module} of its package is not there")
    return ObjectiveSource(origin=point.value, sha256=sha256(Path(specification.origin).read_bytes()).hexdigest())


def refuse_changed(where: str, stored: SearchConfig, requested: SearchConfig) -> SearchConfig:
    """Return a request with the objectives that a run was made with.

    Raises:
        InputError: when one of them is another now, in the request or where it came from; a file that is gone is not missed.
    """
    for name, kept in stored.own_objectives.items():
        now = requested.own_objectives.get(name, kept)
        if now is kept or now == kept:
            now = _as_it_is_now(name, kept)
        if now.sha256 != kept.sha256:
            raise InputError(
                f"objective {name} of {where} has changed: the sha256 of {now.origin} was {kept.sha256[:12]} and is now {now.sha256[:12]}; "
                "put it back as it was, or begin another run"
            )
    return requested.model_copy(update={"own_objectives": stored.own_objectives})


def _as_it_is_now(name: str, kept: ObjectiveSource) -> ObjectiveSource:
    if kept.source is None:
        points = _entry_points()
        if name not in points:
            raise InputError(f"objective {name} ({kept.origin}) came with a package that is not installed")
        return _of_package(points[name])
    return _of_file(Path(kept.origin), name) if Path(kept.origin).is_file() else kept


def load_own(config: SearchConfig, name: str) -> OwnObjective:
    """Run the code that defines an objective and return it.

    Raises:
        InputError: when it cannot be run, has no such name, or what stands there is no objective.
    """
    found = _attribute(config, name)
    function = _made(name, found) if isinstance(found, type) else found
    if not callable(function):
        raise InputError(f"objective {name} must be a function, or a class whose instances can be called, got {type(function).__name__}")
    worst = getattr(function, "worst", 1.0)
    if isinstance(worst, bool) or not isinstance(worst, int | float) or not 0 < worst < math.inf:
        raise InputError(f"objective {name}: worst must be a finite number above 0, got {worst!r}")
    return OwnObjective(name, function, float(worst), bool(getattr(function, "trains_itself", False)))


def _attribute(config: SearchConfig, name: str) -> Any:
    if name in BUILT_IN:
        place, _, attribute = BUILT_IN[name].partition(":")
        return getattr(import_module(place), attribute)
    kept = config.own_objectives[name]
    if kept.source is None:
        return _guarded(name, kept.origin, lambda: EntryPoint(name, kept.origin, GROUP).load())
    module = _module(name, kept)
    attribute = name.partition(":")[2]
    if not hasattr(module, attribute):
        known = [each for each, value in vars(module).items() if callable(value) and getattr(value, "__module__", "") == module.__name__]
        raise InputError(f"objective {name}: {kept.origin} has no '{attribute}'{did_you_mean(attribute, known)}")
    return getattr(module, attribute)


def _module(name: str, kept: ObjectiveSource) -> ModuleType:
    """Return the module that a kept file is, run once in a process; tracebacks show its lines while the file is there."""
    key = f"star_search_objective_{kept.sha256[:16]}"
    if key not in sys.modules:
        module = ModuleType(key)
        module.__file__ = kept.origin
        # Dataclasses look their module up while they are made.
        sys.modules[key] = module
        try:
            _guarded(name, kept.origin, lambda: exec(compile(kept.source or "", kept.origin, "exec"), vars(module)))
        except InputError:
            del sys.modules[key]
            raise
    return sys.modules[key]


def _made(name: str, kind: type) -> Any:
    return _guarded(name, kind.__name__, kind)


def _guarded(name: str, what: str, action: Callable[[], Any]) -> Any:
    try:
        return action()
    except (Exception, SystemExit) as error:
        text = str(error).strip().splitlines()
        raise InputError(f"objective {name}: {what} cannot be run: {type(error).__name__}{': ' + text[0] if text else ''}") from error
