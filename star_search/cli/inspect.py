"""`star-search inspect`: look at a run, one of its generations, or one or two of its candidates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from star_search.analysis.run_view import RunView
    from star_search.objectives.listing import Listing
    from star_search.runs.records import CandidateRecord

SECTIONS = {"front": "Front", "population": "Population", "all": "Candidates"}


def inspect(
    path: Annotated[Path | None, typer.Argument(help="A run, a generation folder, or runs/genNN; the newest run by default.")] = None,
    show: Annotated[
        str | None,
        typer.Option(metavar="WHICH", help="front, population or all; by default the first two, filtered or as JSON or CSV all."),
    ] = None,
    sort: Annotated[str | None, typer.Option(help="Sort by an objective, id, generation, outcome or tokens; -NAME: largest first.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(metavar="CONDITION", help='"cache_bytes<=20e6", "generation>=3"; may be repeated.')
    ] = None,
    outcome: Annotated[list[str] | None, typer.Option(help="Only candidates that ended so; may be repeated.")] = None,
    class_: Annotated[list[str] | None, typer.Option("--class", help="Only genomes that hold this class; may be repeated.")] = None,
    candidate: Annotated[
        list[int] | None, typer.Option(metavar="ID", help="One candidate in full with its lineage; given twice, both side by side.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write figures as PNG into this folder.")] = None,
    objectives: Annotated[
        str | None, typer.Option(help="Look at the run under other objectives, without training: for example parameters,cache_bytes@8192.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print the candidates as CSV.")] = False,
) -> None:
    """Show a run: its front, its population, and how it went over the generations; or one or two of its candidates."""
    from star_search.cli.console import exit_if_damaged, print_damaged, print_written
    from star_search.objectives.listing import Listing

    _check(show, candidate or [], json_, csv)
    view = _read(path, objectives)
    listing = Listing(view, sort, where or [], outcome or [], class_ or [])
    print_damaged(view)
    figures = [] if plot is None else _figures(view, plot)
    if candidate:
        _print_candidates(view, [view.candidate(number) for number in candidate], json_)
    else:
        _print_run(view, listing, show, json_, csv)
    for figure in figures:
        print_written(figure, aside=json_ or csv)
    exit_if_damaged(view)


def _check(show: str | None, candidate: list[int], json_: bool, csv: bool) -> None:
    from star_search.errors import InputError, did_you_mean

    if show is not None and show not in SECTIONS:
        raise InputError(f"--show {show} is not known{did_you_mean(show, SECTIONS)}")
    if json_ and csv:
        raise InputError("--json and --csv cannot be combined")
    if candidate and csv:
        raise InputError("--csv lists candidates, so it cannot be combined with --candidate; --json prints them in full")
    if len(candidate) > 2:
        raise InputError(f"--candidate shows one candidate, or two side by side, got {len(candidate)}")
    if len(candidate) > len(set(candidate)):
        raise InputError(f"--candidate {candidate[0]} is given twice; two side by side are two different ones")


def _figures(view: RunView, folder: Path) -> list[Path]:
    from star_search.analysis.figures import write_figures
    from star_search.cli.console import print_aside

    return write_figures(view, folder, option="--plot", say=print_aside)


def _read(path: Path | None, objectives: str | None) -> RunView:
    from star_search.analysis.run_view import RunView
    from star_search.objectives.reassessment import reassess
    from star_search.runs.locate import locate, newest_run

    view = RunView.read(*((newest_run(Path("runs")), None) if path is None else locate(path)))
    return view if objectives is None else reassess(view, [name.strip() for name in objectives.split(",")])


def _print_candidates(view: RunView, records: list[CandidateRecord], json_: bool) -> None:
    from star_search.analysis.candidate import candidate_json, comparison_json
    from star_search.cli.console import print_json
    from star_search.cli.inspect_candidate import print_candidate, print_comparison

    one = len(records) == 1
    if json_:
        found = candidate_json(view, records[0]) if one else comparison_json(view, *records)
        print_json({"run": view.run.name, "shown_generation": view.generation, **found})
    elif one:
        print_candidate(view, records[0])
    else:
        print_comparison(view, *records)


def _print_run(view: RunView, listing: Listing, show: str | None, json_: bool, csv: bool) -> None:
    from star_search.cli.console import print_json
    from star_search.cli.inspect_run import csv_text, print_run

    members = {"front": view.front, "population": view.population, "all": view.records}
    if json_ or csv:
        records = listing.apply(members[show or "all"])
        print_json(as_json(view, records)) if json_ else print(csv_text(view, records), end="")
        return
    names = [show] if show else ["all"] if listing.filters else ["front", "population"]
    print_run(view, {SECTIONS[name]: listing.apply(members[name]) for name in names})


def as_json(view: RunView, records: list[CandidateRecord]) -> dict[str, Any]:
    """Return what `--json` prints: no times and no paths, so that equal searches print equal JSON apart from `run`."""
    fields = ("id", "generation", "genome", "canonical", "outcome", "reason", "objectives")
    return {
        "run": view.run.name,
        "generation": view.generation,
        "candidates": [{name: getattr(record, name) for name in fields} for record in records],
        "front": sorted(record.id for record in view.front),
        "hypervolume": [entry.hypervolume for entry in view.progress],
    }
