"""All figures of a run into one folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from star_search.analysis.candidate import loss_curve
from star_search.analysis.figures.backbones import draw_backbones, draw_genomes, front_backbones
from star_search.analysis.figures.cache import baseline_accounts, draw_cache
from star_search.analysis.figures.curves import draw_curves
from star_search.analysis.figures.motifs import draw_motifs
from star_search.analysis.figures.objectives import draw_fronts, draw_progress, draw_scores
from star_search.analysis.figures.style import SETTINGS
from star_search.analysis.run_view import RunView
from star_search.errors import InputError, StarSearchError, did_you_mean

FORMATS = ("pdf", "svg", "png")
# Without the time of day, so that equal runs give equal files.
_METADATA: dict[str, dict[str, None]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
_RESOLUTION = 300


def write_figures(view: RunView, folder: Path, formats: Sequence[str] = ("png",), baselines: Mapping[str, str] | None = None) -> list[Path]:
    """Write every figure that the run has data for, once per format, and return their paths; baselines are genomes by name.

    Raises:
        InputError: for an unknown format, a baseline that cannot be read, a folder that is a file, or a file that exists.
        StarSearchError: when the folder cannot be written or nothing is finished yet.
    """
    for each in formats:
        if each not in FORMATS:
            raise InputError(f"--format {each} is not known{did_you_mean(each, FORMATS)}")
    drawings = _drawings(view, baselines or {})
    paths = [folder / f"{name}.{each}" for name in drawings for each in formats]
    _check_targets(folder, paths)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with rc_context(SETTINGS):
            for name, draw in drawings.items():
                figure = draw()
                for each in formats:
                    figure.savefig(folder / f"{name}.{each}", dpi=_RESOLUTION, metadata=_METADATA[each])
    except OSError as error:
        raise StarSearchError(f"figures cannot be written to {folder}: {error.strerror}") from None
    return paths


def _drawings(view: RunView, baselines: Mapping[str, str]) -> dict[str, Callable[[], Figure]]:
    """Return what can be drawn, by file name."""
    if not view.progress:
        raise StarSearchError(f"{view.run.path} has no finished generation to draw")
    accounts = baseline_accounts(view, baselines)
    found: dict[str, Callable[[], Figure]] = {"genomes": partial(draw_genomes, view), "motifs": partial(draw_motifs, view)}
    if view.front:
        found |= {
            "fronts": partial(draw_fronts, view),
            "progress": partial(draw_progress, view),
            "scores": partial(draw_scores, view),
            "cache": partial(draw_cache, view, accounts),
        }
        for number, page in enumerate(front_backbones(view), 1):
            found["backbones" + (f"_{number}" if number > 1 else "")] = partial(draw_backbones, page, view.catalogue)
    if any(loss_curve(record) for record in view.records):
        found["loss_curves"] = partial(draw_curves, view)
    return found


def _check_targets(folder: Path, paths: Sequence[Path]) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; figures need a folder")
    for path in paths:
        if path.exists() or path.is_symlink():
            raise InputError(f"{path} exists already; nothing is overwritten: name another folder")
