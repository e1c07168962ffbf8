"""Perplexity of an exported model on the test split of a prepared text, by the evaluation that trainings end with."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch

from star_search.config import SearchConfig, load_configuration, parse_configuration
from star_search.data.store import prepare
from star_search.data.stream import TokenStream
from star_search.data.tokenizer import load_tokenizer
from star_search.errors import InputError, StarSearchError
from star_search.export.loading import ExportedModel
from star_search.training.stability import Unhealthy
from star_search.training.trainer import evaluate

ROWS = 16


def text_configuration(exported: ExportedModel, name: str | None, overrides: list[str]) -> SearchConfig:
    """Return the configuration of the text: a file's, or that of the text that the model was trained on, with the overrides.

    Raises:
        InputError: for a key or value that is not allowed, or an export that does not say what it was trained on.
    """
    if name is not None:
        return load_configuration(name, overrides)
    length, data = exported.config.get("training_sequence_length"), exported.config.get("data")
    if length is None or data is None:
        raise InputError(f"{exported.folder} does not say which text it was trained on: name a configuration with --config")
    training = {"sequence_length": length, "batch_tokens": length, "tokens": length}
    return parse_configuration({"data": data, "training": training}, overrides, where=f"the text of {exported.folder}")


def figures_on_test_split(
    exported: ExportedModel, config: SearchConfig, device: str, report: Callable[[float, int], None] = lambda done, tokens: None
) -> dict[str, Any]:
    """Return loss, perplexity, bits per byte and tokens on the test split, whole and by subset.

    Raises:
        InputError: when the text's tokenizer is not the model's, or its test split is shorter than one sequence.
        StarSearchError: when the model has no finite loss.
    """
    _check_tokenizer(exported, config)
    store = prepare(config.data, report=report)
    stream = TokenStream(store, config.training.sequence_length, config.training.rows, config.data.seed)
    model = exported.native().to(torch.device(device))
    batches = stream.test_batches(config.data.validation_tokens, ROWS)
    try:
        found = evaluate(model, batches, config.training.precision)
    except Unhealthy as error:
        raise StarSearchError(f"{exported.folder} cannot be scored on text: {error.reason}") from error
    parts = {"": found, **found.subsets}
    figures = {
        name: {"loss": each.loss, "perplexity": each.perplexity, "bits_per_byte": each.bits_per_byte, "tokens": each.tokens}
        for name, each in parts.items()
    }
    return {**figures.pop(""), "subsets": figures, "text": store.fingerprint}


def _check_tokenizer(exported: ExportedModel, config: SearchConfig) -> None:
    """Token ids mean the same where both tokenizers are one model over one vocabulary; how their files are laid out may differ."""
    try:
        own = json.loads((exported.folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    except (OSError, ValueError, KeyError):
        raise InputError(f"{exported.folder} has no tokenizer.json that can be read") from None
    if json.loads(load_tokenizer(config.data.tokenizer).to_json())["model"] != own:
        raise InputError(f"data.tokenizer {config.data.tokenizer} is not the tokenizer of {exported.folder}, so its text cannot be read")
