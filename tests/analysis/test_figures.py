"""Figures of a stored run: what they draw is what the run says."""

import io
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.collections import PathCollection
from PIL import Image

from helpers import STAR
from star_search.analysis.figures import FORMATS, objectives, write_figures
from star_search.analysis.figures.backbones import draw_backbones, draw_genomes, front_backbones, split_into_pages
from star_search.analysis.figures.cache import LENGTHS, baseline_accounts, draw_cache
from star_search.analysis.figures.curves import draw_curves
from star_search.analysis.figures.motifs import class_counts, draw_motifs
from star_search.analysis.figures.objectives import draw_fronts, draw_progress, draw_scores
from star_search.analysis.figures.style import ink_on, label, text
from star_search.analysis.motifs import class_names, distance_range, links, motif_counts, population_of
from star_search.analysis.run_view import RunView
from star_search.errors import InputError
from star_search.genome.baselines import baseline
from star_search.genome.encoding import Genome
from stored_run import kept_run, with_objective

SHARING = "21211-31112-21221-32112"


@pytest.fixture(scope="module")
def view(stored_run):
    return RunView.read(stored_run)


def lines(axes):
    return {line.get_label(): line.get_xydata().tolist() for line in axes.lines}


def test_fronts_are_those_of_their_generations(view):
    axes = draw_fronts(view).axes[0]
    drawn = lines(axes)
    assert list(drawn) == [f"generation {number}" for number in range(5)]
    for generation in view.generations:
        points = sorted([view.by_id[number].objectives[name] for name in ("cache_bytes", "perplexity")] for number in generation.front)
        assert drawn[f"generation {generation.generation}"] == points
    (dots,) = axes.collections
    assert len(dots.get_offsets()) == sum(record.outcome == "ok" for record in view.records)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("cache (bytes)", "perplexity")


def test_progress_is_that_of_the_tables(view):
    upper, lower = draw_progress(view).axes
    assert [y for _, y in lines(upper)["best so far"]] == [entry.best for entry in view.progress]
    assert [y for _, y in lower.lines[0].get_xydata()] == [entry.hypervolume for entry in view.progress]


def test_scores_are_those_of_offspring_and_population(view):
    axes = draw_scores(view).axes[0]
    dots = [each.get_offsets().tolist() for each in axes.collections if isinstance(each, PathCollection)][:5]
    for generation, points in zip(view.generations, dots, strict=True):
        offspring = (view.by_id[number] for number in generation.offspring)
        assert [y for _, y in points] == [each.objectives["perplexity"] for each in offspring if each.outcome == "ok"]
        assert all(round(x) == generation.generation for x, _ in points)


