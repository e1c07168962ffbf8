"""`star-search compare`: searches against random search at the same token budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from star_search.evolution.comparison import SearchPlan, SearchResult, SearchSummary


def compare(
    searches: Annotated[
        list[str], typer.Option(help="An algorithm, and changes to the configuration: 'nsga2 algorithm.repair=off'; may be repeated.")
    ],
    config: Annotated[
        str, typer.Option(help="A YAML file, or the name of a configuration that ships with the package.")
    ] = "quickstart.yaml",
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key for all; may be repeated.")] = None,
    seeds: Annotated[int, typer.Option(min=2, help="Seeds 0, 1, ... of every search.")] = 5,
    runs: Annotated[Path | None, typer.Option(help="Folder of the runs; finished ones are read, others continued.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens of every search; by default those of the configuration's.")] = None,
    workers: Annotated[str | None, typer.Option(help="Worker processes: a number, auto, or 0 for this process.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run searches and random search under one token budget over several seeds; print hypervolumes, intervals and a test."""
    from star_search.cli.console import print_json
    from star_search.cli.session import check_search, resolved
    from star_search.config import load_configuration
    from star_search.evolution.comparison import BASELINE, SearchPlan, summarise

    loaded = load_configuration(config, set_)
    shared = [*(set_ or []), *([f"workers.count={workers}"] if workers is not None else [])]
    plans = list({plan.label: plan for plan in (SearchPlan.parse(text, loaded) for text in (BASELINE, *searches))}.values())
    training, algorithm = loaded.training, loaded.algorithm
    budget = max_tokens or algorithm.candidates * training.steps * training.batch_tokens
    # Candidates that fail or are rejected leave tokens for others: twice the generations are asked for, and the budget ends the search.
    shared += [f"algorithm.generations={2 * algorithm.generations}"]
    for plan in plans:
        check_search(resolved(load_configuration(config, [*shared, *plan.overrides])))
    root = runs or Path("runs") / f"compare-{loaded.name}"
    results = {plan.label: [_run(plan, config, shared, seed, root, budget) for seed in range(seeds)] for plan in plans}
    summaries = summarise(results)
    if json_:
        print_json(_as_json(summaries, budget))
    else:
        _print(summaries, budget)


def _run(plan: SearchPlan, config: str, shared: list[str], seed: int, root: Path, budget: int) -> SearchResult:
    from star_search.cli.session import Session
    from star_search.evolution.comparison import result_within
    from star_search.runs.directory import RunDirectory

    folder = plan.folder(root, seed)
    overrides = [*shared, *plan.overrides, f"algorithm.seed={seed}"]
    code = Session.plan(config, overrides, folder, resume=True, max_tokens=budget).run(quiet=True)
    if code:
        raise typer.Exit(code)
    return result_within(RunDirectory.open(folder), budget)


def _as_json(summaries: list[SearchSummary], budget: int) -> dict[str, Any]:
    from dataclasses import asdict

    return {"budget_tokens": budget, "searches": [asdict(summary) for summary in summaries]}


def _print(summaries: list[SearchSummary], budget: int) -> None:
    from rich.table import Table

    from star_search.cli.console import console

    table = Table(title=f"Hypervolume within {budget:,} tokens", title_justify="left", title_style="bold", box=None, header_style="dim")
    table.add_column("seed", justify="right")
    for summary in summaries:
        table.add_column(summary.label, justify="right")
    for seed in range(len(summaries[0].results)):
        table.add_row(str(seed), *(f"{summary.results[seed].hypervolume:.4f}" for summary in summaries))
    console.print(table)
    for summary in summaries:
        console.print(f"\n{summary.label}: mean {summary.mean:.4f}, 95 % interval {summary.interval[0]:.4f} to {summary.interval[1]:.4f}")
        candidates, ok = (sum(getattr(result, key) for result in summary.results) for key in ("candidates", "ok"))
        console.print(f"  {candidates} candidates, {ok} of them ok, {sum(result.tokens for result in summary.results):,} tokens")
        if summary.against_baseline is not None:
            console.print(f"  against {summaries[0].label}: {summary.against_baseline.sentence()}")
