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
from star_search.analysis.figures.style import FORMATS, SETTINGS, settle
from star_search.analysis.run_view import RunView
from star_search.errors import InputError, StarSearchError, did_you_mean, unwritable
from star_search.runs.output import check_folder, make_folder

# Without the time of day, so that equal runs give equal files.
_METADATA: dict[str, dict[str, None]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
_RESOLUTION = 300
_MATRICES = "token_mixing"


def write_figures(
    view: RunView,
    folder: Path,
    formats: Sequence[str] = ("png",),
    baselines: Mapping[str, str] | None = None,
    option: str = "--out",
    say: Callable[[str], None] = lambda sentence: None,
) -> list[Path]:
    """Write every figure that the run has data for, once per format, and return their paths; baselines are genomes by name.

    `option` is what names the folder; `say` is told, in a sentence, why token-mixing matrices are left out.

    Raises:
        InputError: for an unknown format, a baseline that cannot be read, a folder that cannot be written, a file that exists, or a run
            that has finished nothing yet.
        StarSearchError: when the disk fails.
    """
    for each in formats:
        if each not in FORMATS:
            raise InputError(f"--format {each} is not known{did_you_mean(each, FORMATS)}")
    drawings = _drawings(view, baselines or {})
    check_folder(folder, option, [f"{name}.{each}" for name in (*drawings, _MATRICES) for each in formats])
    drawings |= _token_mixing(view, say)
    make_folder(folder)
    try:
        with rc_context(SETTINGS):
            for name, draw in drawings.items():
                figure = draw()
                settle(figure)
                for each in formats:
                    figure.savefig(folder / f"{name}.{each}", dpi=_RESOLUTION, metadata=_METADATA[each])
    except OSError as error:
        raise unwritable(folder, error) from None
    return [folder / f"{name}.{each}" for name in drawings for each in formats]


def _drawings(view: RunView, baselines: Mapping[str, str]) -> dict[str, Callable[[], Figure]]:
    """Return what can be drawn, by file name."""
    if not view.progress:
        raise InputError(f"{view.run.path} has no finished generation to draw")
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


def _token_mixing(view: RunView, say: Callable[[str], None]) -> dict[str, Callable[[], Figure]]:
    """Return the drawing of matrices, which alone needs models, and so torch; nothing, saying why, where there are no weights."""
    if not view.front:
        return {}
    from star_search.analysis.figures.token_mixing import draw_token_mixing, front_matrices

    try:
        return {_MATRICES: partial(draw_token_mixing, view, front_matrices(view))}
    except StarSearchError as error:
        say(f"figure {_MATRICES} is left out: {error}")
        return {}
