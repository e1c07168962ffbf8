"""`star-search compare`: searches against random search, or finalists against baselines, at the same token budget."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from star_search.evolution.comparison import SearchPlan, SearchResult, SearchSummary


Run = Annotated[
    Path | None, typer.Argument(help="A run whose finalists are trained and held against baselines; without it, searches are compared.")
]
Searches = Annotated[
    list[str] | None, typer.Option(help="An algorithm, and changes to the configuration: 'nsga2 algorithm.repair=off'; may be repeated.")
]
Config = Annotated[str | None, typer.Option(help="A YAML file or a shipped configuration; by default quickstart.yaml, or the run's own.")]
Changes = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key for all; may be repeated.")]
Seeds = Annotated[int, typer.Option(min=2, help="Seeds 0, 1, ... of every search or training.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Runs = Annotated[Path | None, typer.Option(help="Searches: folder of the runs; finished ones are read, others continued.")]
MaxTokens = Annotated[int | None, typer.Option(min=1, help="Searches: tokens of each; by default those of the configuration's.")]
Workers = Annotated[
    str | None,
    typer.Option(
        help="Worker processes: a number, auto, or 0 for this process, as models are trained by default; beside others they train slower."
    ),
]
Baselines = Annotated[
    str | None,
    typer.Option(help="Models: transformer++, striped-mamba, jamba-like, lfm2-like, or NAME=GENOME; several joined by commas."),
]
Candidates = Annotated[str | None, typer.Option(help="Models: ids of the finalists, joined by commas; by default the front's.")]
Finalists = Annotated[int | None, typer.Option(min=1, help="Models: how many of the front, best first; 8 by default.")]
Tokens = Annotated[int | None, typer.Option(min=1, help="Models: training tokens of each; by default those of the run.")]
MatchBy = Annotated[
    str | None, typer.Option(help="Models: make baselines as wide as gives the first finalist's parameters, or flops of training.")
]
LearningRates = Annotated[
    str | None, typer.Option(help="Models: a grid, joined by commas, of which each model gets its best by validation perplexity of seed 0.")
]
Lengths = Annotated[str | None, typer.Option(help="Models: tokens after which caches are counted; 512,4096,32768 by default.")]
Out = Annotated[
    Path | None, typer.Option(help="Models: folder of trainings, JSON and Markdown; what is finished there is read, the rest goes on.")
]
MAD = Annotated[
    str | None, typer.Option("--mad", metavar="TASKS", help="Models: train on MAD tasks too: all, or names joined by commas; keys mad.*.")
]
Device = Annotated[str | None, typer.Option(help="Models: auto, cpu, cuda or cuda:N.")]


def compare(
    run: Run = None,
    searches: Searches = None,
    config: Config = None,
    set_: Changes = None,
    seeds: Seeds = 5,
    json_: AsJson = False,
    runs: Runs = None,
    max_tokens: MaxTokens = None,
    workers: Workers = None,
    baselines: Baselines = None,
    candidates: Candidates = None,
    finalists: Finalists = None,
    tokens: Tokens = None,
    match: MatchBy = None,
    learning_rates: LearningRates = None,
    lengths: Lengths = None,
    out: Out = None,
    mad: MAD = None,
    device: Device = None,
) -> None:
    """Hold finalists against baselines, or searches against random search, under one budget over several seeds.

    With a run: its finalists and baselines are trained; the table has perplexity on the test split, sizes, caches and speeds.
    With --searches: hypervolumes of searches and of random search, intervals and a test.
    """
    of_models: dict[str, object] = {"baselines": baselines, "candidates": candidates, "finalists": finalists, "tokens": tokens}
    of_models |= {"match": match, "lengths": lengths, "mad": mad, "learning-rates": learning_rates, "out": out, "device": device}
    of_searches: dict[str, object] = {"searches": searches, "runs": runs, "max-tokens": max_tokens}
    _check_alternatives(run, searches, of_models if run is None else of_searches)
    if run is None:
        _compare_searches(searches or [], config or "quickstart.yaml", set_ or [], seeds, runs, max_tokens, workers, json_)
    else:
        from star_search.cli.compare_models import ModelsAsked, compare_models

        asked = ModelsAsked(
            run,
            config,
            overrides=tuple(set_ or ()),
            tokens=tokens,
            candidates=candidates,
            finalists=finalists,
            baselines=baselines,
            match=match,
            learning_rates=learning_rates,
            lengths=lengths,
            mad=mad,
            workers=workers,
        )
        compare_models(asked, seeds, out, device or "auto", json_)


def _check_alternatives(run: Path | None, searches: list[str] | None, of_the_other: Mapping[str, object]) -> None:
    """Refuse options of the other of the two comparisons, and neither of them."""
    from star_search.errors import InputError

    for name, value in of_the_other.items():
        if value is not None:
            raise InputError(
                f"--{name} {'needs a run to compare models of' if run is None else 'compares searches, and no run goes with it'}"
            )
    if run is None and not searches:
        raise InputError("compare needs a run, whose finalists are held against baselines, or --searches")


def _compare_searches(
    searches: list[str],
    config: str,
    overrides: list[str],
    seeds: int,
    runs: Path | None,
    max_tokens: int | None,
    workers: str | None,
    as_json: bool,
) -> None:
    """Run every search with every seed, random search first, and print what they reached."""
    from star_search.cli.console import print_json
    from star_search.cli.session import check_search, resolved
    from star_search.config import load_configuration
    from star_search.evolution.comparison import BASELINE, SearchPlan, check_comparable, summarise
    from star_search.runs.output import check_folder

    loaded = load_configuration(config, overrides)
    shared = [*overrides, *([f"workers.count={workers}"] if workers is not None else [])]
    plans = list({plan.label: plan for plan in (SearchPlan.parse(text, loaded) for text in (BASELINE, *searches))}.values())
    training, algorithm = loaded.training, loaded.algorithm
    budget = max_tokens or algorithm.candidates * training.steps * training.batch_tokens
    # Candidates that fail or are rejected leave tokens for others: twice the generations are asked for, and the budget ends the search.
    shared += [f"algorithm.generations={2 * algorithm.generations}"]
    planned = {plan.label: resolved(load_configuration(config, [*shared, *plan.overrides])) for plan in plans}
    for each in planned.values():
        check_search(each)
    check_comparable(planned, budget)
    root = runs or Path("runs") / f"compare-{loaded.name}"
    check_folder(root, "--runs")
    results = {plan.label: [_run(plan, config, shared, seed, root, budget) for seed in range(seeds)] for plan in plans}
    summaries = summarise(results)
    if as_json:
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
