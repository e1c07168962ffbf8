"""One optimizer step after another: called operation by operation, or captured once in a CUDA graph and replayed.

Shapes: B rows, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import torch
from torch import Tensor, nn

from star_search.config import TrainingConfig
from star_search.data.stream import TokenStream
from star_search.model.cuda_graph import captured
from star_search.model.language_model import LanguageModel
from star_search.training.batch_size import is_out_of_memory, largest_divisor
from star_search.training.batches import StaticBatches, parts_of, static_batches
from star_search.training.optimizer import build_optimizer, clip_in_step, prepare_state
from star_search.training.schedule import learning_rate

# (inputs, targets, share) -> share * mean loss, which is differentiated as it is
Loss = Callable[[Tensor, Tensor, float], Tensor]
Readings = list[tuple[float, float]]


class Steps(Protocol):
    """Takes steps 0, 1, ... of a training."""

    model: LanguageModel
    optimizer: torch.optim.AdamW
    at_once: int

    def begin_at(self, step: int) -> None:
        """Make this step the next; weights and the optimizer's state are what they should be before it."""
        ...

    def run(self, step: int) -> None:
        """Take a step."""
        ...

    def mark(self) -> Callable[[], Readings]:
        """Return what waits for, and then returns, the loss and gradient norm of every step since the last mark."""
        ...


def accumulate(loss_of: Loss, parts: Iterable[tuple[Tensor, Tensor]], count: int) -> Tensor:
    """Add the gradient of the mean loss over `count` equal parts to the parameters, and return that loss."""
    total: Tensor | None = None
    for inputs_BT, targets_BT in parts:
        loss = loss_of(inputs_BT, targets_BT, 1 / count)
        loss.backward()
        total = loss.detach() if total is None else total + loss.detach()
    assert total is not None
    return total


class EagerSteps:
    """Steps called from Python, on any device; rows at once are halved whenever memory runs out."""

    def __init__(self, model: LanguageModel, stream: TokenStream, config: TrainingConfig, loss_of: Loss, at_once: int) -> None:
        self.model, self.stream, self.config, self.loss_of, self.at_once = model, stream, config, loss_of, at_once
        self.optimizer = build_optimizer(model, config)
        self._unread: list[tuple[Tensor, Tensor]] = []

    def begin_at(self, step: int) -> None:
        """Nothing: every step is told which it is."""

    def run(self, step: int) -> None:
        """Take a step."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, step)
        loss = self._gradient(*self._batch(step))
        gradient_norm = self._clip()
        self.optimizer.step()
        self._unread.append((loss, gradient_norm))

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        inputs_BT, targets_BT = (torch.from_numpy(array).to(self.model.embedding.device) for array in self.stream.batch(step))
        return inputs_BT, targets_BT

    def _clip(self) -> Tensor:
        return nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)

    def _gradient(self, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        while True:
            self.optimizer.zero_grad(set_to_none=True)
            parts = parts_of(self.config.rows, self.at_once)
            try:
                return accumulate(self.loss_of, ((inputs_BT[part], targets_BT[part]) for part in parts), len(parts))
            except (RuntimeError, MemoryError) as error:
                if self.at_once == 1 or not is_out_of_memory(error):
                    raise
            self.at_once = largest_divisor(self.config.rows, self.at_once // 2)

    def mark(self) -> Callable[[], Readings]:
        """Return what reads the losses and gradient norms since the last mark."""
        taken, self._unread = self._unread, []
        return lambda: [(loss.item(), gradient_norm.item()) for loss, gradient_norm in taken]


class GraphSteps:
    """Steps replayed from one CUDA graph: batch, forward, backward, clip, rate, AdamW, and the record of loss and gradient norm.

    The host only says `replay`; the device counts the steps and looks its rate up.
    """

    def __init__(self, model: LanguageModel, stream: TokenStream, config: TrainingConfig, loss_of: Loss, at_once: int) -> None:
        self.model, self.config, self.loss_of, self.at_once = model, config, loss_of, at_once
        device = model.embedding.device
        self._step = torch.zeros((), dtype=torch.int64, device=device)
        self._rate = torch.zeros((), device=device)
        self._rates = torch.tensor([learning_rate(config, step) for step in range(config.steps)], device=device)
        self._record = torch.zeros(config.steps, 2, device=device)
        self._batches: StaticBatches = static_batches(stream, config.steps, self._step, torch.cuda.mem_get_info(device)[0])
        self.optimizer = build_optimizer(model, config, self._rate)
        self._marked = self._taken = 0
        self._graph = captured(self._prepare, self._take, device)

    def _prepare(self) -> None:
        """Compile and allocate by one pass that changes nothing."""
        generator_state = torch.cuda.get_rng_state(self._step.device)
        self._batches.load(0)
        accumulate(self.loss_of, [self._batches.rows(slice(0, self.at_once))], 1)
        clip_in_step(self.optimizer, self.config.gradient_clip)
        prepare_state(self.optimizer, self._rate)
        torch.cuda.set_rng_state(generator_state, self._step.device)

    def _take(self) -> None:
        parts = parts_of(self.config.rows, self.at_once)
        loss = accumulate(self.loss_of, (self._batches.rows(part) for part in parts), len(parts))
        gradient_norm = clip_in_step(self.optimizer, self.config.gradient_clip)
        at = self._step.reshape(1)
        self._rate.copy_(self._rates.index_select(0, at)[0])
        self.optimizer.step()
        self._record.index_copy_(0, at, torch.stack((loss.float(), gradient_norm.float()))[None])
        self._step += 1

    def begin_at(self, step: int) -> None:
        """Tell the device which step is next."""
        self._step.fill_(step)
        self._marked = self._taken = step

    def run(self, step: int) -> None:
        """Queue a step; steps come in order."""
        self._batches.load(step)
        self._graph.replay()
        self._taken = step + 1

    def mark(self) -> Callable[[], Readings]:
        """Return what waits for the steps queued since the last mark, and for no later one."""
        readings = torch.empty(self._taken - self._marked, 2, pin_memory=True)
        readings.copy_(self._record[self._marked : self._taken], non_blocking=True)
        self._marked = self._taken
        done = torch.cuda.Event()
        done.record()

        def read() -> Readings:
            done.synchronize()
            return [(loss, gradient_norm) for loss, gradient_norm in readings.tolist()]

        return read
