"""What the page's scripts make of a run, run by Node without a browser."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations, pairwise
from random import Random

import numpy as np
import pytest

from analysis.page_scripts import evaluate, needs_node
from star_search.analysis.report.data import report_data
from star_search.analysis.run_view import RunView

OWN = "m@8\x1b[2J.py:$x^2$"


@pytest.fixture(scope="module")
def view(stored_run):
    return RunView.read(stored_run)


@pytest.fixture(scope="module")
def data(view):
    return report_data(view)


def with_own_objective(view):
    """Return the run as if its first objective were a function of a file with a hostile name."""
    first, *others = view.names
    records = [
        replace(record, objectives={OWN if name == first else name: value for name, value in record.objectives.items()})
        for record in view.records
    ]
    return replace(view, config=view.config.model_copy(update={"objectives": [OWN, *others]}), records=records)


@needs_node
def test_the_name_of_an_own_objective_is_text_and_no_length(view):
    found = report_data(with_own_objective(view))
    assert found.opening["objectives"][0] == found.opening["columns"][0] == r"m@8\x1b[2J.py:$x^2$"
    labels = evaluate(found, '[labelOf(data.objectives[0]), plain(labelOf(data.objectives[0])), labelOf("cache_bytes@8192")]')
    assert labels == [r"m@8\x1b[2J.py:$x^2$", r"m@8\x1b[2J.py:&#36;x^2&#36;", "cache (bytes) at 8,192 tokens"]
    assert evaluate(found, "valueOf(data.candidates[0], data.objectives[0])") == view.records[0].objectives[view.names[0]]


@needs_node
def test_before_a_generation_is_finished_the_front_so_far_stands_and_its_best_is_chosen(view):
    records = [record for record in view.records if record.generation == 0][:5]
    found = report_data(replace(view, generation=None, records=records, generations=[]))
    first, second = view.names
    done = [(each.objectives[first], each.objectives[second], each.id) for each in records if each.outcome == "ok"]
    front = [one for one in sorted(done) if not any(a <= one[0] and b <= one[1] and (a, b) != one[:2] for a, b, _ in done)]
    asked = "[frontAt(state.generation).map((each) => each.id), bestId(), scatterTraces()[2].name, find('overview-section').hidden]"
    ids = [number for _, _, number in front]
    assert len(ids) > 1
    assert evaluate(found, f"(drawProgress(), {asked})", "scatter.js", "overview.js") == [ids, ids[0], "front so far", True]
    assert report_data(view).opening["so_far"] == {}


PASSED = "(({ tests, problems }) => [data.candidates.filter((each) => tests.every((test) => test(each))).map((each) => each.id), problems])"


def passed(data, text):
    """Return the ids of the candidates that pass the filter, and what it does not understand."""
    return tuple(evaluate(data, f"{PASSED}(understood({json.dumps(text)}))", "filter.js"))


@needs_node
@pytest.mark.parametrize(
    "text",
    ["cache_bytes <= {} perplexity<{}", "CACHE_BYTES≤{} Perplexity < {}", "perplexity  <{1} cache (bytes) <= {0:,}"],
)
def test_conditions_are_understood_however_they_are_written(view, data, text):
    caches, losses = ([each.objectives[name] for each in view.records if each.outcome == "ok"] for name in ("cache_bytes", "perplexity"))
    cache, loss = sorted(caches)[len(caches) // 2], sorted(losses)[len(losses) // 2]
    fit = [
        each.id
        for each in view.records
        if each.objectives.get("cache_bytes", 1e9) <= cache and each.objectives.get("perplexity", 1e9) < loss
    ]
    assert 0 < len(fit) < len(caches) // 2
    assert passed(data, text.format(int(cache), loss)) == (fit, [])


@needs_node
def test_equal_more_words_and_names_with_a_colon_are_understood(view, data):
    assert passed(data, "generation = 1 id>8") == ([each.id for each in view.records if each.generation == 1 and each.id > 8], [])
    assert passed(data, "CRASHED")[0] == [each.id for each in view.records if each.outcome == "crashed"]
    first = view.names[0]
    found = report_data(with_own_objective(view))
    known = sorted(each.objectives[first] for each in view.records if first in each.objectives)
    least = [each.id for each in view.records if each.objectives.get(first) == known[0]]
    assert passed(found, f"{found.opening['objectives'][0]} = {known[0]!r}") == (least, [])


@needs_node
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("perplexit <= 20 generation=0", "perplexit <= 20: no such column; there are perplexity, "),
        ("cache_bytes<=30k generation=0", "cache_bytes <= 30k: a number must follow <="),
        ("generation=0 perplexity <", "perplexity < nothing: a number must follow <"),
    ],
)
def test_what_is_not_understood_is_said_and_left_out(view, data, text, problem):
    ids, (said,) = passed(data, text)
    assert ids == [each.id for each in view.records if each.generation == 0]
    assert said.startswith(problem)


@needs_node
def test_the_scatter_stands_still_while_the_slider_moves_and_frames_nobody_unborn(view, data):
    across, up = data.opening["objectives"][1], data.opening["objectives"][0]
    youngest = max(view.front, key=lambda record: record.id)
    assert youngest.generation > 0
    setting = f'find("across").value = {across!r}; find("up").value = {up!r}; state.chosen = {youngest.id};'
    seen = 'find("title").textContent, find("candidate-title").textContent, chosenFrame().length, axisOf("across").range'
    asked = f"(() => {{ {setting} return [0, 4].map((each) => {{ state.generation = each; showGeneration(); return [{seen}]; }}); }})()"
    (title, candidate, frames, range_early), (title_last, candidate_last, frames_last, range_last) = evaluate(
        data, asked, "scatter.js", "candidate.js"
    )
    assert title.endswith("generation 0 of 4") and title_last.endswith("generation 4")
    assert candidate == f"{candidate_last} (the scatter shows up to generation 0)"
    assert (frames, frames_last) == (0, 1)
    values = [record.objectives[across] for record in view.records if across in record.objectives]
    assert range_early == range_last
    assert range_early[0] < min(values) and max(values) < range_early[1] < 1.1 * max(values)
    shapes = evaluate(data, f"(() => {{ {setting} return scatterTraces()[2].line.shape; }})()", "scatter.js", "candidate.js")
    assert shapes == "hv"


@needs_node
def test_a_long_lineage_keeps_one_line_down_to_its_beginning(data):
    """Of 60 generations of two, the first parent of candidate 60 was drawn late, its second was not."""
    candidates = [
        {"id": number, "generation": number // 2, "parents": [number - number % 2 - 2, number - number % 2 - 1] if number > 1 else []}
        for number in range(120)
    ]
    candidates[60]["parents"], candidates[57]["parents"] = [57, 58], []
    asked = "(() => { const all = ancestorsOf(119); return [all.length, shownAncestors(all), descent(all)].map(numbers); })()"
    numbers = "const numbers = (given) => typeof given === 'number' ? given : [...given].map((each) => each.id);"
    found = replace(data, opening={**data.opening, "candidates": candidates})
    count, shown, line = evaluate(found, f"(() => {{ {numbers} return {asked}; }})()", "candidate.js")
    assert (count, len(shown), shown[:42]) == (119, 100, list(range(119, 118, -1)) + list(range(117, 76, -1)))
    assert (line[0], line[-1], len(line)) == (119, 0, 60) and set(line) <= set(shown)
    assert 58 in line and 57 not in line
    assert all(parent in candidates[child]["parents"] for child, parent in pairwise(line))


def links_of(depth, count, seed):
    """Return links between LIVs that are drawn at random, as details hold them."""
    random = Random(seed)
    pairs = sorted({tuple(sorted(random.sample(range(depth), 2))) for _ in range(count)})
    return [["features", first, second, random.choice(["v", "k, v", "A, B, v"])] for first, second in pairs]


def curve(first, second, unit):
    """Return points in pixels along the cubic curve of `arcShape`, over the blocks' upper edge."""
    top = 4 / 3 * 0.62 * (second - first) ** 0.6 * 45
    share = np.linspace(0, 1, 3000)
    weights = [(1 - share) ** 3, 3 * (1 - share) ** 2 * share, 3 * (1 - share) * share**2, share**3]
    corners = [(unit * (x + 0.5), y) for x, y in ((first, 0), (first, top), (second, top), (second, 0))]
    return sum(np.outer(weight, corner) for weight, corner in zip(weights, corners, strict=True))