def test_caches_are_those_of_the_account(view):
    baselines = baseline_accounts(view, {"pair": "11111-91111"})
    axes = draw_cache(view, baselines).axes[0]
    drawn = {line.get_gid() or line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert len(drawn) == len(view.front) + 1
    # Keys and values of one attention, two bytes each, at width 64.
    assert drawn["pair"] == [[length, 2 * 2 * 64 * length] for length in LENGTHS]
    record = view.front[0]
    assert drawn[f"candidate {record.id}"] == [[length, view.account(record).cache_bytes(length)] for length in LENGTHS]


def test_baselines_have_the_run_s_depth_where_they_are_named(view):
    found = baseline_accounts(view, {"striped-mamba": "striped-mamba"})
    assert found["striped-mamba"].genome == baseline("striped-mamba", 4, view.catalogue)


def test_the_baseline_is_transformer_plus_plus_of_the_same_depth(view):
    (account,) = baseline_accounts(view, {}).values()
    assert account.genome.format() == "11111-91111-11111-91111"


def test_loss_curves_are_in_tokens(view):
    drawn = {line.get_gid(): line.get_xydata().tolist() for line in draw_curves(view).axes[0].lines}
    record = view.front[0]
    assert drawn[f"candidate {record.id}"] == [[step * 100, loss] for step, loss in record.details["curve"]]


def test_motifs_count_what_the_populations_hold(view):
    populations = {each.generation: population_of(view, each) for each in view.generations}
    counts = class_counts(view, populations)
    assert [sum(row[place] for row in counts.values()) for place in range(5)] == pytest.approx([4.0] * 5)
    first = populations[0]
    assert counts["attention", "SA-1"][0] == sum(genome.format()[::6].count("1") for genome in first) / len(first)
    panels = draw_motifs(view).axes
    per_genome = {label: [y for _, y in points] for label, points in lines(panels[1]).items()}
    assert per_genome["feature groups shared"][0] == sum(link.kind == "features" for g in first for link in links(g, view.catalogue)) / 6
    assert panels[0].images[0].get_array().tolist() == list(counts.values())


def test_the_drawing_of_the_example_shows_both_sharings():
    axes = draw_backbones([(SHARING, Genome.parse(SHARING))], STAR).axes[0]
    gids = [patch.get_gid() for patch in axes.patches]
    assert [gid for gid in gids if "liv" in gid] == ["liv 1", "liv 2", "liv 3", "liv 4"]
    assert [gid for gid in gids if "liv" not in gid] == ["featurizer 1-3", "features 2-4"]
    assert [each.get_text() for each in axes.texts] == ["L", "SA-2", "A", "SA-3", "L", "SA-2", "A", "SA-3", "k, v"]
    above, below = (patch.get_path().vertices[1:3, 1].mean() for patch in axes.patches[5:3:-1])
    assert above > 1.9 and below < 0


def test_drawings_frame_what_runs_in_parallel_and_letters_stand_in_for_names_that_do_not_fit():
    axes = draw_backbones([("x", Genome.parse("11111-71111-91111|133"))], STAR).axes[0]
    assert [patch.get_gid() for patch in axes.patches][3:] == ["block 1-3"]
    deep = draw_backbones([("x", Genome.parse("-".join(["11111", "91111"] * 24)))], STAR).axes[0]
    assert {each.get_text() for each in deep.texts} == {"A", "M"}


def test_strips_and_drawings_are_of_the_front(view):
    pages = [draw_backbones(page, view.catalogue) for page in front_backbones(view)]
    titles = [axes.get_title(loc="left").split(":")[0] for figure in pages for axes in figure.axes]
    assert titles == [f"candidate {record.id}" for record in view.front[:8]]
    labels = [tick.get_text() for tick in draw_genomes(view).axes[0].get_yticklabels()]
    assert labels[: len(view.front)] == [f"front {record.id}" for record in view.front]


@pytest.mark.parametrize(("depth", "beside"), [(8, True), (24, False)])
def test_drawings_of_backbones_fit_pages(depth, beside):
    genome = Genome.parse("-".join(["21212"] * (depth // 2) + ["21211"] * (depth // 2)))
    pages = split_into_pages([(str(number), genome) for number in range(8)], STAR)
    figures = [draw_backbones(page, STAR) for page in pages]
    assert [axes.get_title(loc="left") for figure in figures for axes in figure.axes] == [str(number) for number in range(8)]
    assert all(figure.get_figwidth() <= 7.01 and figure.get_figheight() <= 9 for figure in figures)
    first, second = (axes.get_position() for axes in figures[0].axes[:2])
    assert (bool(first.x1 <= second.x0), bool(second.y1 <= first.y0)) == (beside, not beside)


def test_one_generation_has_dots_and_whole_numbers_and_a_front_of_one_value_no_range(view):
    first = RunView.read(view.run, 0)
    alone = replace(first, generations=[replace(first.generations[0], front=first.generations[0].front[:1])])
    for figure, panels in ((draw_motifs(alone), [0, 1, 2]), (draw_scores(alone), [0]), (draw_progress(alone), [1])):
        figure.draw_without_rendering()
        for place in panels:
            assert [tick for tick in figure.axes[place].get_xticks() if -0.5 <= tick <= 0.5] == [0]
    assert all(line.get_marker() == "o" for line in draw_motifs(alone).axes[1].lines)
    name = f"front, perplexity {alone.front[0].objectives['perplexity']:.4g}"
    assert all(len(figure.axes) == 1 and name in lines(figure.axes[0]) for figure in (draw_cache(alone, {}), draw_curves(alone)))
    assert len(draw_cache(view, {}).axes) == 2


def test_a_candidate_is_seen_in_every_front_and_dots_are_sampled_where_there_are_many(view, monkeypatch):
    drawn = draw_fronts(view).axes[0].lines
    assert [line.get_markersize() for line in drawn] == sorted((line.get_markersize() for line in drawn), reverse=True)
    assert [line.get_markerfacecolor() == "none" for line in drawn] == [True] * 4 + [False]
    monkeypatch.setattr(objectives, "DOTS_DRAWN", 10)
    axes = draw_scores(view).axes[0]
    assert sum(len(each.get_offsets()) for each in axes.collections if isinstance(each, PathCollection)) <= 10
    assert "offspring (1 in 3)" in axes.get_legend_handles_labels()[1]


def points(path):
    """Return width and height of a figure's file in points, 72 an inch, once it is known to be whole."""
    content = path.read_bytes()
    if path.suffix == ".png":
        with Image.open(path) as image:
            image.load()
            assert [round(each) for each in image.info["dpi"]] == [300, 300]
            return [72 * pixels / 300 for pixels in image.size]
    if path.suffix == ".svg":
        root = ElementTree.fromstring(content)
        assert root.tag == "{http://www.w3.org/2000/svg}svg" and len(list(root.iter())) > 20
        assert root.get("viewBox").split()[2:] == [root.get(name).removesuffix("pt") for name in ("width", "height")]
        return [float(root.get(name).removesuffix("pt")) for name in ("width", "height")]
    assert content.startswith(b"%PDF-1.") and content.endswith(b"%%EOF\n")
    # The table of contents stands where the end of the file says.
    assert content[int(re.search(rb"startxref\n(\d+)\n%%EOF", content)[1]) :].startswith(b"xref\n")
    (page,) = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", content)
    return [float(each) for each in page]


def test_every_figure_is_written_in_every_format_and_never_over_another(tmp_path):
    view = kept_run(tmp_path / "run")
    paths = write_figures(view, tmp_path / "drawn", FORMATS)
    names = {"genomes", "motifs", "fronts", "progress", "scores", "cache", "backbones", "loss_curves", "token_mixing"}
    assert sorted(path.name for path in paths) == sorted(f"{name}.{each}" for name in names for each in ("pdf", "svg", "png"))
    assert sorted((tmp_path / "drawn").iterdir()) == sorted(paths)
    for name in names:
        sizes = [points(tmp_path / "drawn" / f"{name}.{each}") for each in ("pdf", "svg", "png")]
        assert sizes[1] == pytest.approx(sizes[0], abs=0.01) and sizes[2] == pytest.approx(sizes[0], abs=0.25)
        width, height = (each / 72 for each in sizes[0])
        assert 3.39 <= width <= 7.01 and height <= 9.01
        if name in ("fronts", "progress", "scores", "cache", "loss_curves", "token_mixing"):
            assert width == pytest.approx(3.4)
    with pytest.raises(InputError, match="exists already"):
        write_figures(view, tmp_path / "drawn", ("svg",))


def test_names_hold_no_mathematics_and_letters_are_read_on_their_colour():
    assert text("a$b$\x1b") == r"a\$b\$\x1b"
    assert (ink_on("#0072B2"), ink_on("#56B4E9"), ink_on("#999999")) == ("white", "black", "black")


@pytest.mark.parametrize("name", [r"m$\frac$.py:acc", "m@8.py:acc"])
def test_any_legal_name_of_an_objective_is_drawn_as_text(stored_run, tmp_path, name):
    view = RunView.read(with_objective(stored_run, tmp_path / "run", name))
    figures = [draw_fronts(view), draw_scores(view), draw_progress(view), draw_cache(view, {}), draw_curves(view)]
    for figure in figures:
        figure.savefig(io.BytesIO(), format="svg")
    shown = [axes.get_ylabel() for figure in figures for axes in figure.axes]
    assert sum(name.replace("$", r"\$") in each for each in shown) == 5
    assert label("cache_bytes@8192") == "cache (bytes) at 8,192 tokens"


def test_motifs_of_the_example():
    counts = {f"{motif.kind}: {motif.name}": count for motif, count in motif_counts(Genome.parse(SHARING), STAR).items()}
    assert counts == {
        "class: SA-2": 2,
        "class: SA-3": 2,
        "pair: SA-2 then SA-3": 2,
        "pair: SA-3 then SA-2": 1,
        "sharing: weights k, v, q of SA-2": 1,
        "sharing: features k, v of SA-3": 1,
        "distance: weights 2 to 3 apart": 1,
        "distance: features 2 to 3 apart": 1,
    }
    assert [distance_range(each) for each in (1, 3, 4, 7, 8, 40)] == [
        "1 apart", "2 to 3 apart", "4 to 7 apart", "4 to 7 apart", "8 or more apart", "8 or more apart",
    ]  # fmt: skip


def test_classes_of_a_genome_s_own_are_counted_by_family():
    """Number 101 is another operator in every genome."""
    names = [class_names(Genome.parse(f"71111-(101)1111+{operator}"), STAR) for operator in ("121231", "731110")]
    assert names == [["GConv-1", "own attention"], ["GConv-1", "own gated convolution"]]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--format", "gif"], "--format gif is not known; allowed: pdf, svg, png"),
        (
            ["--baseline", "x="],
            "--baseline x= must read NAME=GENOME, such as Transformer=11111-91111, or name a baseline",
        ),
        (["--baseline", "striped-mamb"], "--baseline striped-mamb: 'striped-mamb' is neither a genome nor a baseline; did you mean"),
        (["--baseline", "x=11"], "--baseline x: LIV 1 of the genome, '11', has 2 genes"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(stored_run, tmp_path, monkeypatch, arguments, sentence):
    from cli.conftest import run_command

    monkeypatch.chdir(tmp_path)
    assert run_command("figures", stored_run.path, *arguments).sentence().startswith(sentence)
    assert list(Path(tmp_path).iterdir()) == []
