"""`star-search evaluate`: an exported model on benchmarks and on the test text."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from star_search.evaluation.harness import Score, Settings
    from star_search.export.loading import ExportedModel


def evaluate(
    folder: Annotated[Path, typer.Argument(help="A folder that export-best wrote.")],
    downstream: Annotated[
        bool, typer.Option("--downstream", help="HellaSwag, ARC-Easy, ARC-Challenge, Winogrande, PIQA and SciQ, the paper's six.")
    ] = False,
    task: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A task of lm_eval, or a YAML file; may be repeated.")] = None,
    task_data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Read the six tasks' items from TASK.validation.jsonl here, not from the hub.")
    ] = None,
    keep_tasks: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keep the YAML files of local tasks here, for lm_eval --include_path.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first items of each task.")] = None,
    few_shot: Annotated[int | None, typer.Option(min=0, help="Examples before each item; the task's own number by default.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Items at once.")] = 16,
    perplexity: Annotated[bool, typer.Option("--perplexity", help="Perplexity on the test split of the text it was trained on.")] = False,
    config: Annotated[str | None, typer.Option(help="Perplexity on the text of this configuration instead.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key of it; may be repeated.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, or auto.")] = "auto",
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score an exported model: benchmarks by lm-evaluation-harness, perplexity by the evaluation that trainings end with."""
    from star_search.errors import InputError
    from star_search.evaluation.harness import Settings
    from star_search.evaluation.tasks import DOWNSTREAM
    from star_search.evolution.workers import devices
    from star_search.export.loading import ExportedModel

    names = list(dict.fromkeys([*(DOWNSTREAM if downstream else []), *(task or [])]))
    on_text = perplexity or config is not None or bool(set_)
    if not names and not on_text:
        raise InputError("nothing to evaluate: give --downstream, --task NAME or --perplexity")
    exported, place = ExportedModel.read(folder), devices(device, "--device")[0]
    with redirect_stdout(sys.stderr):  # what the harness prints is no part of the result
        scores = _scores(exported, names, task_data, keep_tasks, Settings(limit, few_shot, batch_size, place)) if names else []
        text = _on_text(exported, config, set_ or [], place, json_) if on_text else None
    if json_:
        _print_json(folder, exported.config["genome"], scores, text)
    else:
        _print(scores, text)


def _scores(exported: ExportedModel, names: list[str], data: Path | None, kept: Path | None, settings: Settings) -> list[Score]:
    from star_search.errors import InputError
    from star_search.evaluation.harness import check_installed, score
    from star_search.evaluation.tasks import wanted_tasks

    check_installed()
    if kept is not None and data is None:
        raise InputError("--keep-tasks keeps what --task-data defines; give both")
    with TemporaryDirectory(prefix="star-search-") as temporary:
        wanted = wanted_tasks(names, data, kept or Path(temporary))
        # The harness would go on with weights drawn anew where some are missing.
        exported.native()
        exported.tokenizer_model()
        return score(exported.folder, wanted, settings)


def _on_text(exported: ExportedModel, config: str | None, overrides: list[str], device: str, quiet: bool) -> dict[str, Any]:
    from star_search.cli.preparing import preparation_bar
    from star_search.evaluation.text import figures_on_test_split, text_configuration

    resolved = text_configuration(exported, config, overrides)
    with preparation_bar(quiet) as report:
        return figures_on_test_split(exported, resolved, device, report)


def _print_json(folder: Path, genome: str, scores: list[Score], text: dict[str, Any] | None) -> None:
    from star_search.cli.console import print_json

    print_json({"folder": str(folder), "genome": genome, "tasks": [asdict(each) for each in scores], "text": text})


def _print(scores: list[Score], text: dict[str, Any] | None) -> None:
    from rich.table import Table

    from star_search.cli.console import console

    if scores:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for heading in ("task", "metric", "value", "95 % interval", "chance", "items"):
            table.add_column(heading, justify="left" if heading in ("task", "metric") else "right", no_wrap=True)
        for each in scores:
            chance = "-" if each.chance is None else f"{each.chance:.4f}"
            interval = f"{each.lower:.4f} to {each.upper:.4f}" if each.lower < each.upper else "-"
            table.add_row(each.task, each.metric, f"{each.value:.4f}", interval, chance, f"{each.items:,}")
        console.print(table)
    if text is not None:
        for name, figures in {"test split": text, **text["subsets"]}.items():
            perplexity, bits = f"perplexity {figures['perplexity']:.4f}", f"{figures['bits_per_byte']:.4f} bits per byte"
            console.print(f"{name}: {perplexity}, {bits}, {figures['tokens']:,} tokens", markup=False)
