"""`inspect` beyond its tables: sorting, filters, CSV, one candidate in full, two side by side; text of a run is shown as text."""

import csv
import io
import json
import re
import shutil
from dataclasses import replace

import pytest
from rich.console import Console

from star_search.analysis.lineage import trace
from star_search.analysis.run_view import RunView
from star_search.analysis.strips import FAMILY_LETTERS, families
from star_search.cli import inspect_candidate
from star_search.cli.progress import outcome_line
from star_search.genome.encoding import Genome
from star_search.runs.directory import RunDirectory
from star_search.runs.records import Outcome
from stored_run import with_objective

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


def test_filters_and_sorting_reach_tables_json_and_csv(command, stored_run):
    options = ("--sort", "-perplexity", "--where", "cache_bytes<=40e3", "--outcome", "ok")
    candidates = json.loads(command("inspect", stored_run.path, "--json", *options).out)["candidates"]
    values = [each["objectives"]["perplexity"] for each in candidates]
    assert 0 < len(values) < 30 and values == sorted(values, reverse=True)
    rows = list(csv.DictReader(io.StringIO(command("inspect", stored_run.path, "--csv", *options).out)))
    assert [int(row["id"]) for row in rows] == [each["id"] for each in candidates]
    assert [float(row["perplexity"]) for row in rows] == values
    table = command("inspect", stored_run.path, *options).out.split("\nCandidates")[1].split("\n\n")[0]
    assert [int(line.split()[0]) for line in table.splitlines()[2:]] == [each["id"] for each in candidates]


def test_csv_holds_every_candidate_and_text_as_text(command, stored_run):
    ended = command("inspect", stored_run.path, "--csv")
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    view = RunView.read(stored_run)
    assert [row["genome"] for row in rows] == [record.genome for record in view.records]
    assert {int(row["id"]) for row in rows if row["in_front"] == "1"} == {record.id for record in view.front}
    assert "<script>alert(1)</script>" in ended.out and not CONTROL.search(ended.out)


def test_no_text_of_the_csv_is_a_formula(command, stored_run, here):
    run = with_objective(stored_run, here / "run", "=acc.py:acc")
    record = RunView.read(run).records[0]
    run.write_candidate(replace(record, outcome=Outcome.crashed, reason='=HYPERLINK("http://x")'))
    rows = list(csv.reader(io.StringIO(command("inspect", run.path, "--csv").out)))
    assert rows[0][4] == "'=acc.py:acc" and rows[1][-1] == '\'=HYPERLINK("http://x")'
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


def test_one_candidate_in_full(command, stored_run):
    ended = command("inspect", stored_run.path, "--candidate", 25)
    assert (ended.code, ended.err) == (0, "")
    out = re.sub(r"\s+", " ", ended.out)
    record = RunView.read(stored_run).by_id[25]
    for text in (
        f"genome {record.genome} canonical {record.canonical}",
        "1 GConv-1 ",
        "drawn",
    ):
        assert text in out
    assert "LIV 4 feature strategy 3 to 1" in out
    assert "<b>books</b>: perplexity" in out
    assert "█" in out


def test_sharing_is_drawn_under_the_strip(command, stored_run):
    (number,) = [record.id for record in RunView.read(stored_run).records if record.canonical == "11111-11111-21114-21114"]
    lines = command("inspect", stored_run.path, "--candidate", number).out.splitlines()
    strip = lines.index("AALL")
    assert lines[strip + 1] == "  ●●  features v of LIVs 3, 4"


def test_two_candidates_side_by_side(command, stored_run):
    out = command("inspect", stored_run.path, "--candidate", 16, "--candidate", 26).out
    assert re.search(r"LIV +1 \* +SA-4 .* +GConv-2 ", out)
    assert re.search(r"LIV +2 +Rec-1 .* +Rec-1 ", out)
    assert "1 LIVs differ, 1 canonical genes" in out
    view = RunView.read(stored_run)
    pair = [view.by_id[16], view.by_id[26]]
    for record in pair:
        assert f"Candidate {record.id}\ngenome    {record.genome}\ncanonical {record.canonical}\n" in out
    assert re.search(rf"^LIVs +{' +'.join(strips(view, pair))} *$", out, re.MULTILINE)
    assert re.search(r"^tokens +1,000 +1,000 *$", out, re.MULTILINE)
    parents = [trace(view.by_id, record.id).ancestors[0].parents for record in pair]
    starts = [str(each[0]) if each else "drawn" for each in parents]
    assert re.search(rf"^from +{starts[0]}\b.* {starts[1]}\b", out, re.MULTILINE)
    counts = [len(trace(view.by_id, record.id).ancestors) - 1 for record in pair]
    assert re.search(rf"^ancestors +{counts[0]} +{counts[1]} *$", out, re.MULTILINE)


def strips(view, records):
    return ["".join(FAMILY_LETTERS[each] for each in families(Genome.parse(record.canonical), view.catalogue)) for record in records]


