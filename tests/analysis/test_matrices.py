"""Pictures of token-mixing matrices: the right matrices in the right panels, nothing drawn of the future."""

import numpy as np

from helpers import STAR
from star_search.analysis.matrices import draw_matrices, token_matrices
from star_search.genome.encoding import Genome

# A convolution of three taps, a memoryless LIV, a window, and two attentions of which the second takes keys and values from the first.
GENOME = Genome.parse("71111-91111-o1111-11112-11112")


def test_matrices_are_those_of_the_classes():
    matrices = token_matrices(GENOME, STAR, width=16, length=12)
    assert [(each.position, each.name, each.note) for each in matrices] == [
        (0, "GConv-1", ""),
        (1, "GMemless", ""),
        (2, "SA-Window", "window 256"),
        (3, "SA-1", ""),
        (4, "SA-1", "k, v of LIV 4"),
    ]
    lags = np.arange(12)[:, None] - np.arange(12)
    for matrix, reach in zip(matrices, (3, 1, 12, 12, 12), strict=True):
        assert ((matrix.values_TT > 0) == ((lags >= 0) & (lags < reach))).all()


def test_matrices_read_the_embedded_text_with_the_same_weights_every_time():
    first, again = (token_matrices(GENOME, STAR, width=16, length=5) for _ in range(2))
    longer = token_matrices(GENOME, STAR, width=16, length=9)
    for one, other, more in zip(first, again, longer, strict=True):
        assert np.array_equal(one.values_TT, other.values_TT)
        assert np.allclose(one.values_TT, more.values_TT[:5, :5], rtol=1e-4)


def test_every_panel_shows_the_past_alone():
    """Also of S4-1, whose FFT leaves rounding errors where the future is."""
    matrices = token_matrices(Genome.parse("i1111-11111-91111"), STAR, width=16, length=12)
    assert np.abs(np.triu(matrices[0].values_TT, 1)).max() > 0
    figure = draw_matrices(matrices, "a caption")
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in panels] == ["1  S4-1", "2  SA-1", "3  GMemless"]
    for axes, reach in zip(panels, (12, 12, 1), strict=True):
        shown = axes.images[0].get_array()
        lags = np.arange(12)[:, None] - np.arange(12)
        assert (~np.ma.getmaskarray(shown) == ((lags >= 0) & (lags < reach))).all()
        assert shown.max() == 1
        assert axes.images[0].get_clim() == (1e-3, 1)


def test_panels_fill_rows_of_equal_length():
    (one,) = token_matrices(Genome.parse("91111"), STAR, width=16, length=4)
    for count, rows, columns in ((1, 1, 1), (4, 1, 4), (8, 2, 4), (24, 4, 6)):
        panels = [axes for axes in draw_matrices([one] * count, "a caption").axes if axes.images]
        assert len(panels) == count
        assert panels[0].get_subplotspec().get_gridspec().get_geometry() == (rows, columns)
