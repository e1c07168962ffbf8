"""One `train` session: what is trained and where, in this process, among several, or by starting them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from star_search.analysis.plain_text import shell_word
from star_search.cli.console import console, errors, format_bytes, format_seconds, print_json, print_whole
from star_search.cli.preparing import preparation_bar
from star_search.cli.session import INTERRUPTED, RUNS
from star_search.config import parse_configuration
from star_search.errors import InputError, StarSearchError, check_whole, check_word
from star_search.finalists.plan import Plan
from star_search.finalists.source import Source, Wish, find_source
from star_search.finalists.training_folder import TrainingFolder, is_training
from star_search.genome.encoding import Genome
from star_search.processes import end_with
from star_search.runs.locate import numbered_folder

if TYPE_CHECKING:
    from star_search.finalists.recording import Recorder, Scalars, Watch
    from star_search.finalists.running import Training
    from star_search.training.world import Parallel, World

PARALLEL = ("ddp", "fsdp")
USUAL_VOCABULARY, LARGEST_SEED = 50_304, 2**63 - 1


@dataclass
class TrainingSession:
    """A training to be run: its source and plan, its folder, whether it is there already, and on which devices."""

    source: Source
    training: Plan
    folder: Path
    existing: bool
    device: str
    devices: int

    @classmethod
    def plan(
        cls,
        model: str | None,
        wish: Wish,
        seed: int | None,
        out: Path | None,
        resume: bool,
        device: str,
        devices: int,
        parallel: str | None,
        dry_run: bool,
    ) -> TrainingSession:
        """Resolve what is asked for; everything that is wrong with it is found here. A dry run may speak of devices that are elsewhere.

        Raises:
            InputError: for a model that cannot be, another training in the folder, or more devices than there are or than share a step.
        """
        if parallel is not None:
            check_word(parallel, PARALLEL, "--parallel")
        if seed is not None:
            check_whole(seed, "--seed", 0, LARGEST_SEED)
        device = device if dry_run else _checked_device(device, devices)
        if resume and out is None:
            raise InputError("--resume needs --out, the folder of the training that is to go on")
        stored = TrainingFolder.open(out).plan if out is not None and resume and is_training(out) else None
        if model is None:
            if stored is None:
                raise InputError("give a run with --candidate, a genome, a baseline or an exported folder; or --resume --out FOLDER")
            source, training = _as_planned(stored, wish, seed, parallel)
        else:
            source = find_source(model, wish)
            training = Plan.of(source, seed or 0, parallel or "ddp")
        if not dry_run:
            source.config.training.check_device(device)
        _check_divisible(source.config.training.rows, devices)
        if stored is not None and (difference := stored.difference(training)):
            raise InputError(f"{out} holds another training: {difference}; give another --out")
        folder = out or numbered_folder(RUNS, f"train-{source.label.replace('+', 'p')}")
        return cls(source, training, folder, stored is not None, device, devices)

    def run(self, every: int | None, tensorboard: bool, wandb: str | None, quiet: bool, as_json: bool) -> int:
        """Train, and return the exit code."""
        from star_search.analysis.tensorboard import check_tensorboard
        from star_search.finalists.recording import check_wandb
        from star_search.finalists.running import Training
        from star_search.training.world import joined, launched_processes

        if tensorboard:
            check_tensorboard()
        if wandb is not None:
            check_wandb()
        if self.devices > 1 and launched_processes() == 1:
            if not self.existing:
                self._check_input(quiet or as_json)
            return self._launch()
        try:
            with joined(self.device, cast("Parallel", self.training.parallel)) as world:
                folder = self._opened(world, quiet or as_json)
                training = Training(folder, self.training, world, every)
                if not world.is_first:
                    training.run(None)
                    return 0
                with folder.writing():
                    result = folder.result()
                    if result is None:
                        self._announce(quiet or as_json, training.first_step)
                        with _bar(self.training, quiet or as_json) as watch:
                            result = training.run(self._recorder(training, tensorboard, wandb, watch))
        except KeyboardInterrupt:
            return self._interrupted()
        print_json(result) if as_json else self._print_end(result, quiet)
        return 0

    def _interrupted(self) -> int:
        """Say how to go on, and return the exit code."""
        sentence = f"interrupted; what was trained since the last checkpoint is lost. Continue with:\n  {self.resume_command()}"
        errors.print(sentence, markup=False, soft_wrap=True)
        return INTERRUPTED

    def _opened(self, world: World, quiet: bool) -> TrainingFolder:
        """Return the folder, which the first process makes where there is none, once text and weights are found good."""
        if world.is_first and not self.existing:
            self._check_input(quiet)
            TrainingFolder.create(self.folder, self.training)
        world.wait()
        return TrainingFolder.open(self.folder)

    def _check_input(self, quiet: bool) -> None:
        """Refuse a folder that cannot be written, weights that cannot be loaded and a text that cannot be read, which is prepared."""
        from star_search.data.store import prepare
        from star_search.export.loading import ExportedModel
        from star_search.runs.output import check_folder

        check_folder(self.folder, "--out")
        if self.training.weights is not None:
            ExportedModel.read(Path(self.training.weights)).native()
        with preparation_bar(quiet) as report:
            prepare(self.training.search.data, report=report)

    def _recorder(self, training: Training, tensorboard: bool, wandb: str | None, watch: Watch) -> Recorder:
        from star_search.evolution.provenance import PACKAGES, package_version
        from star_search.finalists.recording import Recorder, TensorBoard, WeightsAndBiases

        folder = training.folder
        scalars: list[Scalars] = [TensorBoard(folder.path, training.first_step)] if tensorboard else []
        if wandb is not None:
            scalars.append(WeightsAndBiases(wandb, folder.path, self.training.as_json()))
        versions = {name: package_version(name) for name in PACKAGES}
        folder.log("session", first_step=training.first_step, device=str(training.world.device), processes=training.world.size, **versions)
        return Recorder(folder, self.training.search.training, scalars, watch)

    def _launch(self) -> int:
        """Have torchrun start a process for each device; they run this very command."""
        out = [] if "--out" in sys.argv else ["--out", str(self.folder)]
        arguments = [*sys.argv[1:], *out]
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(self.devices)]
        command += ["-m", "star_search.cli", *arguments]
        try:
            return subprocess.run(command, check=False, preexec_fn=partial(end_with, os.getpid())).returncode
        except KeyboardInterrupt:
            return self._interrupted()

    def resume_command(self) -> str:
        """Return the command that continues the training."""
        several = f" --devices {self.devices}" if self.devices > 1 else ""
        if several and self.device == "cpu":  # Which several are not taken to be unless it is said.
            several += " --device cpu"
        return f"star-search train --resume --out {shell_word(str(self.folder))}{several}"

    def _announce(self, quiet: bool, first_step: int) -> None:
        if quiet:
            return
        training, account = self.training.search.training, self.source.account
        console.print(
            f"{self.source.label}: {account.genome.depth} LIVs of width {account.width}, {account.parameters:,} parameters, "
            f"{training.steps:,} steps of {training.batch_tokens:,} tokens in {self.folder}"
            + (f", from step {first_step:,}" if first_step else ""),
            markup=False,
        )
        print_whole(f"genome {self.source.genome}")

    def _print_end(self, result: dict[str, Any], quiet: bool) -> None:
        if quiet:
            return
        for split in ("validation", "test"):
            found = result[split]
            if found is not None:
                console.print(f"{split}: perplexity {found['perplexity']:.4f}, {found['bits_per_byte']:.4f} bits per byte")
        measured = result["measured"]
        console.print(
            f"{result['tokens']:,} tokens, {measured['tokens_per_second']:,.0f} a second on {measured['processes']} x "
            f"{measured['device']}, {format_bytes(measured['peak_memory_bytes'])} of memory\nexported to {self.folder / 'export'}",
            markup=False,
        )

    def print_estimate(self) -> None:
        """Print the model, and what training it takes on each device."""
        from star_search.data.tokenizer import load_tokenizer
        from star_search.finalists.estimate import FLOPS_PER_SECOND, UTILISATION, estimate, gpu_bytes

        training, account, length = self.training.search.training, self.source.account, self.training.search.training.sequence_length
        try:
            vocabulary = load_tokenizer(self.training.search.data.tokenizer).vocabulary_size
        except StarSearchError as error:
            vocabulary = USUAL_VOCABULARY
            console.print(f"tokenizer    not at hand ({error}); {vocabulary:,} ids are taken", markup=False)
        memory = gpu_bytes()
        found = estimate(self.source, vocabulary, self.devices, self.training.parallel, UTILISATION * FLOPS_PER_SECOND, memory)
        print_whole(f"genome       {self.source.genome}")
        console.print(
            f"model        {account.genome.depth} LIVs of width {account.width}: {account.parameters:,} parameters, and "
            f"{vocabulary * account.width:,} of the embedding; cache {format_bytes(account.cache_bytes(length))} after {length:,} tokens"
        )
        console.print(
            f"training     {training.steps:,} steps of {training.batch_tokens:,} tokens, {found.flops_per_token:.4g} FLOPs a token"
        )
        console.print(
            f"memory       about {format_bytes(found.peak_bytes)} on each of {self.devices} GPUs of {format_bytes(memory)} "
            f"({self.training.parallel}): {format_bytes(found.held_bytes)} weights, gradients and moments, "
            f"{format_bytes(found.activation_bytes)} for the backward pass of {found.rows_at_once} rows at once, "
            f"{format_bytes(found.logit_bytes)} logits",
            markup=False,
        )
        console.print(
            f"speed        about {found.tokens_per_second:,.0f} tokens a second on each at {UTILISATION:.0%} of an H200's "
            f"{FLOPS_PER_SECOND / 1e12:.0f} TFLOP/s: {format_seconds(found.hours * 3600)} in all"
        )


def _as_planned(stored: Plan, wish: Wish, seed: int | None, parallel: str | None) -> tuple[Source, Plan]:
    """Return what a training that is there trains, with what was asked for beside it, which may turn out to be another training."""
    given = {
        "--config": wish.config,
        "--candidate": wish.candidate,
        "--depth": wish.depth,
        "--width": wish.width,
        "--fresh": wish.fresh or None,
    }
    for option, value in given.items():
        if value is not None:
            raise InputError(f"{option} is for a model that is named; --resume --out FOLDER goes on with the one that is there")
    source = Source(stored.label, Genome.parse(stored.genome), parse_configuration(stored.config, list(wish.overrides)))
    asked = replace(stored, config=source.config.model_dump(mode="json"), parallel=parallel or stored.parallel)
    return source, asked if seed is None else replace(asked, seed=seed)


def _check_divisible(rows: int, devices: int) -> None:
    import torch

    from star_search.training.world import World

    World(torch.device("cpu"), size=devices).share(rows)


def _checked_device(device: str, devices: int) -> str:
    """Return the device of this process, or the kind of device of several."""
    from star_search.evolution.workers import devices as available

    found = available(device, "--device")
    if devices > 1 and found[0] != "cpu" and devices > len(found):
        raise InputError(f"--devices {devices} is more than the GPUs there are: {len(found)}")
    if devices > 1 and device == "auto" and found[0] == "cpu":
        raise InputError(f"--devices {devices} is more than the GPUs there are: 0; --device cpu trains with processes on the CPU")
    return found[0]


@contextmanager
def _bar(plan: Plan, quiet: bool) -> Iterator[Watch]:
    """Give a function that is told of the progress: a bar on a terminal, a line now and then elsewhere."""
    from rich.progress import Progress as Bars

    steps = plan.search.training.steps
    if quiet:
        yield lambda progress: None
    elif errors.is_terminal:
        with Bars(console=errors, transient=True) as bars:
            task = bars.add_task("training", total=steps)
            yield lambda progress: bars.update(task, completed=progress.step, description=f"loss {progress.loss:.3f}")
    else:
        every = max(1, steps // 10)
        marks = {done for done in range(1, steps + 1) if done % every == 0}

        def line(progress: Any) -> None:
            passed = {mark for mark in marks if mark <= progress.step}
            if passed:
                marks.difference_update(passed)
                console.print(
                    f"  step {progress.step:,} of {steps:,}  loss {progress.loss:.4f}  {progress.tokens_per_second:,.0f} tokens/s"
                )

        yield line
