"""A comparison as tables, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import mean
from typing import Any

from star_search.finalists.comparison import Comparison, Summary
from star_search.finalists.tuning import EDGE

# Rows of cells, the headings first.
Table = list[list[str]]

METHOD = (
    "Perplexity on the test split: mean over seeds and Student's 95 % interval. p: two-sided paired t test of the losses, paired by seed, "
    "against the first model, corrected by Holm's method for their number; * below 0.05."
)
RATES = (
    "Learning rate: the one of the grid with the lowest validation perplexity with seed 0, which stands beside it for every rate, and then "
    f"that of all seeds; {EDGE}, a better one may lie beyond."
)


def as_json(summaries: Sequence[Summary], comparison: Comparison, match: str | None, device: str) -> dict[str, Any]:
    """Return everything that was found, and under what."""
    training = comparison.sources[0].config.training
    setting: dict[str, Any] = {"tokens": training.steps * training.batch_tokens, "seeds": comparison.seeds, "match": match, "split": "test"}
    setting |= {"mad": comparison.sources[0].config.mad.model_dump(mode="json")} if comparison.with_mad else {}
    setting |= {"learning_rates": comparison.rates} if comparison.rates else {}
    models = [asdict(summary) | {"significant": summary.is_significant} | _rate(summary, comparison) for summary in summaries]
    return {**setting, "device": device, "method": method(comparison), "models": models}


def _rate(summary: Summary, comparison: Comparison) -> dict[str, Any]:
    return comparison.tunings[summary.label].as_json() if comparison.rates else {}


def method(comparison: Comparison) -> str:
    """Return what the columns mean."""
    found = f"{METHOD} {RATES}" if comparison.rates else METHOD
    if not comparison.with_mad:
        return found
    chosen = comparison.sources[0].config.mad
    return (
        f"{found} MAD: mean accuracy over tasks ({', '.join(chosen.tasks)}) and seeds, at the model's width, after {chosen.steps:,} steps "
        f"of {chosen.batch} examples out of {chosen.train_examples:,}, learning rate {chosen.learning_rate:g}."
    )


def tables(summaries: Sequence[Summary], comparison: Comparison) -> list[Table]:
    """Return what was found as tables, headings first: how good every model is, its learning rate, its costs, bits per byte by subset."""
    costs = [*(f"cache {length:,}" for length in comparison.lengths), "train tok/s", "decode tok/s"]
    subsets = list(dict.fromkeys(name for summary in summaries for name in summary.bits_per_byte))
    quality = ["perplexity", "95 % interval", "p", "parameters", "width", *(["MAD"] if comparison.with_mad else [])]
    found = [(quality, [_quality(each, comparison.with_mad) for each in summaries])]
    if comparison.rates:
        tuned = ["learning rate", *(f"at {rate:g}" for rate in comparison.rates)]
        found.append((tuned, [comparison.tunings[each.label].cells() for each in summaries]))
    found.append((costs, list(map(_costs, summaries))))
    if subsets:
        bits = [[f"{each.bits_per_byte[name]:.3f}" if name in each.bits_per_byte else "-" for name in subsets] for each in summaries]
        found.append(([f"bits/byte {subsets[0]}", *subsets[1:]], bits))
    labels = [summary.label for summary in summaries]
    return [[["model", *heads], *([label, *row] for label, row in zip(labels, rows, strict=True))] for heads, rows in found]


def _quality(summary: Summary, with_mad: bool) -> list[str]:
    interval = "-" if summary.interval is None else f"{summary.interval[0]:.3f} to {summary.interval[1]:.3f}"
    p_value = "-" if summary.p_value is None else f"{summary.p_value:.3f}{'*' if summary.is_significant else ''}"
    perplexity = "failed" if summary.perplexity is None else f"{summary.perplexity:.3f}"
    mad = f"{mean(summary.mad.values()):.1%}" if summary.mad else "failed"
    return [perplexity, interval, p_value, f"{summary.parameters:,}", str(summary.width), *([mad] if with_mad else [])]


def _costs(summary: Summary) -> list[str]:
    speeds = (summary.training_tokens_per_second, summary.decoding_tokens_per_second)
    caches = [f"{size:,}" for size in summary.cache_bytes.values()]
    return [*caches, *("-" if speed is None else f"{speed:,.0f}" for speed in speeds)]


def markdown(summaries: Sequence[Summary], comparison: Comparison, device: str) -> str:
    """Return the tables as Markdown, with their genomes and how they were made."""
    made = "\n\n".join(map(_markdown, tables(summaries, comparison)))
    training = comparison.sources[0].config.training
    setting = f"{training.steps * training.batch_tokens:,} training tokens, {comparison.seeds} seeds, {device}. Cache in bytes."
    genomes = "\n".join(f"* {summary.label}: `{summary.genome}`" for summary in summaries)
    failures = "\n".join(f"* {summary.label}: {reason}" for summary in summaries for reason in summary.failures)
    return f"{made}\n\n{setting} {method(comparison)}\n\n{genomes}\n" + (f"\nFailed:\n\n{failures}\n" if failures else "")


def _markdown(table: Table) -> str:
    rows = [table[0], ["---"] * len(table[0]), *table[1:]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
