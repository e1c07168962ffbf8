"""Time and memory of each LIV class's forward and backward pass over sequence length.

Shapes: B batch, T tokens, D width.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from star_search.analysis.duration import Duration
from star_search.errors import StarSearchError
from star_search.genome.catalogue import load_catalogue
from star_search.genome.encoding import Genome, LIVGenes
from star_search.genome.genes import LINEAR, LOW_RANK
from star_search.genome.liv_class import LIVClass
from star_search.processes import peak_memory_bytes

if TYPE_CHECKING:
    from star_search.liv.operator import LIV

LINEAR_EXPONENT = 1.15
UNRESTRICTED = 1
# Beyond every chunk, window and block, and a multiple of none.
CHECK_LENGTH, CHECK_TOLERANCE = 300, 1e-4
WARM_UP_LENGTH = 8


@dataclass(frozen=True)
class Setting:
    """What is measured: one LIV in fp32 on random input [batch, length, width], with the gradient of the input as within a stack."""

    catalogue: str
    width: int
    batch: int
    lengths: tuple[int, ...]
    threads: int
    repeats: int
    device: str


@dataclass(frozen=True)
class Point:
    """One class at one length: seconds forward, backward and together; bytes held at most beyond module, input and libraries."""

    length: int
    forward: Duration
    backward: Duration
    total: Duration
    peak_bytes: int


@dataclass(frozen=True)
class ClassCost:
    """One class over all lengths, and how its cost grows: exponents of least squares on logarithms."""

    id: int
    name: str
    family: str
    linear: bool
    points: tuple[Point, ...]

    @property
    def spread(self) -> float:
        """Half the distance of the quartiles over the median, at the length where it is largest."""
        return max(point.total.spread for point in self.points)

    @property
    def time_exponent(self) -> float:
        """Exponent of forward and backward together."""
        return exponent([point.length for point in self.points], [point.total.median for point in self.points])

    @property
    def memory_exponent(self) -> float:
        """Exponent of the peak memory."""
        return exponent([point.length for point in self.points], [point.peak_bytes for point in self.points])

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {**asdict(self), "spread": self.spread, "time_exponent": self.time_exponent, "memory_exponent": self.memory_exponent}


def exponent(lengths: Sequence[int], costs: Sequence[float]) -> float:
    """Return the slope of log cost over log length."""
    return float(np.polyfit(np.log(lengths), np.log(np.maximum(costs, 1e-12)), 1)[0])


def claims_linear_time(liv_class: LIVClass) -> bool:
    """Return whether a class claims time linear in length: all but attention by scores over the whole sequence."""
    operator = liv_class.operator
    return (operator.token_mixing, operator.sparsity) != (LOW_RANK, UNRESTRICTED) or operator.nonlinearity == LINEAR


def measure_classes(setting: Setting, classes: Sequence[int]) -> Iterator[ClassCost]:
    """Yield each class's cost once it is measured.

    Each point is measured in a process of its own, since a process never gives its peak memory back; on a GPU each class is, since there
    the peak can be reset and starting costs seconds.

    Raises:
        StarSearchError: when a fast form is not its reference form, or a process dies.
    """
    catalogue = load_catalogue(setting.catalogue)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "star_search.model.backbone"])
    jobs = [setting.lengths] if setting.device.startswith("cuda") else [(length,) for length in setting.lengths]
    for class_id in classes:
        liv_class = catalogue[class_id]
        with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
            try:
                _agree(liv_class.name, pool.submit(form_error, setting, class_id).result())
                points = [point for lengths in jobs for point in pool.submit(measure, setting, class_id, lengths).result()]
            except BrokenProcessPool:
                raise StarSearchError(f"the process that measured {liv_class.name} died, as it does where memory runs out") from None
        yield ClassCost(class_id, liv_class.name, liv_class.family, claims_linear_time(liv_class), tuple(points))


def _agree(name: str, error: float) -> None:
    if not error <= CHECK_TOLERANCE:
        raise StarSearchError(
            f"the fast form of {name} differs from its reference form by {error:.1e} at {CHECK_LENGTH} tokens, "
            f"and {CHECK_TOLERANCE:.0e} is allowed; wrong outputs are not timed"
        )


def form_error(setting: Setting, class_id: int) -> float:
    """Return the larger relative error, of the output and of the input's gradient, of the fast form against the fp64 reference form."""
    import torch

    torch.set_num_threads(setting.threads)
    results = []
    for dtype, use_reference in ((torch.float32, False), (torch.float64, True)):
        liv, x_BTD = build(setting, class_id, CHECK_LENGTH, batch=1)
        liv, x_BTD = liv.to(dtype), x_BTD.detach().to(dtype).requires_grad_()
        y_BTD, _ = liv(x_BTD, use_reference=use_reference)
        y_BTD.backward(torch.ones_like(y_BTD))
        assert x_BTD.grad is not None
        results.append((y_BTD.detach().double(), x_BTD.grad.double()))
    return max(float((fast - plain).norm() / plain.norm()) for fast, plain in zip(*results, strict=True))


def build(setting: Setting, class_id: int, length: int, batch: int) -> tuple[LIV, Any]:
    """Return one LIV (seed 0) and standard normal input [batch, length, width] that needs a gradient."""
    import torch

    from star_search.liv.operator import LIV
    from star_search.model.backbone import Backbone

    genome, generator = Genome((LIVGenes(class_id, 1, 1, 1, 1),)), torch.Generator().manual_seed(0)
    liv = Backbone(genome, setting.width, setting.catalogue, generator=generator).livs[0]
    assert isinstance(liv, LIV)
    x_BTD = torch.randn(batch, length, setting.width, generator=generator)
    return liv.to(setting.device), x_BTD.to(setting.device).requires_grad_()


def measure(setting: Setting, class_id: int, lengths: Sequence[int]) -> list[Point]:
    """Measure one class in this process; the first pass at a length is for memory, and warms up for those that are timed."""
    import torch

    torch.set_num_threads(setting.threads)
    # What libraries load at their first use is not the class's; so short a pass leaves no memory behind that a longer one could use.
    passes(*build(setting, class_id, WARM_UP_LENGTH, batch=1), setting.device)
    points = []
    for length in lengths:
        liv, x_BTD = build(setting, class_id, length, setting.batch)
        before = peak_bytes(setting.device, reset=True)
        passes(liv, x_BTD, setting.device)
        held = peak_bytes(setting.device) - before
        seconds = [passes(liv, x_BTD, setting.device) for _ in range(setting.repeats)]
        forward, backward = zip(*seconds, strict=True)
        total = Duration.of([sum(each) for each in seconds])
        points.append(Point(length, Duration.of(forward), Duration.of(backward), total, held))
    return points


def passes(liv: LIV, x_BTD: Any, device: str) -> tuple[float, float]:
    """Do one forward and one backward pass and return the seconds of each."""
    import torch

    synchronise: Callable[[], None] = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    liv.zero_grad(set_to_none=True)
    x_BTD.grad = None
    synchronise()
    start = time.perf_counter()
    y_BTD, _ = liv(x_BTD)
    synchronise()
    middle = time.perf_counter()
    y_BTD.backward(y_BTD.detach())
    synchronise()
    return middle - start, time.perf_counter() - middle


def peak_bytes(device: str, reset: bool = False) -> int:
    """Return the most memory held: on a GPU what tensors took, else the process's peak resident set."""
    import torch

    if reset and device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    return peak_memory_bytes(device)