@needs_node
@pytest.mark.parametrize(("depth", "count", "width"), [(8, 4, 560), (24, 8, 560), (48, 7, 560), (48, 20, 560), (48, 7, 320)])
def test_labels_of_arcs_cover_neither_each_other_nor_foreign_arcs(data, depth, count, width):
    """A letter of ten pixels' size is at most 6 wide in the mean, and a line 13 high."""
    every = [links_of(depth, count, seed) for seed in range(5)]
    candidate = json.dumps({"livs": [0] * depth})
    asked = f"{json.dumps(every)}.map((links) => sharedTexts({candidate}, {{ links }}))"
    found = evaluate(data, f"(() => {{ find('drawing').clientWidth = {width}; return {asked}; }})()", "labels.js", "drawing.js")
    unit = (width - 10) / (depth + 0.8)
    for links, texts in zip(every, found, strict=True):
        assert len(texts) >= len(links) / 2
        arcs = [curve(first, second, unit) for _, first, second, _ in links]
        centres = [np.array((each["x"] * unit, (each["y"] - 1.9) * 45)) for each in texts]
        halves = [np.array((3 * len(each["text"]), 6.5)) for each in texts]
        assert all(centre[1] > half[1] for centre, half in zip(centres, halves, strict=True))
        for (one, half), (other, other_half) in combinations(zip(centres, halves, strict=True), 2):
            assert (abs(one - other) > half + other_half).any()
        for centre, half in zip(centres, halves, strict=True):
            assert sum((abs(arc - centre) < half).all(axis=1).any() for arc in arcs) <= 1


