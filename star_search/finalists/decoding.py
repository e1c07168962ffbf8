"""How fast a trained model decodes on this device: one sequence, token by token.

Shapes: B batch (1), T tokens, V vocabulary.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors.torch import load_file

from star_search.config import SearchConfig
from star_search.genome.catalogue import load_catalogue
from star_search.model.language_model import LanguageModel

PROMPT_TOKENS, DECODED_TOKENS, REPEATS = 64, 64, 3


def exported_model(folder: Path, config: SearchConfig, result: dict[str, Any], device: torch.device) -> LanguageModel:
    """Return the model of an exported folder."""
    model = LanguageModel.from_genome(
        result["genome"],
        result["width"],
        result["vocabulary_size"],
        load_catalogue(config.space.catalogue),
        config.backbone.residual,
        router_top_k=config.backbone.router_top_k,
    )
    weights = load_file(folder / "model.safetensors")
    model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in weights.items()})
    return model.to(device).eval()


def decoding_speed(model: LanguageModel) -> float:
    """Return tokens per second of greedy decoding after a prompt: the median of three passes after one that does not count."""
    device = model.embedding.device
    prompt_BT = (torch.arange(PROMPT_TOKENS, device=device) % model.vocabulary_size)[None]
    return DECODED_TOKENS / median([_seconds(model, prompt_BT) for _ in range(1 + REPEATS)][1:])


def _seconds(model: LanguageModel, prompt_BT: torch.Tensor) -> float:
    cache = model.init_cache(1, PROMPT_TOKENS + DECODED_TOKENS)
    logits_BTV, cache = model.prefill(prompt_BT, cache)
    token_B = logits_BTV[:, -1].argmax(-1)
    _synchronise(prompt_BT.device)
    start = time.perf_counter()
    for _ in range(DECODED_TOKENS):
        logits_BV, cache = model.step(token_B, cache)
        token_B = logits_BV.argmax(-1)
    _synchronise(prompt_BT.device)
    return time.perf_counter() - start


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