def test_side_by_side_says_what_was_lost(command, stored_run, tmp_path):
    run = RunDirectory.open(shutil.copytree(stored_run.path, tmp_path / "copy"))
    run.write_candidate(replace(RunView.read(run).by_id[16], measured={"lost_tokens": 300}))
    out = command("inspect", run.path, "--candidate", 16, "--candidate", 26).out
    assert re.search(r"^tokens +1,000 and 300 lost +1,000 *$", out, re.MULTILINE)


def test_json_of_one_and_of_two(command, stored_run):
    one = json.loads(command("inspect", stored_run.path, "--candidate", 25, "--json").out)
    assert (one["id"], one["lineage"]["ancestors"][0]["parents"]) == (25, [7, 16])
    two = json.loads(command("inspect", stored_run.path, "--candidate", 16, "--candidate", 26, "--json").out)
    assert two["candidates"][0]["genome"] == Genome.parse(two["candidates"][0]["genome"]).format()
    assert two["differing_livs"] == [1]


@pytest.mark.parametrize("arguments", [[], ["--show", "all"], ["--candidate", 1], ["--candidate", 1, "--candidate", 25]])
def test_text_of_a_run_is_shown_as_text(command, stored_run, arguments):
    out = command("inspect", stored_run.path, *arguments).out
    assert "</script><script>alert(1)</script> [red]x[/]" in re.sub(r"\s+", " ", out) or len(arguments) == 4
    assert r"\x1b[2J" in out and not CONTROL.search(out)


def test_a_damaged_record_cannot_write_to_the_terminal(command, stored_run, tmp_path):
    copy = shutil.copytree(stored_run.path, tmp_path / "copy")
    path = copy / "candidates" / "00003.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"canonical": "1\x1b[2J", "genome": "[red]\x1b[2J"}))
    for name in ("inspect", "motifs"):
        ended = command(name, copy)
        assert r"\x1b" in ended.err and not CONTROL.search(ended.err + ended.out)


def test_names_of_objectives_and_folders_are_shown_as_text(command, stored_run, here):
    run = with_objective(stored_run, here / "m[b]\x1b[2J", "e\x1b[31m[b]$x$.py:acc")
    shown = [command("inspect", run.path, *more) for more in ([], ["--candidate", 1], ["--candidate", 1, "--candidate", 25])]
    shown.append(command("report", run.path))
    for ended in shown:
        assert not CONTROL.search(ended.out + ended.err) and ended.code == 0
    assert all(r"e\x1b[31m[b]$x$.py:acc" in ended.out for ended in shown[:3])
    assert shown[3].out == "wrote report-m[b]\\x1b[2J.html\n"


def test_the_line_of_a_candidate_shows_names_as_text(stored_run, here):
    run = with_objective(stored_run, here / "run", "e\x1b[31m[b].py:acc")
    view = RunView.read(run)
    console = Console(file=io.StringIO(), width=200, highlight=False)
    console.print(outcome_line(view.config, view.front[0]), soft_wrap=True)
    assert r"e\x1b[31m[b].py:acc" in console.file.getvalue() and not CONTROL.search(console.file.getvalue())


def test_a_long_lineage_is_shown_back_to_generation_0(command, stored_run, monkeypatch):
    monkeypatch.setattr(inspect_candidate, "ANCESTORS_SHOWN", 2)
    view = RunView.read(stored_run)
    youngest = max(view.front, key=lambda record: record.id)
    ancestors = {each.record.id: each for each in trace(view.by_id, youngest.id).ancestors}
    text = command("inspect", stored_run.path, "--candidate", youngest.id).out.split("Lineage")[1]
    rows = {int(match[1]): int(match[2]) for match in re.finditer(r"^ *(\d+) +(\d+) +[A-Z]", text, re.MULTILINE)}
    assert list(rows)[:2] == list(ancestors)[:2] and min(rows.values()) == 0
    assert len(ancestors) > len(rows) and f"{len(ancestors) - len(rows)} more are left out" in text
    line = [youngest.id]
    while ancestors[line[-1]].parents:
        line.append(ancestors[line[-1]].parents[0])
    assert set(line) <= set(rows)


def test_outcomes_stand_by_kind(command, stored_run):
    out = command("inspect", stored_run.path).out
    records = RunView.read(stored_run).records
    for kind in {record.outcome for record in records}:
        count = sum(record.outcome == kind for record in records)
        assert re.search(rf"^{kind} +{count} +{count / 30:.0%} ", out[out.index("Outcomes") :], re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--candidate", 99], "has no candidate 99; it has 0 to 29"),
        (["--candidate", 1, "--candidate", 2, "--candidate", 3], "--candidate shows one candidate, or two side by side, got 3"),
        (["--candidate", 7, "--candidate", 7], "--candidate 7 is given twice; two side by side are two different ones"),
        (["--json", "--csv"], "--json and --csv cannot be combined"),
        (["--candidate", 1, "--csv"], "--csv lists candidates, so it cannot be combined with --candidate; --json prints them in full"),
        (["--show", "fronts"], "--show fronts is not known; did you mean 'front'?"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(command, stored_run, arguments, sentence):
    assert command("inspect", stored_run.path, *arguments).sentence().endswith(sentence)
