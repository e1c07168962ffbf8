"""The figure of token-mixing matrices: those of the front's trained weights over the run's own text."""

import json

import numpy as np
import pytest
import torch

from evolution.small_search import small_values, write_text_source
from star_search.analysis.figures import write_figures
from star_search.analysis.figures.token_mixing import IN_A_COLUMN, MOST_ROWS, ON_A_PAGE, draw_token_mixing, front_matrices
from star_search.analysis.run_view import RunView
from star_search.config import DataConfig
from star_search.data.store import prepare
from star_search.errors import StarSearchError
from star_search.genome.encoding import Genome
from star_search.genome.evolved import catalogue_for
from star_search.objectives.candidate_model import candidate_model
from stored_run import VOCABULARY, kept_run


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    return kept_run(tmp_path_factory.mktemp("kept") / "run")


def explicit(view, record, tokens):
    """Return, by position, the norm over channels of the whole explicit operator of every LIV, read with the weights on disk."""
    model = candidate_model(view.config, record.canonical, VOCABULARY, record.seed + 1).eval()
    found = {}

    def note(liv, given):
        found[liv.position] = liv.materialize(given[0][0], given[1]).square().sum((2, 3)).sqrt().numpy()

    for liv in model.backbone.livs:
        liv.register_forward_pre_hook(note)
    with torch.no_grad():
        model(torch.from_numpy(tokens)[None])
    return found


def panels(figure):
    return [axes for axes in figure.axes if axes.images]


def test_panels_are_the_operators_of_the_weights_that_the_run_keeps(view):
    found = front_matrices(view)
    assert [member.record.id for member in found.members] == [record.id for record in view.front[: len(found.members)]]
    drawn = iter(panels(draw_token_mixing(view, found)))
    tokens = np.random.default_rng(0).integers(VOCABULARY, size=64)
    for member in found.members:
        genome = Genome.parse(member.record.canonical)
        classes = [catalogue_for(genome, view.catalogue)[genes.liv_class] for genes in genome.livs]
        expected = explicit(view, member.record, tokens)
        mixers = [position for position, each in enumerate(classes) if each.is_mixer]
        assert [each.position for each in member.matrices] == mixers
        for position in mixers:
            axes = next(drawn)
            assert axes.get_title() == f"LIV {position + 1}  {classes[position].name}"
            shares = np.tril(expected[position] / expected[position].max())
            shown = axes.images[0].get_array().filled(0)
            assert shown == pytest.approx(np.where(shares < 1e-5, 0, shares), rel=1e-3, abs=2e-5)
    assert next(drawn, None) is None


def test_axes_count_tokens_and_the_bar_says_what_its_colours_are(view):
    figure = draw_token_mixing(view, front_matrices(view))
    first, *_, last = panels(figure)
    assert [tick.get_text() for tick in first.get_yticklabels()] == [tick.get_text() for tick in last.get_xticklabels()] == ["1", "64"]
    texts = [each.get_text() for each in figure.texts]
    assert {"token read", "token written"} <= set(texts)
    record = view.front[0]
    assert f"candidate {record.id}: perplexity {record.objectives['perplexity']:.2f}" in texts
    assert figure.axes[0].get_xlabel() == "share of the panel's largest entry (white: under 0.00001)"
    assert all(axes.images[0].get_clim() == (1e-3, 1) for axes in panels(figure))


def test_nothing_overlaps(view):
    figure = draw_token_mixing(view, front_matrices(view))
    figure.draw_without_rendering()
    boxes = [axes.get_tightbbox() for axes in figure.axes] + [each.get_window_extent() for each in figure.texts]
    assert not [(one, other) for place, one in enumerate(boxes) for other in boxes[:place] if overlap(one, other) > 1]
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in boxes)


def overlap(one, other):
    """Return how many pixels two boxes have in common in the direction in which they have fewer."""
    return min(min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0))


def test_models_read_the_validation_text_where_its_store_is_there(view, tmp_path):
    assert "drawn at random" in front_matrices(view).reading
    data = small_values(write_text_source(tmp_path))["data"]
    store = prepare(DataConfig(**{key: data[key] for key in ("source", "validation_fraction")}))
    path = view.run.path / "provenance.json"
    before = path.read_text()
    path.write_text(json.dumps(json.loads(before) | {"data": {"fingerprint": store.fingerprint}}))
    (tmp_path / "sentences.jsonl").unlink()
    try:
        found = front_matrices(RunView.read(view.run))
    finally:
        path.write_text(before)
    assert found.reading == "the first 64 tokens of the run's validation text"
    record = found.members[0].record
    expected = explicit(view, record, np.asarray(store.validation[:64]).astype(np.int64))
    for matrix in found.members[0].matrices:
        assert matrix.values_TT == pytest.approx(expected[matrix.position], rel=1e-3, abs=1e-6)


def test_deep_genomes_get_a_page_and_no_more_than_it_holds(tmp_path):
    wide = kept_run(tmp_path / "wide", space={"depth": 20, "width": 16, "classes": [1, 7]})
    found = front_matrices(wide)
    assert (found.columns, len(found.members[0].matrices), found.members[0].left) == (ON_A_PAGE, 20, 0)
    deep = front_matrices(kept_run(tmp_path / "deep", space={"depth": 40, "width": 16, "classes": [7]}))
    assert [(len(each.matrices), each.left) for each in deep.members] == [(MOST_ROWS * ON_A_PAGE, 4)]
    for each in (found, deep):
        figure = draw_token_mixing(wide, each)
        assert figure.get_figwidth() == 7 and figure.get_figheight() < 9
    assert IN_A_COLUMN * MOST_ROWS < 20


def test_a_run_without_weights_has_all_figures_but_this(stored_run, tmp_path, view):
    said = []
    names = {path.stem for path in write_figures(RunView.read(stored_run), tmp_path / "figures", say=said.append)}
    assert "token_mixing" not in names and len(names) == 8
    number = RunView.read(stored_run).front[0].id
    weights = stored_run.path / "weights" / f"{number:05d}.safetensors"
    assert said == [f"figure token_mixing is left out: {weights} does not hold the weights of candidate {number}"]
    kept = {path: path.read_bytes() for path in (view.run.path / "weights").iterdir()}
    for path in kept:
        path.unlink()
    try:
        with pytest.raises(StarSearchError, match="keeps no weights of its front"):
            front_matrices(view)
    finally:
        for path, content in kept.items():
            path.write_bytes(content)
