"""The terminal: what a narrow one does to lines, and that a pipe gets them whole."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from star_search.analysis.run_view import RunView
from star_search.cli import console, inspect_candidate, inspect_run
from star_search.objectives.assignment import Assignment
from star_search.runs.records import Outcome
from stored_run import HOSTILE, store_run

SHOWN = r"ValueError: </script><script>alert(1)</script> [red]x[/] \x1b[2J\u202egnp"


@pytest.fixture(params=[80, 140])
def terminal(request, monkeypatch):
    made = Console(file=io.StringIO(), width=request.param, height=24, highlight=False, force_terminal=True, no_color=True, _environ={})
    for module in (console, inspect_run, inspect_candidate):
        monkeypatch.setattr(module, "console", made)
    return made


@pytest.fixture
def pipe(monkeypatch):
    made = Console(file=io.StringIO(), width=80, highlight=False, soft_wrap=True, _environ={})
    monkeypatch.setattr(console, "console", made)
    return made


def failed(number):
    genome = "11111-91111"
    return Assignment(number, 0, genome, genome, "").record(0, Outcome.crashed, HOSTILE, {})


def lines_of(made):
    return [line.rstrip() for line in Text.from_ansi(made.file.getvalue()).plain.split("\n")]


def test_reasons_go_on_below_where_they_began(terminal):
    console.print_failures([failed(7), failed(1234)])
    lines = lines_of(terminal)
    assert max(map(len, lines)) <= terminal.width
    assert lines[0].startswith("  candidate 7     crashed  ValueError: </script>")
    assert all(line.startswith("  candidate") or line[:26].strip() == "" for line in lines)
    assert "".join(line[26:] for line in lines).replace(" ", "") == 2 * SHOWN.replace(" ", "")


def test_the_legend_keeps_letters_with_their_names(terminal):
    console.print_legend()
    lines = lines_of(terminal)
    assert max(map(len, lines)) <= terminal.width
    assert all(any(name in line for line in lines) for name in ("A attention", "S state space", "M memoryless"))


def test_commands_stay_one_line(terminal):
    console.print_whole("x" * 200)
    assert lines_of(terminal) == ["x" * 200, ""]


def test_a_pipe_gets_whole_lines(pipe):
    console.print_failures([failed(7)])
    console.print_legend()
    first, legend, _ = lines_of(pipe)
    assert first == f"  candidate 7  crashed  {SHOWN}"
    assert legend.startswith("A attention  L linear attention  R recurrence")
    assert len(legend) > 80


def test_the_console_of_a_pipe_wraps_nothing():
    assert console._console().soft_wrap is not console._console().is_terminal


def test_what_inspect_prints_fits(terminal, tmp_path):
    view = RunView.read(store_run(tmp_path / "run"))
    inspect_run.print_run(view, {"Front": view.front, "Candidates": view.records})
    oldest, youngest = view.front[0], max(view.population, key=lambda record: record.id)
    inspect_candidate.print_candidate(view, youngest)
    inspect_candidate.print_comparison(view, oldest, youngest)
    lines = lines_of(terminal)
    # A path is one word: rich breaks it where it must.
    assert max(map(len, lines)) <= terminal.width
    assert sum(line.startswith("Lineage: parents, who gave which genes") for line in lines) == 1
    assert f"Candidate {youngest.id} of generation {youngest.generation}" in "\n".join(lines)
