"""Pictures of the token-mixing matrices of a genome's LIVs.

Shapes: T tokens, D width.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from star_search.analysis.figures.style import FORMATS, text
from star_search.config import DataConfig
from star_search.data.corpus import read_documents
from star_search.data.sources import EMBEDDED_FOLDER
from star_search.data.tokenizer import Tokenizer, load_tokenizer
from star_search.errors import InputError
from star_search.genome.catalogue import Catalogue
from star_search.genome.encoding import Genome
from star_search.genome.genes import BANDED
from star_search.liv.operator import LIV
from star_search.model.language_model import LanguageModel
from star_search.runs.atomic import write_bytes
from star_search.runs.output import check_new_file

TEXT = "wikipedia_sample.jsonl.zst"
MOST_TOKENS = 1024
# Directions in channel space for each token: all 32 channels of the default width at the default 64 tokens, fewer for more tokens.
LEAST_PROBES, PROBED_VALUES = 8, 2048
# Relative to a panel's largest entry: where the colours begin, and below what a cell is left empty; an FFT's rounding error is 1e-7.
PALEST, EMPTY = 1e-3, 1e-5
SHARES = (0.001, 0.01, 0.1, 1)
PANELS_IN_A_ROW = 6
# Without its palest end, so that a small entry differs from an empty cell, in grey too.
COLOURS = ListedColormap(colormaps["viridis_r"](np.linspace(0.06, 1, 256)))


@dataclass(frozen=True)
class TokenMatrix:
    """One LIV's matrix [T, T]: row i is the token that is written, column j the token that is read."""

    position: int
    name: str
    note: str
    values_TT: NDArray[np.float32]


def check_target(path: Path) -> None:
    """Refuse a file that is no figure by its suffix, or that cannot be written.

    Raises:
        InputError: naming the file and what is allowed.
    """
    if path.suffix.removeprefix(".").lower() not in FORMATS:
        raise InputError(f"--matrices {path} must end in one of: {', '.join(f'.{kind}' for kind in FORMATS)}")
    check_new_file(path, "--matrices")


def write_matrices(genome: Genome, catalogue: Catalogue, width: int, length: int, path: Path) -> None:
    """Draw the matrices of a genome into a new file; its suffix is its format.

    Raises:
        InputError: as `check_target` and `token_matrices`.
        StarSearchError: when the disk fails.
    """
    check_target(path)
    weights_and_text = f"width {width}, untrained weights (seed 0), x from {length} bytes of the embedded Wikipedia text"
    caption = f"{genome}\nnorm over channels of T(x), {weights_and_text}"
    buffer = io.BytesIO()
    figure = draw_matrices(token_matrices(genome, catalogue, width, length), caption)
    figure.savefig(buffer, dpi=150, format=path.suffix.removeprefix(".").lower())
    write_bytes(path, buffer.getvalue())


