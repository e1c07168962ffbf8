"""Steps that several processes take together: each trains its share of a step's rows, and gradients are averaged.

Shapes: B rows, T tokens, D width.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from star_search.config import TrainingConfig
from star_search.data.stream import TokenStream
from star_search.liv.operator import LIV
from star_search.model.backbone import Backbone
from star_search.model.language_model import LanguageModel
from star_search.training.batches import parts_of
from star_search.training.compilation import SHAPES_PER_BLOCK
from star_search.training.loss import chunked_cross_entropy
from star_search.training.precision import autocast
from star_search.training.steps import EagerSteps, Loss
from star_search.training.world import World


class _WholeLoss(nn.Module):
    """A loss as a module, so that gradients are watched from its call on; `model` makes the parameters its own."""

    def __init__(self, model: LanguageModel, loss_of: Loss) -> None:
        super().__init__()
        self.model, self.loss_of = model, loss_of

    def forward(self, inputs_BT: Tensor, targets_BT: Tensor, share: float) -> Tensor:
        return self.loss_of(inputs_BT, targets_BT, share)


class DistributedSteps(EagerSteps):
    """Steps of one process among several; losses and gradient norms are those of the whole step, the same in every process."""

    def __init__(
        self, model: LanguageModel, stream: TokenStream, config: TrainingConfig, loss_of: Loss, at_once: int, world: World
    ) -> None:
        self.world, self._share = world, world.share(config.rows)
        module = _WholeLoss(model, loss_of)
        self._module: Any = _sharded(module, world) if world.parallel == "fsdp" else _replicated(module, world)
        super().__init__(model, stream, config, loss_of, at_once)

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        inputs_BT, targets_BT = super()._batch(step)
        return inputs_BT[self._share], targets_BT[self._share]

    def _gradient(self, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        """Train the share part by part; what is averaged between processes goes out with the last part."""
        self.optimizer.zero_grad(set_to_none=True)
        parts = parts_of(len(inputs_BT), self.at_once)
        losses = []
        for part in parts:
            with self._averaging(part is parts[-1]):
                loss = self._module(inputs_BT[part], targets_BT[part], 1 / len(parts))
                loss.backward()
            losses.append(loss.detach())
        return self.world.mean(torch.stack(losses).sum())

    @contextmanager
    def _averaging(self, last: bool) -> Iterator[None]:
        if self.world.parallel == "fsdp":
            self._module.set_requires_gradient_sync(last)
            yield
        elif last:
            yield
        else:
            with self._module.no_sync():
                yield

    def _clip(self) -> Tensor:
        norm = super()._clip()
        return norm.full_tensor() if isinstance(norm, DTensor) else norm


def _replicated(module: nn.Module, world: World) -> nn.Module:
    # Blocks are compiled one by one, which lets gradients go out between them; dynamo would cut each for that.
    torch._dynamo.config.optimize_ddp = False
    devices = [world.device] if world.device.type == "cuda" else None
    return DistributedDataParallel(module, device_ids=devices, gradient_as_bucket_view=True)


def _sharded(module: _WholeLoss, world: World) -> nn.Module:
    """Shard a model LIV by LIV; LIVs that use one another's weights are gathered together."""
    # Nothing here changes an output in place.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
    mesh = init_device_mesh(world.device.type, (world.size,))
    for group in tied_groups(module.model.backbone):
        fully_shard(cast(list[nn.Module], group), mesh=mesh)
    fully_shard(module, mesh=mesh)
    return module


def tied_groups(backbone: Backbone) -> list[list[LIV]]:
    """Return the LIVs in groups such that no LIV uses weights of another group's, in order of their first members."""
    group_of = list(range(len(backbone.livs)))
    livs = [cast(LIV, liv) for liv in backbone.livs]
    for position, liv in enumerate(livs):
        for owner in liv.sources.weights_from.values():
            old, new = sorted((group_of[position], group_of[owner]), reverse=True)
            group_of = [new if number == old else number for number in group_of]
    return [[liv for liv, number in zip(livs, group_of, strict=True) if number == first] for first in sorted(set(group_of))]


class ModuleLoss:
    """The mean loss through the model's own modules, whose calls gather the weights that are held in parts, and a chunked head."""

    def __init__(self, model: LanguageModel, config: TrainingConfig) -> None:
        self.model, self.config = model, config

    def __call__(self, inputs_BT: Tensor, targets_BT: Tensor, share: float) -> Tensor:
        """Return `share` times the mean loss in nats a token."""
        with autocast(inputs_BT.device, self.config.precision):
            hidden_BTD = self.model.hidden(inputs_BT)
        return chunked_cross_entropy(hidden_BTD, self.model.embedding, targets_BT, share)


def compile_livs(model: LanguageModel, backend: str) -> None:
    """Compile the call of every LIV in place; LIVs of one kind share what is compiled."""
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, SHAPES_PER_BLOCK)
    for liv in model.backbone.livs:
        liv.compile(dynamic=False, backend=backend)
