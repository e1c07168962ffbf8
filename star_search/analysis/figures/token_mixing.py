"""Token-mixing matrices of the front's trained LIVs over the run's validation text.

Shapes: T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from star_search.analysis.figures.style import COLUMN, PAGE, text
from star_search.analysis.matrices import COLOURS, LEAST_PROBES, SHARES, TokenMatrix, draw_matrix, matrices_of, share_scale
from star_search.analysis.run_view import RunView
from star_search.data.store import validation_tokens
from star_search.errors import StarSearchError
from star_search.genome.encoding import Genome
from star_search.genome.evolved import catalogue_for
from star_search.model.language_model import LanguageModel
from star_search.objectives.candidate_model import candidate_model
from star_search.runs.records import CandidateRecord

TOKENS = 64
# Directions in channel space times the width: all channels up to width 90, so that wide models take seconds a LIV and not minutes.
PROBED_VALUES = 8192
MOST_MEMBERS, MOST_ROWS = 3, 6
# Panels beside each other in a column, and on a page, which is for genomes that a column has no room for.
IN_A_COLUMN, ON_A_PAGE = 3, 6
# Inches: beside and between panels, above the panels of a member, above each panel, below a member's last, below all.
LEFT, RIGHT, GAP, HEAD, NAME, TICKS, FOOT = 0.46, 0.08, 0.1, 0.2, 0.17, 0.16, 0.62
# Points of letters, and inches of a line of the smallest print.
LETTERS, SMALLEST, PRINT, LINE = 7.0, 4.5, 5.5, 0.092


@dataclass(frozen=True)
class Member:
    """A candidate of the front, the matrices that are drawn, and how many more of its LIVs mix tokens."""

    record: CandidateRecord
    matrices: list[TokenMatrix]
    left: int


@dataclass(frozen=True)
class FrontMatrices:
    """Members of the front, panels beside each other, and what their models read."""

    members: list[Member]
    columns: int
    reading: str


def front_matrices(view: RunView) -> FrontMatrices:
    """Return the matrices of the front's best in the first objective, as many members as a page has room for, from trained weights.

    The models read the first tokens of the run's validation text, or tokens drawn at random where its store is not there.

    Raises:
        StarSearchError: when the run keeps no weights of its front, or weights of another model.
    """
    kept = [record for record in view.front if view.run.weights_path(record.id).is_file()]
    if not kept:
        raise StarSearchError(f"{view.run.path} keeps no weights of its front")
    mixers = [_mixers(view, record) for record in kept]
    columns = IN_A_COLUMN if len(mixers[0]) <= IN_A_COLUMN * MOST_ROWS else ON_A_PAGE
    shown = [each[: columns * MOST_ROWS] for each in mixers]
    count = _that_fit([_rows(len(each), columns) for each in shown])
    models = [_trained(view, record) for record in kept[:count]]
    reading, tokens_T = _reading(view, models[0].vocabulary_size)
    probes = max(LEAST_PROBES, PROBED_VALUES // view.config.space.width)
    members = [
        Member(record, matrices_of(model, torch.from_numpy(tokens_T), drawn, probes), len(every) - len(drawn))
        for record, model, drawn, every in zip(kept, models, shown, mixers, strict=False)
    ]
    return FrontMatrices(members, columns, reading)


def _mixers(view: RunView, record: CandidateRecord) -> list[int]:
    """Return the positions of the LIVs that mix tokens."""
    genome = Genome.parse(record.canonical)
    complete = catalogue_for(genome, view.catalogue)
    return [position for position, genes in enumerate(genome.livs) if complete[genes.liv_class].is_mixer]


def _rows(panels: int, columns: int) -> int:
    return -(-panels // columns)


def _that_fit(rows: Sequence[int]) -> int:
    """Return how many members, from the first on, have no more rows of panels than a page."""
    count = 1
    while count < min(MOST_MEMBERS, len(rows)) and sum(rows[: count + 1]) <= MOST_ROWS:
        count += 1
    return count


def _trained(view: RunView, record: CandidateRecord) -> LanguageModel:
    path = view.run.weights_path(record.id)
    try:
        state = load_file(path)
        model = candidate_model(view.config, record.canonical, len(state["embedding"]), record.seed)
        model.load_state_dict(state)
    except (SafetensorError, OSError, KeyError, RuntimeError):
        raise StarSearchError(f"{path} does not hold the weights of candidate {record.id}") from None
    return model.eval()


def _reading(view: RunView, vocabulary_size: int) -> tuple[str, NDArray[np.int64]]:
    """Return in words what the models read, and its tokens [T]."""
    length, data = min(TOKENS, view.config.training.sequence_length), view.provenance.get("data", {})
    held_out = validation_tokens(view.config.data, str(data.get("fingerprint")))
    if held_out is not None and len(held_out) >= length:
        return f"the first {length} tokens of the run's validation text", held_out[:length].astype(np.int64)
    drawn = np.random.default_rng(0).integers(vocabulary_size, size=length)
    return f"{length} tokens drawn at random (seed 0), for the run's text is not on this machine", drawn


def draw_token_mixing(view: RunView, found: FrontMatrices) -> Figure:
    """Return a panel for every matrix, member by member: row the token written, column the token read."""
    width = COLUMN if found.columns == IN_A_COLUMN else PAGE
    side = (width - LEFT - RIGHT - GAP * (found.columns - 1)) / found.columns
    heights = [HEAD + TICKS + (NAME + side) * _rows(len(each.matrices), found.columns) for each in found.members]
    said = f"T(x) of trained weights, norm over channels; x from {found.reading}; LIVs that mix no tokens are left out"
    lines = wrap(said, int(22 * width))
    foot = FOOT + LINE * len(lines)
    total = sum(heights) + foot
    figure, top, scale = Figure(figsize=(width, total)), total, share_scale()
    figure.text(LEFT / width, 0.03 / total, "\n".join(lines), fontsize=PRINT, color="#444444", va="bottom")
    _draw_bar(figure, (LEFT / width, (foot - 0.29) / total, (width - LEFT - RIGHT) / width, 0.07 / total), scale)
    middle = (LEFT + width - RIGHT) / 2 / width
    figure.text(middle, foot / total, "token read", ha="center", va="top", fontsize=8)
    figure.text(0.04 / width, (total + foot) / 2 / total, "token written", rotation=90, ha="left", va="center", fontsize=8)
    for member, height in zip(found.members, heights, strict=True):
        figure.text(LEFT / width, (top - 0.05) / total, _title(view, member), fontsize=7, fontweight="bold", va="top")
        for index, matrix in enumerate(member.matrices):
            row, column = divmod(index, found.columns)
            bottom = top - HEAD - (NAME + side) * (row + 1)
            left = LEFT + (side + GAP) * column
            axes = figure.add_axes((left / width, bottom / total, side / width, side / total))
            draw_matrix(axes, matrix, scale, LETTERS)
            _name(axes, matrix, side)
            axes.tick_params(labelleft=column == 0, labelbottom=index + found.columns >= len(member.matrices), pad=1.5)
        top -= height
    return figure


def _name(axes: Axes, matrix: TokenMatrix, side: float) -> None:
    """Write place and class above a panel so many inches wide, in smaller letters where they are many, cut where they are too many."""
    name = f"LIV {matrix.position + 1}  {text(matrix.name)}"
    room = 72 * (side + GAP) / 0.6
    if len(name) * SMALLEST > room:
        name = f"{name[: int(room / SMALLEST) - 1]}…"
    axes.set_title(name, fontsize=min(LETTERS, room / len(name)), pad=2.5)


def _title(view: RunView, member: Member) -> str:
    name = view.names[0]
    more = f"; {member.left} more LIVs mix tokens" if member.left else ""
    return f"candidate {member.record.id}: {text(name)} {member.record.objectives[name]:,.2f}{more}"


def _draw_bar(figure: Figure, place: tuple[float, float, float, float], scale: Normalize) -> None:
    """Draw what the colours mean below all panels."""
    axes = figure.add_axes(place)
    bar = figure.colorbar(ScalarMappable(scale, COLOURS), cax=axes, orientation="horizontal", extend="min")
    bar.set_ticks(SHARES, labels=[f"{share:g}" for share in SHARES], fontsize=6)
    axes.tick_params(length=2, pad=1.5)
    bar.set_label("share of the panel's largest entry (white: under 0.00001)", fontsize=LETTERS, labelpad=1)
