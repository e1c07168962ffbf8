"""Figures on prepared text: those that trainings end with, and an exported model's on the test split by the same evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from star_search.config import SearchConfig, load_configuration, parse_configuration
from star_search.data.store import prepare
from star_search.data.stream import EvaluationBatches, TokenStream
from star_search.errors import InputError, StarSearchError
from star_search.export.loading import ExportedModel
from star_search.training.stability import Unhealthy
from star_search.training.trainer import ValidationResult, evaluate

ROWS, LOGITS = 16, 2**28


def text_configuration(exported: ExportedModel, name: str | None, overrides: list[str]) -> SearchConfig:
    """Return the configuration of the text: a file's, or that of the text and precision that the model was trained in, with overrides.

    Raises:
        InputError: for a key or value that is not allowed, or an export that does not say what it was trained on.
    """
    if name is not None:
        return load_configuration(name, overrides)
    length, data = exported.config.get("training_sequence_length"), exported.config.get("data")
    if length is None or data is None:
        raise InputError(f"{exported.folder} does not say which text it was trained on: name a configuration with --config")
    precision = exported.config.get("training_precision", "float32")
    training = {"sequence_length": length, "batch_tokens": length, "tokens": length, "precision": precision}
    return parse_configuration({"data": data, "training": training}, overrides, where=f"the text of {exported.folder}")


def figures_on_test_split(
    exported: ExportedModel, config: SearchConfig, device: str, report: Callable[[float, int], None] = lambda done, tokens: None
) -> dict[str, Any]:
    """Return loss, perplexity, bits per byte and tokens on the test split, whole and by subset.

    Raises:
        InputError: when the text's tokenizer is not the model's, or its test split is shorter than one sequence.
        StarSearchError: when the model has no finite loss.
    """
    if not exported.has_tokenizer(config.data.tokenizer):
        raise InputError(f"data.tokenizer {config.data.tokenizer} is not the tokenizer of {exported.folder}, so its text cannot be read")
    store = prepare(config.data, report=report)
    stream = TokenStream(store, config.training.sequence_length, config.training.rows, config.data.seed)
    model = exported.native().to(torch.device(device))
    batches = evaluation_batches(stream.test_batches, config, store.vocabulary_size)
    try:
        found = evaluate(model, batches, config.training.precision)
    except Unhealthy as error:
        raise StarSearchError(f"{exported.folder} cannot be scored on text: {error.reason}") from error
    return {**figures(found), "text": store.fingerprint}


def evaluation_batches(cut: Callable[[int, int], EvaluationBatches], config: SearchConfig, vocabulary_size: int) -> EvaluationBatches:
    """Return the configuration's evaluation batches of a split, in rows whose logits take about a gigabyte at most."""
    rows = LOGITS // (config.training.sequence_length * vocabulary_size)
    return cut(config.data.validation_tokens, max(1, min(ROWS, rows)))


def figures(found: ValidationResult) -> dict[str, Any]:
    """Return loss, perplexity, bits per byte and tokens of an evaluation, whole and by subset."""
    return {**_row(found), "subsets": {name: _row(part) for name, part in found.subsets.items()}}


def _row(found: ValidationResult) -> dict[str, Any]:
    return {"loss": found.loss, "perplexity": found.perplexity, "bits_per_byte": found.bits_per_byte, "tokens": found.tokens}
