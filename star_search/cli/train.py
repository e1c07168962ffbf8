"""`star-search train`: one architecture, trained to any budget."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[str | None, typer.Argument(help="A run (with --candidate), a genome, the name of a baseline, or an exported folder.")]
Candidate = Annotated[int | None, typer.Option(metavar="ID", help="Which candidate of the run.")]
Config = Annotated[
    str | None, typer.Option(help="A YAML file or a shipped configuration: text, training, depth and width. A run's own by default.")
]
Changes = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key; may be repeated.")]
Tokens = Annotated[int | None, typer.Option(min=1, help="Training tokens; by default those of the configuration.")]
Depth = Annotated[int | None, typer.Option(min=1, help="Number of LIVs: a baseline's, or a multiple of the genome's own.")]
Width = Annotated[int | None, typer.Option(min=1, help="Width of the residual stream.")]
ScaleBy = Annotated[str, typer.Option(help="How a genome is made deeper: stack repeats it, stretch repeats each LIV.")]
Seed = Annotated[int | None, typer.Option(min=0, show_default="0", help="Draws weights and the order of the text.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Draw new weights for an exported folder.")]
Out = Annotated[Path | None, typer.Option(help="Folder of the training; runs/train-NAME, numbered when it exists, by default.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the training in --out; start it if there is none.")]
CheckpointSteps = Annotated[
    int | None,
    typer.Option(min=1, help="Steps between checkpoints; a twentieth of the training by default, 500 at most, more where saving is slow."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Devices = Annotated[int, typer.Option(min=1, help="Processes with a device each; torchrun does the same from outside.")]
ParallelBy = Annotated[
    str | None, typer.Option(show_default="ddp", help="How several devices hold the model: ddp, each whole; fsdp, each a part.")
]
TensorBoardToo = Annotated[bool, typer.Option("--tensorboard", help="Write scalars for TensorBoard into the folder.")]
WandbProject = Annotated[str | None, typer.Option(metavar="PROJECT", help="Send scalars to this project of Weights & Biases.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the model, and memory and speed of each device; train nothing.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def train(
    model: Model = None,
    candidate: Candidate = None,
    config: Config = None,
    set_: Changes = None,
    tokens: Tokens = None,
    depth: Depth = None,
    width: Width = None,
    scale: ScaleBy = "stack",
    seed: Seed = None,
    fresh: Fresh = False,
    out: Out = None,
    resume: Resume = False,
    checkpoint_steps: CheckpointSteps = None,
    device: Device = "auto",
    devices: Devices = 1,
    parallel: ParallelBy = None,
    tensorboard: TensorBoardToo = False,
    wandb: WandbProject = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json_: AsJson = False,
) -> None:
    """Train one architecture to any budget, on one device or several; evaluate it on validation and test text; export it.

    A killed training goes on with --resume, bit for bit on a CPU, and on a GPU with training.deterministic.
    """
    from star_search.cli.training_session import TrainingSession
    from star_search.finalists.source import Wish
    from star_search.genome.scaling import read_scale

    overrides = (*(set_ or []), *([f"training.tokens={tokens}"] if tokens is not None else []))
    wish = Wish(config, overrides, candidate, depth, width, read_scale(scale), fresh)
    session = TrainingSession.plan(model, wish, seed, out, resume, device, devices, parallel, dry_run)
    if dry_run:
        session.print_estimate()
    else:
        raise typer.Exit(session.run(checkpoint_steps, tensorboard, wandb, quiet, json_))
