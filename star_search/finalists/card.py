"""The model card of a trained architecture."""

from __future__ import annotations

from typing import Any

import yaml

from star_search import __version__
from star_search.export.card import FRONT_MATTER, USE
from star_search.finalists.plan import Plan


def training_card(plan: Plan, result: dict[str, Any]) -> str:
    """Return the README of the exported folder of a training."""
    training, data = plan.search.training, plan.search.data
    rows = [
        f"| {split} | {found['perplexity']:.4f} | {found['bits_per_byte']:.4f} | {found['tokens']:,} |"
        for split in ("validation", "test")
        if (found := result[split]) is not None
    ]
    lines = [
        f"---\n{yaml.safe_dump(FRONT_MATTER, sort_keys=False)}---",
        f"# {plan.label}, trained on {result['tokens']:,} tokens",
        "A sequence model of linear input-varying operators ([STAR](https://arxiv.org/abs/2411.17800)), trained by `star-search train`.",
        f"## Architecture\n\n```\n{plan.genome}\n```\n\n{result['depth']} LIVs of width {result['width']} from catalogue {plan.catalogue}, "
        f"{result['parameters']:,} parameters without embedding and head. "
        f"`star-search decode '{plan.genome}' --width {result['width']}` explains it.",
        "## Load and generate\n\nIt needs `pip install 'star-search[huggingface]'`.",
        USE,
        "## Results\n\n| split | perplexity | bits per byte | tokens |\n| --- | --- | --- | --- |\n" + "\n".join(rows),
        f"## Training\n\n{result['steps']:,} steps of {training.batch_tokens:,} tokens, sequences of {training.sequence_length:,}, "
        f"{training.precision}; AdamW, peak learning rate {training.learning_rate:g}, {training.warmup_steps} warm-up steps, "
        f"{training.schedule} schedule, weight decay {training.weight_decay:g}; seed {plan.seed}; text `{data.source}`, tokenizer "
        f"`{data.tokenizer}`" + (f"; begun with the weights of `{plan.weights}`" if plan.weights else "") + f". star-search {__version__}.",
    ]
    return "\n\n".join(lines) + "\n"
