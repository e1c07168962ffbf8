"""A training's state as named tensors: weights, AdamW's moments and step, random generators, the losses so far.

Shapes: R processes, S bytes of a generator's state, N steps.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.tensor import DTensor, distribute_tensor

from star_search.errors import InputError, check_whole
from star_search.runs.atomic import write_with
from star_search.training.stability import HealthMonitor
from star_search.training.steps import Steps
from star_search.training.world import World

STATE = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True, slots=True)
class Position:
    """Where a checkpoint stands: steps done, rows trained at once, processes, the genome, its catalogue with the version, the digest
    of the plan it belongs to, and the fingerprint of its text."""

    step: int
    rows_at_once: int
    processes: int
    genome: str
    catalogue: str
    plan: str
    text: str


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Return every weight whole, on the CPU; all processes must call it together."""
    return {name: _whole(parameter.detach()) for name, parameter in model.named_parameters()}


def gather(steps: Steps, monitor: HealthMonitor, world: World) -> dict[str, Tensor]:
    """Return the state of a training, whole; all processes must call it together.

    Without dropout nothing draws, but the generators of every process are kept all the same.
    """
    tensors = {f"weight.{name}": weight for name, weight in weights_of(steps.model).items()}
    for name, parameter in steps.model.named_parameters():
        state = steps.optimizer.state[parameter]
        tensors |= {f"{key}.{name}": _whole(state[key]).reshape(-1 if key == "step" else parameter.shape) for key in STATE}
    tensors |= {f"generator.{kind}": _of_all(state, world) for kind, state in _generators(world).items()}
    return tensors | {"losses": torch.tensor(monitor.losses, dtype=torch.float64)}


def restore(tensors: Mapping[str, Tensor], steps: Steps, monitor: HealthMonitor, world: World) -> None:
    """Put a state back in place, each process taking its own part."""
    with torch.no_grad():
        for name, parameter in steps.model.named_parameters():
            parameter.copy_(_like(tensors[f"weight.{name}"], parameter))
            state = steps.optimizer.state[parameter]
            for key in STATE:
                value = tensors[f"{key}.{name}"]
                placed = value.reshape(()).to(parameter.device) if key == "step" else _like(value, parameter)
                # A captured step reads these very tensors.
                if key in state:
                    state[key].copy_(placed)
                else:
                    state[key] = placed
    for kind, states_RS in ((kind, tensors[f"generator.{kind}"]) for kind in _generators(world)):
        if world.rank < len(states_RS):
            # Torch reads a state from the start of its memory, whatever row it is.
            _set_generator(kind, states_RS[world.rank].clone(), world)
    monitor.restore(tensors["losses"].tolist())


def write(path: Path, tensors: dict[str, Tensor], position: Position) -> None:
    """Write a checkpoint; it appears whole or not at all.

    Raises:
        StarSearchError: when the disk fails.
    """
    metadata = {"position": json.dumps(asdict(position))}
    held = {name: tensor.contiguous() for name, tensor in tensors.items()}

    def save(temporary: Path) -> None:
        try:
            save_file(held, temporary, metadata)
        except SafetensorError as error:
            raise OSError(errno.EIO, str(error)) from error

    write_with(path, save)


def read_position(path: Path) -> Position:
    """Return where a checkpoint stands.

    Raises:
        InputError: for a file that is no checkpoint.
    """
    try:
        with safe_open(path, "pt") as file:
            position = Position(**json.loads((file.metadata() or {})["position"]))
        for key in ("step", "rows_at_once", "processes"):
            check_whole(getattr(position, key), key, 1)
        return position
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, InputError) as error:
        raise InputError(f"{path} is no checkpoint of a training that can be read ({error})") from None


def read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint.

    Raises:
        InputError: for a file that is no checkpoint.
    """
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is no checkpoint of a training that can be read ({error})") from None


def _whole(tensor: Tensor) -> Tensor:
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).cpu().clone()


def _like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """Return a tensor as this process holds the parameter: on its device, in part where it holds a part."""
    placed = tensor.to(parameter.device)
    return distribute_tensor(placed, parameter.device_mesh, parameter.placements) if isinstance(parameter, DTensor) else placed


def _generators(world: World) -> dict[str, Tensor]:
    found = {"cpu": torch.get_rng_state()}
    return found | {"cuda": torch.cuda.get_rng_state(world.device)} if world.device.type == "cuda" else found


def _set_generator(kind: str, state_S: Tensor, world: World) -> None:
    torch.set_rng_state(state_S) if kind == "cpu" else torch.cuda.set_rng_state(state_S, world.device)


def _of_all(state_S: Tensor, world: World) -> Tensor:
    """Return the state of every process, [R, S]."""
    if world.is_alone:
        return state_S[None]
    found: list[Any] = [None] * world.size
    dist.all_gather_object(found, state_S)
    return torch.stack(found)
