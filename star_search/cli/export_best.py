"""`star-search export-best`: the best model of a run as a Hugging Face folder."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from star_search.analysis.run_view import RunView
    from star_search.runs.records import CandidateRecord


def export_best(
    run: Annotated[Path | None, typer.Argument(help="A run, a generation folder, or runs/genNN; the newest run by default.")] = None,
    by: Annotated[str | None, typer.Option(help="perplexity, knee, parameters, cache_bytes or bits_per_byte.")] = None,
    where: Annotated[list[str] | None, typer.Option(metavar="CONDITION", help='Such as "cache_bytes<=20e6"; may be repeated.')] = None,
    candidate: Annotated[int | None, typer.Option(metavar="ID", help="Export this candidate instead of the best.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; export/RUN-ID by default.")] = None,
    standalone: Annotated[bool, typer.Option("--standalone", help="Put the code into the folder: it loads without star-search.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Export the best model of a run as a folder that transformers loads.

    Weights are kept for the front alone; any other candidate is retrained from its record.
    """
    from star_search.analysis.plain_text import printable
    from star_search.analysis.run_view import RunView
    from star_search.cli.console import console, format_value, print_damaged, print_json
    from star_search.export.folder import check_target, exported_candidate, write_folder
    from star_search.export.selection import check_model
    from star_search.runs.locate import locate, newest_run

    view = RunView.read(*((newest_run(Path("runs")), None) if run is None else locate(run)))
    print_damaged(view)
    record = check_model(view, _select(view, by, where or [], candidate))
    folder = out or Path("export") / f"{view.run.path.resolve().name}-{record.id}"
    check_target(folder)
    kept = view.run.weights_path(record.id)
    retrained = not kept.is_file()
    with TemporaryDirectory(prefix="star-search-") as temporary:
        if retrained:
            record, weights, note = _retrain(view, record, Path(temporary))
            write_folder(exported_candidate(view, record, weights, note, standalone), folder)
        else:
            write_folder(exported_candidate(view, record, kept, standalone=standalone), folder)
    values = ", ".join(f"{printable(name)} {format_value(name, record.objectives.get(name))}" for name in view.names)
    if json_:
        found = {"candidate": record.id, "genome": record.canonical, "objectives": record.objectives}
        print_json({**found, "folder": str(folder), "retrained": retrained})
    else:
        console.print(f"wrote candidate {record.id} ({values}) to {printable(str(folder))}", markup=False)


def _select(view: RunView, by: str | None, where: list[str], candidate: int | None) -> CandidateRecord:
    from star_search.errors import InputError
    from star_search.export.selection import Selection, find_candidate

    if candidate is None:
        return Selection(view, by, where).best()
    if by is not None or where:
        raise InputError("--candidate names one candidate, so --by and --where have nothing to choose; leave them out")
    return find_candidate(view, candidate)


def _retrain(view: RunView, record: CandidateRecord, folder: Path) -> tuple[CandidateRecord, Path, str]:
    """Train the candidate again; return what came of it, its weights, and a sentence for the model card."""
    from rich.progress import Progress as Bars

    from star_search.cli.console import errors
    from star_search.evolution.workers import devices
    from star_search.export.retraining import difference, retrain

    weights = folder / "weights.safetensors"
    errors.print(
        f"candidate {record.id} has no weights in the run, which keeps the front's alone: retraining it from its record, "
        f"{view.config.training.tokens:,} tokens"
    )
    device = devices(view.config.workers.device)[0]
    with Bars(console=errors, transient=True, disable=not errors.is_terminal) as bars:
        task = bars.add_task("retraining", total=view.config.training.steps)
        again = retrain(view, record, device, weights, lambda progress: bars.update(task, completed=progress.step))
    problem = difference(record, again)
    if problem:
        errors.print(f"warning: {problem}", markup=False)
    note = f"retrained from its record for this export: {problem or 'its perplexity came out equal to the recorded one, bit for bit'}"
    return again, weights, note
