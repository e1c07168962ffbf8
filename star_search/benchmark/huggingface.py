"""Hugging Face's models of the same sizes, trained as their users train them: autocast, fused AdamW, compiled on a GPU.

Shapes: B rows, T tokens.
"""

# mypy: allow-untyped-calls
# Parts of transformers are untyped.

from __future__ import annotations

import contextlib
import time
from importlib.util import find_spec
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException

from star_search.benchmark.models import (
    ModelCost,
    ModelSetting,
    agree,
    random_stream,
    release,
    synchronise,
)
from star_search.errors import InputError, did_you_mean
from star_search.genome.accounting import head_count
from star_search.genome.flops import attention_flops
from star_search.processes import peak_memory_bytes
from star_search.training.batch_size import is_out_of_memory, largest_divisor
from star_search.training.precision import autocast

MODELS = ("llama", "mamba2", "lfm2")
LFM2_PERIOD = 4  # Every fourth layer is attention.


def check_name(name: str) -> None:
    """Refuse what `build` cannot build.

    Raises:
        InputError: for an unknown name, or without transformers.
    """
    if name not in MODELS:
        raise InputError(f"unknown Hugging Face model '{name}'{did_you_mean(name, MODELS)}")
    if find_spec("transformers") is None:
        raise InputError("--huggingface needs transformers, which is not installed: pip install 'star-search[huggingface]'")


