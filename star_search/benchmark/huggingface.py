"""Hugging Face's models of the same sizes, trained as their users train them: autocast, fused AdamW, compiled on a GPU.

Shapes: B rows, T tokens.
"""

# mypy: allow-untyped-calls
# Parts of transformers are untyped.

from __future__ import annotations

import time
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from star_search.benchmark.models import ModelCost, ModelSetting, agree, held_at_most, random_stream, release, synchronise
from star_search.errors import InputError, did_you_mean
from star_search.genome.accounting import head_count

MODELS = ("llama", "mamba2", "lfm2")


def build(name: str, setting: ModelSetting, layers: int) -> nn.Module:
    """Return a causal language model of transformers with tied embeddings, random weights, seed 0.

    Raises:
        InputError: for an unknown name.
    """
    if name not in MODELS:
        raise InputError(f"unknown Hugging Face model '{name}'{did_you_mean(name, MODELS)}")
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
    kinds = ["full_attention" if index % 4 == 3 else "conv" for index in range(layers)]
    return transformers.Lfm2ForCausalLM(
        transformers.Lfm2Config(
            **common, **attention, intermediate_size=inner, num_hidden_layers=layers, layer_types=kinds, block_auto_adjust_ff_dim=False
        )
    )


class _Training:
    """A plain training loop."""

    def __init__(self, model: nn.Module, setting: ModelSetting, compiled: bool) -> None:
        self.model, self.setting = model.to(setting.device).train(), setting
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
        self.forward: Any = torch.compile(self.model) if compiled else self.model

    def step(self, tokens_BT: Tensor) -> tuple[float, float]:
        """Take one step and return its loss and gradient norm, waiting for them."""
        loss, norm = self.queue(tokens_BT)
        return float(loss), float(norm)

    def queue(self, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step."""
        with torch.autocast(self.setting.device.split(":")[0], torch.bfloat16, enabled=self.setting.precision == "bfloat16"):
            loss = self.forward(input_ids=tokens_BT, labels=tokens_BT).loss
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach(), norm


def measure(name: str, setting: ModelSetting, layers: int, compiled: bool) -> ModelCost:
    """Return the cost of a model; the share of the peak is left to genomes, whose operations are counted.

    Raises:
        StarSearchError: when its compiled first step is not its eager one in fp32.
    """
    device = setting.device
    batches = random_stream(setting)
    tokens_BT = torch.from_numpy(batches.batch(0)[0]).to(device)
    expected = _expected(name, setting, layers, tokens_BT)
    release(device)
    start = time.perf_counter()
    training = _Training(build(name, setting, layers), setting, compiled)
    reading = training.step(tokens_BT)
    warm_up = time.perf_counter() - start
    errors = agree(name, reading, expected)
    speeds = []
    for _ in range(setting.repeats):
        synchronise(device)
        start = time.perf_counter()
        for _ in range(setting.steps):
            training.queue(tokens_BT)
        synchronise(device)
        speeds.append(setting.steps * setting.batch_tokens / (time.perf_counter() - start))
    embedding = setting.vocabulary_size * setting.width
    parameters = sum(parameter.numel() for parameter in training.model.parameters()) - embedding
    title = f"Hugging Face {name}, {'compiled' if compiled else 'eager'}"
    held = held_at_most(device)
    return ModelCost(
        title, parameters, median(speeds), min(speeds), max(speeds), 0.0, 0.0, warm_up, 0.0, held, len(tokens_BT), errors[0], errors[1]
    )


def _expected(name: str, setting: ModelSetting, layers: int, tokens_BT: Tensor) -> tuple[float, float]:
    """Return loss and gradient norm of the eager model in fp32, a row at a time."""
    model = build(name, setting, layers).to(setting.device).train()
    losses = []
    for row_T in tokens_BT:
        loss = model(input_ids=row_T[None], labels=row_T[None]).loss / len(tokens_BT)
        loss.backward()
        losses.append(float(loss.detach()))
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return sum(losses), float(nn.utils.get_total_norm(gradients))
