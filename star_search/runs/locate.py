"""Finding the run that the user means."""

import re
from itertools import count
from pathlib import Path

from star_search.errors import InputError
from star_search.runs.directory import RunDirectory, is_run


def numbered_folder(root: Path, name: str) -> Path:
    """Return `root/name`, or the first of `root/name-2`, `root/name-3`, ... that does not exist."""
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(root / each for each in names if not (root / each).exists())


def newest_run(root: Path, name: str | None = None) -> RunDirectory:
    """Return the run in `root` that was created last, of the configuration `name` where one is given.

    Raises:
        InputError: there is none that can be read.
    """
    runs, problems = _runs(root)
    matching = [run for run in runs if name in (None, run.name)]
    if matching:
        return max(matching, key=lambda run: (run.created_ns, run.path.name))
    if problems:
        raise problems[0]
    raise InputError(f"{root} holds no run" + (f" of configuration {name}" if name else ""))


def locate(path: Path) -> tuple[RunDirectory, int | None]:
    """Return the run, and the generation if any, that `path` means: `RUN`, `RUN/genNN`, or `ROOT/genNN` of the newest run in ROOT.

    Raises:
        InputError: it means no run, or a generation that the run does not have.
    """
    full = path if path.name else path.absolute()
    match = re.fullmatch(r"gen([0-9]{1,9})", full.name)
    if is_run(path) or not match or not full.parent.is_dir():
        return RunDirectory.open(path), None
    run = RunDirectory.open(full.parent) if is_run(full.parent) else newest_run(full.parent)
    generation = int(match[1])
    _refuse_absent(run, generation)
    return run, generation


def _runs(root: Path) -> tuple[list[RunDirectory], list[InputError]]:
    runs, problems = [], []
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        try:
            if is_run(path):
                runs.append(RunDirectory.open(path))
        except InputError as error:
            problems.append(error)
    return runs, problems


def _refuse_absent(run: RunDirectory, generation: int) -> None:
    present = run.generation_numbers()
    if not present:
        raise InputError(f"{run.path} has no finished generation yet, so no generation {generation}")
    if generation not in present:
        raise InputError(f"{run.path} has only generations {present[0]} to {present[-1]}, not {generation}")