def build(name: str, setting: ModelSetting, layers: int) -> nn.Module:
    """Return a causal language model of transformers with tied embeddings, random weights, seed 0.

    Raises:
        InputError: for an unknown name, or without transformers.
    """
    check_name(name)
    import transformers

    width, heads = setting.width, head_count(setting.width)
    inner = -(-width * 8 // (3 * 64)) * 64
    common: dict[str, Any] = {"vocab_size": setting.vocabulary_size, "hidden_size": width, "tie_word_embeddings": True, "use_cache": False}
    attention: dict[str, Any] = {
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "max_position_embeddings": setting.sequence_length,
    }
    torch.manual_seed(0)
    if name == "llama":
        return transformers.LlamaForCausalLM(
            transformers.LlamaConfig(**common, **attention, intermediate_size=inner, num_hidden_layers=layers)
        )
    if name == "mamba2":
        # Two Mamba-2 blocks have about the parameters of attention and a feed-forward network.
        recurrent: dict[str, Any] = {"head_dim": 64, "num_heads": 2 * width // 64, "expand": 2, "n_groups": 1, "state_size": 128}
        return transformers.Mamba2ForCausalLM(transformers.Mamba2Config(**common, **recurrent, num_hidden_layers=2 * layers))
    kinds = ["full_attention" if index % LFM2_PERIOD == LFM2_PERIOD - 1 else "conv" for index in range(layers)]
    return transformers.Lfm2ForCausalLM(
        transformers.Lfm2Config(
            **common, **attention, intermediate_size=inner, num_hidden_layers=layers, layer_types=kinds, block_auto_adjust_ff_dim=False
        )
    )


class PlainTraining:
    """A plain training loop, its step in `parts` of equal rows."""

    def __init__(self, model: nn.Module, setting: ModelSetting, compiled: bool, parts: int) -> None:
        self.model, self.setting, self.parts = model.to(setting.device).train(), setting, parts
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
        self.forward: Any = torch.compile(self.model, dynamic=False) if compiled else self.model

    def step(self, tokens_BT: Tensor) -> tuple[float, float]:
        """Take one step and return its loss and gradient norm, waiting for them."""
        loss, norm = self.queue(tokens_BT)
        return float(loss), float(norm)

    def queue(self, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step."""
        total = torch.zeros((), device=tokens_BT.device)
        for part_BT in tokens_BT.chunk(self.parts):
            with autocast(self.setting.device, self.setting.precision):
                loss = self.forward(input_ids=part_BT, labels=part_BT).loss / self.parts
            loss.backward()
            total += loss.detach()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return total, norm


def _warmed_up(
    name: str, setting: ModelSetting, layers: int, compiled: bool, tokens_BT: Tensor
) -> tuple[PlainTraining, tuple[float, float], float]:
    """Return a training that took its first step, that step's reading, and the seconds of it; in more parts where memory runs out."""
    parts = 1
    while True:
        start = time.perf_counter()
        try:
            training = PlainTraining(build(name, setting, layers), setting, compiled, parts)
            return training, training.step(tokens_BT), time.perf_counter() - start
        except RuntimeError as error:
            if parts == len(tokens_BT) or not is_out_of_memory(error):
                raise
        # Out of the handler, so that the traceback no longer holds what did not fit.
        training = None  # type: ignore[assignment]
        release(setting.device)
        parts = len(tokens_BT) // largest_divisor(len(tokens_BT), len(tokens_BT) // (2 * parts))


def _unless_it_does_not_compile(
    name: str, setting: ModelSetting, layers: int, tokens_BT: Tensor
) -> tuple[PlainTraining, tuple[float, float], float] | None:
    """Return what `_warmed_up` does, or nothing, and no memory held, where torch cannot compile the model."""
    with contextlib.suppress(TorchDynamoException):
        return _warmed_up(name, setting, layers, True, tokens_BT)
    release(setting.device)
    return None


def measure(name: str, setting: ModelSetting, layers: int, compiled: bool, peak: float) -> ModelCost:
    """Return the cost of a model against `peak` operations per second; uncompiled where torch cannot compile it, and its name says so.

    Raises:
        InputError: for an unknown name, or without transformers.
        StarSearchError: when its first step is not its eager one in fp32.
    """
    tokens_BT = torch.from_numpy(random_stream(setting).batch(0)[0]).to(setting.device)
    expected = expected_step(name, setting, layers, tokens_BT)
    release(setting.device)
    warmed_up = _unless_it_does_not_compile(name, setting, layers, tokens_BT) if compiled else None
    way = "compiled" if warmed_up else "eager, as it does not compile" if compiled else "eager"
    training, reading, warm_up = warmed_up or _warmed_up(name, setting, layers, False, tokens_BT)
    errors = agree(name, reading, expected)
    speeds = [_speed(training, tokens_BT) for _ in range(setting.repeats)]
    weights = sum(parameter.numel() for parameter in training.model.parameters())
    flops, speed = 6 * weights + _attention_flops(name, setting, layers), median(speeds)
    title = f"Hugging Face {name}, {way}"
    figures = (speed, min(speeds), max(speeds), flops, speed * flops / peak, warm_up, None, None, peak_memory_bytes(setting.device))
    own, at_once = weights - setting.vocabulary_size * setting.width, len(tokens_BT) // training.parts
    return ModelCost(title, own, *figures, at_once, *errors, setting.precision)


def _speed(training: PlainTraining, tokens_BT: Tensor) -> float:
    setting = training.setting
    synchronise(setting.device)
    start = time.perf_counter()
    for _ in range(setting.steps):
        training.queue(tokens_BT)
    synchronise(setting.device)
    return setting.steps * setting.batch_tokens / (time.perf_counter() - start)


def _attention_flops(name: str, setting: ModelSetting, layers: int) -> float:
    """Return the operations of attention on one token, by the count that holds for genomes: scans and convolutions count nothing."""
    attending = {"llama": layers, "mamba2": 0, "lfm2": layers // LFM2_PERIOD}[name]
    return attending * attention_flops(setting.sequence_length / 2, setting.width)


def expected_step(name: str, setting: ModelSetting, layers: int, tokens_BT: Tensor) -> tuple[float, float]:
    """Return loss and gradient norm of the eager model in fp32, a row at a time."""
    model = build(name, setting, layers).to(setting.device).train()
    losses = []
    for row_T in tokens_BT:
        loss = model(input_ids=row_T[None], labels=row_T[None]).loss / len(tokens_BT)
        loss.backward()
        losses.append(float(loss.detach()))
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return sum(losses), float(nn.utils.get_total_norm(gradients))