@needs_node
def test_the_frame_is_a_path_in_pixels_and_a_logarithmic_axis_has_few_labels(data):
    """Plotly loses pixels below zero of a rectangle on a logarithmic axis."""
    setting = "find('across').value = data.objectives[1]; find('up').value = data.objectives[0]; state.chosen = bestId();"
    log = "find('across-log').checked = true; find('scatter').clientWidth = 340;"
    asked = f"(() => {{ {setting} {log} return [chosenFrame()[0], axisOf('across').nticks, axisOf('up').nticks ?? 0]; }})()"
    frame, ticks, others = evaluate(data, asked, "scatter.js")
    assert (frame["type"], frame["xsizemode"], frame["ysizemode"]) == ("path", "pixel", "pixel") and "x0" not in frame
    assert (ticks, others) == (3, 0)


@needs_node
@pytest.mark.parametrize(
    ("answer", "times", "sentence"),
    [
        (
            "ok: true, headers: new Map([['ETag', undefined], ['Run-State', 'ended']])",
            1,
            "the search has ended or was stopped; all it left, ",
        ),
        ("ok: true, headers: new Map([['ETag', undefined], ['Run-State', 'open']])", 20, "live, as of "),
        ("ok: false, text: async () => 'the run cannot be read: why'", 20, "the run cannot be read: why; this is what was last known"),
        (None, 3, "no answer: the search has ended or was stopped; this is what was last known, and the page asks no more"),
    ],
)
def test_a_live_page_asks_until_it_has_the_end_or_nobody_answers(data, answer, times, sentence):
    fetched = f"async () => ({{ {answer} }})" if answer else "async () => { throw new TypeError('Failed to fetch'); }"
    before = f"const waiting = []; globalThis.setTimeout = (call) => waiting.push(call); globalThis.fetch = {fetched};"
    asked = """(async () => {
      let times = 0;
      for (state.isComplete = true; waiting.length && times < 20; times++) await waiting.shift()();
      return [times, find("live").textContent];
    })()"""
    found, text = evaluate(data, asked, "live.js", before=before)
    assert found == times and text.startswith(sentence)
