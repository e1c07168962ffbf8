"""What a training says while it runs: lines of its log, TensorBoard, Weights & Biases, and whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from star_search.analysis.tensorboard import check_tensorboard
from star_search.config import TrainingConfig
from star_search.errors import InputError
from star_search.finalists.training_folder import TrainingFolder
from star_search.training.progress import Progress
from star_search.training.schedule import learning_rate

Watch = Callable[[Progress], None]


class Scalars(Protocol):
    """Somewhere that numbers by name go, step by step."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Take in the numbers of a step."""
        ...

    def close(self) -> None:
        """Send off what was taken in."""
        ...


class TensorBoard:
    """Event files that TensorBoard shows; steps that are taken again after a kill replace those before.

    Raises:
        InputError: when tensorboard is not installed.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        check_tensorboard()
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Take in the numbers of a step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


def check_wandb() -> None:
    """Refuse to go on without wandb.

    Raises:
        InputError: when it is not installed.
    """
    try:
        import wandb  # noqa: F401
    except ImportError:
        raise InputError("--wandb needs a package: pip install wandb") from None


class WeightsAndBiases:
    """A run of Weights & Biases, which a resumed training goes on with.

    Raises:
        InputError: when wandb is not installed.
    """

    def __init__(self, project: str, folder: Path, settings: Mapping[str, Any]) -> None:
        check_wandb()
        import wandb

        identity = "".join(letter if letter.isalnum() else "-" for letter in str(folder.resolve()))[-60:]
        self._run: Any = wandb.init(project=project, name=folder.name, id=identity, resume="allow", dir=str(folder), config=dict(settings))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Take in the numbers of a step."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """End the session."""
        self._run.finish()


class Recorder:
    """Hears of a training's progress and tells it on."""

    def __init__(self, folder: TrainingFolder, config: TrainingConfig, scalars: list[Scalars], watch: Watch) -> None:
        self.folder, self.config, self.scalars, self.watch = folder, config, scalars, watch
        self._last: tuple[int, float] | None = None

    def __call__(self, progress: Progress) -> None:
        """Take in a report."""
        values = {
            "loss": progress.loss,
            "gradient_norm": progress.gradient_norm,
            "learning_rate": learning_rate(self.config, progress.step - 1),
        }
        # What comes before the first report holds compilation and warm-up.
        if self._last is not None:
            values["tokens_per_second"] = (progress.step - self._last[0]) * self.config.batch_tokens / (progress.seconds - self._last[1])
        self._last = progress.step, progress.seconds
        self.folder.log("step", step=progress.step, tokens=progress.step * self.config.batch_tokens, **values)
        for each in self.scalars:
            each.write(progress.step, values)
        self.watch(progress)

    def finish(self, step: int, values: Mapping[str, float]) -> None:
        """Tell the last figures."""
        for each in self.scalars:
            each.write(step, values)
            each.close()


def speed(folder: TrainingFolder) -> float | None:
    """Return the tokens per second of a training: the median over what lies between two reports, all sessions together."""
    found = [event["tokens_per_second"] for event in folder.events() if event["event"] == "step" and "tokens_per_second" in event]
    return median(found) if found else None
