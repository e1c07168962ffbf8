"""One genome trained by two engines on a GPU, and where they part; imported by processes that work many at a time."""

from __future__ import annotations

import traceback
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from star_search.config import DataConfig, TrainingConfig

if TYPE_CHECKING:
    from torch import Tensor

    from star_search.data.stream import TokenStream
    from star_search.model.language_model import LanguageModel
    from star_search.training.steps import Readings

# Compiling is one core's work in each of so many processes.
PROCESSES = 12
CATALOGUE = Path(__file__).parent / "liv" / "grid.yaml"
WIDTH, LENGTH, ROWS, STEPS = 64, 150, 4, 6


class Job(NamedTuple):
    """A genome over the grid's catalogue, and the precision of its training."""

    genome: str
    precision: str


def compare_all(jobs: list[Job]) -> tuple[ProcessPoolExecutor, dict[Job, Future[str]]]:
    """Begin comparisons in processes of their own and return at once."""
    pool = ProcessPoolExecutor(PROCESSES, get_context("spawn"), _prepare)
    return pool, {job: pool.submit(difference, job) for job in jobs}


def _prepare() -> None:
    """Compile in this process, not in helpers of its own."""
    import torch._inductor.config

    torch._inductor.config.compile_threads = 1
    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = False


def difference(job: Job) -> str:
    """Return in one line where the graph parts from eager steps, nothing where it does not."""
    try:
        return "; ".join(_gradient_problems(job) + _training_problems(job))
    except Exception as error:
        own = [frame for frame in traceback.extract_tb(error.__traceback__) if "star_search" in frame.filename]
        where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in own[:-4:-1])
        return f"{type(error).__name__} at {where}: {' '.join(str(error).split())[:400]}"


def _gradient_problems(job: Job) -> list[str]:
    """Hold the gradient of compiled blocks against that of the eager model: parameter by parameter in fp32, the whole in bf16."""
    exact, eager = _gradients(job._replace(precision="float32"), "eager"), _gradients(job, "eager")
    compiled = _gradients(job, "compiled")
    whole = sum(float(each.norm()) ** 2 for each in exact.values()) ** 0.5
    if job.precision == "bfloat16":
        theirs, mine = (sum(float((each[name] - exact[name]).norm()) ** 2 for name in exact) ** 0.5 / whole for each in (eager, compiled))
        return [] if mine < 3 * theirs + 0.05 else [f"gradient off by {mine:.3g} of its norm, eager by {theirs:.3g}"]
    errors = {name: float((compiled[name] - each).norm()) / (float(each.norm()) + 0.01 * whole) for name, each in exact.items()}
    # A comparison turned round, so that what is not a number fails.
    return [f"gradient of {name} off by {error:.3g}" for name, error in errors.items() if not error < 1e-3]


def _gradients(job: Job, engine: str) -> dict[str, Tensor]:
    import torch

    from star_search.training.compilation import CompiledModel
    from star_search.training.engine import BACKEND, CompiledLoss, dtype_of
    from star_search.training.loss import cross_entropy

    (model, stream), training = _model(job), _training(job, engine)
    inputs, targets = (torch.from_numpy(array).cuda() for array in stream.batch(0))
    if engine == "eager":
        loss = cross_entropy(model, inputs, targets, job.precision)
    else:
        loss = CompiledLoss(CompiledModel(model, LENGTH, dtype_of(training), BACKEND), training)(inputs, targets)
    loss.backward()
    return {name: parameter.grad.float() for name, parameter in model.named_parameters() if parameter.grad is not None}


def _training_problems(job: Job) -> list[str]:
    """Hold losses and gradient norms of a few replayed steps against those of eager ones.

    In bf16 only norms are held that rounding leaves as they are: where the eager one is not that of fp32, gradients as a whole are held.
    """
    expected, readings = _trained(job, "eager"), _trained(job, "graph")
    exact = _trained(job._replace(precision="float32"), "eager") if job.precision == "bfloat16" else expected
    loss_tolerance, norm_tolerance = (5e-2, 2e-1) if job.precision == "bfloat16" else (2e-3, 2e-2)
    problems = []
    for step, ((loss, norm), (true_loss, true_norm), (_, exact_norm)) in enumerate(zip(readings, expected, exact, strict=True)):
        tolerance = norm_tolerance * true_norm
        is_rounding = abs(true_norm - exact_norm) >= tolerance
        if not (abs(loss - true_loss) < loss_tolerance and (is_rounding or abs(norm - true_norm) < tolerance)):
            problems.append(f"step {step}: loss {loss:.5g} for {true_loss:.5g}, gradient norm {norm:.5g} for {true_norm:.5g}")
    return problems[:1]


def _trained(job: Job, engine: str) -> Readings:
    from star_search.training.engine import build_steps
    from star_search.training.steps import EagerSteps, GraphSteps

    steps = build_steps(*_model(job), _training(job, engine))
    assert isinstance(steps, GraphSteps if engine == "graph" else EagerSteps)
    for step in range(STEPS):
        steps.run(step)
    return steps.mark()()


def _model(job: Job) -> tuple[LanguageModel, TokenStream]:
    from star_search.data.store import prepare
    from star_search.data.stream import TokenStream
    from star_search.genome.catalogue import load_catalogue
    from star_search.model.language_model import LanguageModel

    stream = TokenStream(prepare(DataConfig()), LENGTH, ROWS, 0)
    model = LanguageModel.from_genome(job.genome, WIDTH, stream.store.vocabulary_size, load_catalogue(str(CATALOGUE)), seed=0)
    return model.cuda().train(), stream


def _training(job: Job, engine: str) -> TrainingConfig:
    batch_tokens, warmup = ROWS * LENGTH, 1
    return TrainingConfig.model_validate(
        {
            "tokens": STEPS * batch_tokens,
            "batch_tokens": batch_tokens,
            "sequence_length": LENGTH,
            "warmup_steps": warmup,
            "engine": engine,
            "precision": job.precision,
        }
    )