def token_matrices(genome: Genome, catalogue: Catalogue, width: int, length: int) -> list[TokenMatrix]:
    """Return the matrix of every LIV, in an untrained model (seed 0) that reads the first `length` bytes of the embedded text.

    Entries are those of `matrices_of`, with 2048 / length probes, at least 8.

    Raises:
        InputError: for an illegal genome, a width that its classes do not fit, or a length out of range.
    """
    if not 2 <= length <= MOST_TOKENS:
        raise InputError(f"--matrix-length must be from 2 to {MOST_TOKENS}, got {length}")
    tokenizer = load_tokenizer("bytes")
    model = LanguageModel.from_genome(genome, width, tokenizer.vocabulary_size, catalogue, seed=0).eval()
    probes = max(LEAST_PROBES, PROBED_VALUES // length)
    return matrices_of(model, torch.from_numpy(_text(length, tokenizer)), range(genome.depth), probes)


def matrices_of(model: LanguageModel, tokens_T: Tensor, positions: Collection[int], probes: int) -> list[TokenMatrix]:
    """Return the matrices of the LIVs at these positions (from 0), in a model that reads tokens [T].

    An entry is the Frobenius norm over channels of a block of the explicit operator, exact up to as many channels as there are probes
    and estimated from as many directions beyond (`LIV.token_matrix`).
    """
    return [
        TokenMatrix(liv.position, liv.sizes.liv_class.name, _note(liv), liv.token_matrix(x_BTD[0], shared, probes).numpy())
        for liv, x_BTD, shared in _inputs(model, tokens_T.unsqueeze(0))
        if liv.position in positions
    ]


def _text(length: int, tokenizer: Tokenizer) -> NDArray[np.int64]:
    """Return the first bytes of the embedded text."""
    found: list[int] = []
    for document, _ in read_documents(DataConfig(source=str(EMBEDDED_FOLDER / TEXT)), EMBEDDED_FOLDER):
        found += tokenizer.encode_batch([document.text])[0].tolist()
        if len(found) >= length:
            break
    return np.array(found[:length])


def _note(liv: LIV) -> str:
    """Return what explains a matrix beside its class: its window or block, and where its features come from."""
    operator, source = liv.sizes.liv_class.operator, liv.feature_source
    taken = [name for name, position in liv.sources.features_from.items() if position != liv.position]
    notes = [f"{'window' if operator.sparsity == BANDED else 'block'} {liv.sizes.span}"] if liv.sizes.span else []
    return "\n".join([*notes, *([f"{', '.join(taken)} of LIV {source + 1}"] if source is not None else [])])


def _inputs(model: LanguageModel, tokens_BT: Tensor) -> list[tuple[LIV, Tensor, dict[str, Tensor] | None]]:
    """Return every LIV with its normed input and the features that it takes from another."""
    calls: list[tuple[LIV, Tensor, dict[str, Tensor] | None]] = []

    def note(module: torch.nn.Module, given: tuple[Tensor, dict[str, Tensor] | None]) -> None:
        assert isinstance(module, LIV)
        calls.append((module, given[0], given[1]))

    hooks = [liv.register_forward_pre_hook(note) for liv in model.backbone.livs]
    with torch.no_grad():
        model(tokens_BT)
    for hook in hooks:
        hook.remove()
    return calls


def draw_matrices(matrices: list[TokenMatrix], caption: str) -> Figure:
    """Return the matrices side by side, each over its own largest entry, on one logarithmic scale."""
    rows = -(-len(matrices) // PANELS_IN_A_ROW)
    columns = -(-len(matrices) // rows)
    figure = Figure(figsize=(1.4 + 1.7 * max(columns, 2), 0.9 + 1.85 * rows), layout="constrained")
    panels, scale = figure.subplots(rows, columns, squeeze=False), share_scale()
    for index, axes in enumerate(panels.flat):
        if index < len(matrices):
            draw_matrix(axes, matrices[index], scale, 9)
            axes.set_title(f"{matrices[index].position + 1}  {text(matrices[index].name)}", fontsize=9)
            axes.tick_params(labelleft=index % columns == 0, labelbottom=index + columns >= len(matrices))
        else:
            axes.set_visible(False)
    figure.supxlabel("token read", fontsize=9)
    figure.supylabel("token written", fontsize=9)
    bar = figure.colorbar(ScalarMappable(scale, COLOURS), ax=panels, fraction=0.06, aspect=10 + 12 * rows, extend="min")
    bar.set_ticks(SHARES, labels=[f"{share:g}" for share in SHARES], fontsize=7)
    bar.set_label("share of the largest entry\n(white: under 0.00001)", fontsize=8)
    letters = int(15 * figure.get_figwidth())
    figure.suptitle("\n".join(wrapped for line in caption.splitlines() for wrapped in wrap(line, letters)), fontsize=8)
    return figure


def share_scale() -> LogNorm:
    """Return the scale of all panels: shares of a panel's largest entry."""
    return LogNorm(PALEST, 1)


def draw_matrix(axes: Axes, matrix: TokenMatrix, scale: LogNorm, points: float) -> None:
    """Draw one matrix as shares of its largest entry, and what explains it where the future is; letters are made for so many points."""
    length, largest = len(matrix.values_TT), matrix.values_TT.max()
    shares = matrix.values_TT / largest
    axes.imshow(np.ma.masked_less(shares, EMPTY), cmap=COLOURS, norm=scale, interpolation="nearest")
    axes.plot([-0.5, length - 0.5], [-0.5, length - 0.5], color="black", linewidth=0.4)
    note = f"largest {largest:.2g}\n{matrix.note}"
    axes.text(0.97, 0.96, note, transform=axes.transAxes, ha="right", va="top", fontsize=0.72 * points, color="#444444")
    for set_ticks in (axes.set_xticks, axes.set_yticks):
        set_ticks([0, length - 1], ["1", str(length)])
    axes.tick_params(labelsize=0.78 * points, length=2)
