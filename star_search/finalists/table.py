"""A comparison as a table, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import mean
from typing import Any

from star_search.finalists.comparison import Comparison, Summary

METHOD = (
    "Perplexity on the test split: mean over seeds and Student's 95 % interval. p: two-sided paired t test of the losses, paired by seed, "
    "against the first model, corrected by Holm's method for their number; * below 0.05."
)


def as_json(summaries: Sequence[Summary], comparison: Comparison, match: str | None, device: str) -> dict[str, Any]:
    """Return everything that was found, and under what."""
    training = comparison.sources[0].config.training
    setting: dict[str, Any] = {"tokens": training.steps * training.batch_tokens, "seeds": comparison.seeds, "match": match, "split": "test"}
    setting |= {"mad": comparison.sources[0].config.mad.model_dump(mode="json")} if comparison.with_mad else {}
    models = [asdict(summary) | {"significant": summary.is_significant} for summary in summaries]
    return {**setting, "device": device, "method": method(comparison), "models": models}


def headings(comparison: Comparison) -> list[str]:
    """Return the headings of the table."""
    caches = [f"cache {length:,}" for length in comparison.lengths]
    measured = ["train tok/s", "decode tok/s", *(["MAD"] if comparison.with_mad else [])]
    return ["model", "width", "parameters", "perplexity", "95 % interval", "p", "bits/byte", *caches, *measured]


def method(comparison: Comparison) -> str:
    """Return what the columns mean."""
    if not comparison.with_mad:
        return METHOD
    chosen = comparison.sources[0].config.mad
    return (
        f"{METHOD} MAD: mean accuracy over tasks ({', '.join(chosen.tasks)}) and seeds, at the model's width, after {chosen.steps:,} steps "
        f"of {chosen.batch} examples out of {chosen.train_examples:,}, learning rate {chosen.learning_rate:g}."
    )


def cells(summary: Summary, comparison: Comparison) -> list[str]:
    """Return one row of the table."""
    interval = "-" if summary.interval is None else f"{summary.interval[0]:.3f} to {summary.interval[1]:.3f}"
    p_value = "-" if summary.p_value is None else f"{summary.p_value:.3f}{'*' if summary.is_significant else ''}"
    bits = ", ".join(f"{name} {value:.3f}" for name, value in summary.bits_per_byte.items()) or "-"
    speeds = (summary.training_tokens_per_second, summary.decoding_tokens_per_second)
    return [
        summary.label,
        str(summary.width),
        f"{summary.parameters:,}",
        "failed" if summary.perplexity is None else f"{summary.perplexity:.3f}",
        interval,
        p_value,
        bits,
        *(f"{size:,}" for size in summary.cache_bytes.values()),
        *("-" if speed is None else f"{speed:,.0f}" for speed in speeds),
        *([f"{mean(summary.mad.values()):.1%}" if summary.mad else "failed"] if comparison.with_mad else []),
    ]


def markdown(summaries: Sequence[Summary], comparison: Comparison, device: str) -> str:
    """Return the table as Markdown, with its genomes and how it was made."""
    heads = headings(comparison)
    table = "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *(cells(each, comparison) for each in summaries)])
    training = comparison.sources[0].config.training
    setting = f"{training.steps * training.batch_tokens:,} training tokens, {comparison.seeds} seeds, {device}. Cache in bytes."
    genomes = "\n".join(f"* {summary.label}: `{summary.genome}`" for summary in summaries)
    failures = "\n".join(f"* {summary.label}: {reason}" for summary in summaries for reason in summary.failures)
    return f"{table}\n\n{setting} {method(comparison)}\n\n{genomes}\n" + (f"\nFailed:\n\n{failures}\n" if failures else "")
