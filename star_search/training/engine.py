"""How a training is run on its device: eager, by compiled blocks, or as one CUDA graph of plain operations, compiled parts or blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from star_search.config import TrainingConfig
from star_search.data.stream import TokenStream
from star_search.model.language_model import LanguageModel
from star_search.training.batch_size import is_out_of_memory, largest_divisor, rows_at_once
from star_search.training.compilation import PLAIN, CompiledModel
from star_search.training.loss import TiedGradient, chunked_cross_entropy, cross_entropy
from star_search.training.precision import autocast
from star_search.training.steps import EagerSteps, GraphSteps, Loss, Steps
from star_search.training.world import World

BACKEND = "inductor"

Kind = Literal["eager", "compiled", "captured", "parts", "graph"]


def engine_of(config: TrainingConfig, device: torch.device) -> Kind:
    """Return the engine that `training.engine` means on a device: `auto` is a graph on a GPU and eager on a CPU.

    Raises:
        InputError: for a graph without a GPU.
    """
    if config.engine == "auto":
        return "graph" if device.type == "cuda" else "eager"
    config.check_device(device.type)
    return config.engine


def compiled_model(model: LanguageModel, config: TrainingConfig, kind: Kind, backend: str = BACKEND) -> CompiledModel:
    """Return the model's blocks as an engine runs them."""
    backend = PLAIN if kind == "captured" else backend
    return CompiledModel(model, config.sequence_length, dtype_of(config), backend, by_parts=kind == "parts")


def dtype_of(config: TrainingConfig) -> torch.dtype:
    """Return the dtype of the residual stream in compiled blocks."""
    return torch.bfloat16 if config.precision == "bfloat16" else torch.float32


@dataclass
class CompiledLoss:
    """The mean loss by compiled blocks and a chunked head."""

    model: CompiledModel
    config: TrainingConfig

    def __call__(self, inputs_BT: Tensor, targets_BT: Tensor, share: float = 1.0) -> Tensor:
        """Return `share` times the mean loss in nats a token."""
        tied = TiedGradient()
        with autocast(inputs_BT.device, self.config.precision):
            hidden_BTD = self.model.hidden(inputs_BT, tied)
        return chunked_cross_entropy(hidden_BTD, self.model.model.embedding, targets_BT, share, tied)


def build_steps(model: LanguageModel, stream: TokenStream, config: TrainingConfig, world: World | None = None) -> Steps:
    """Return what takes the steps of a training, with as many rows at once as memory allows; the model must be in training mode.

    With a world of several processes, this is what one of them does.
    """
    device = model.embedding.device
    kind = engine_of(config, device)
    free_bytes = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None
    if world is not None and not world.is_alone:
        return _distributed_steps(model, stream, config, kind, world, free_bytes)
    at_once = rows_at_once(model, config, free_bytes)
    if kind == "eager":
        return EagerSteps(model, stream, config, _eager_loss(model, config), at_once)
    loss_of = CompiledLoss(compiled_model(model, config, kind), config)
    if kind == "compiled":
        return EagerSteps(model, stream, config, loss_of, at_once)
    return _graph_steps(model, stream, config, loss_of, at_once)


def _distributed_steps(
    model: LanguageModel, stream: TokenStream, config: TrainingConfig, kind: Kind, world: World, free_bytes: int | None
) -> Steps:
    """Return steps among several processes, for which nothing is captured: as the engine has it without its graph; where weights are held
    in parts, LIV by LIV through the modules that gather them."""
    from star_search.training.distributed import DistributedSteps, ModuleLoss, compile_livs

    share = world.share(config.rows)
    own = config.model_copy(update={"batch_tokens": (share.stop - share.start) * config.sequence_length})
    at_once = rows_at_once(model, own, free_bytes)
    compiled = kind not in ("eager", "captured")
    if world.parallel == "fsdp":
        if compiled:
            compile_livs(model, BACKEND)
        loss_of: Loss = ModuleLoss(model, config)
    elif compiled:
        loss_of = CompiledLoss(compiled_model(model, config, "parts" if kind == "parts" else "compiled"), config)
    else:
        loss_of = _eager_loss(model, config)
    return DistributedSteps(model, stream, config, loss_of, at_once, world)


def _eager_loss(model: LanguageModel, config: TrainingConfig) -> Loss:
    return lambda inputs, targets, share: share * cross_entropy(model, inputs, targets, config.precision)


def _graph_steps(model: LanguageModel, stream: TokenStream, config: TrainingConfig, loss_of: Loss, at_once: int) -> GraphSteps:
    while True:
        try:
            return GraphSteps(model, stream, config, loss_of, at_once)
        except RuntimeError as error:
            if at_once == 1 or not is_out_of_memory(error):
                raise
        # Out of the handler, so that the traceback no longer holds what did not fit.
        model.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        at_once = largest_divisor(config.rows, at_once // 2)
