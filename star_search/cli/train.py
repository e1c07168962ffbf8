"""`star-search train`: one architecture, trained to any budget."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    model: Annotated[
        str | None, typer.Argument(help="A run (with --candidate), a genome, the name of a baseline, or an exported folder.")
    ] = None,
    candidate: Annotated[int | None, typer.Option(metavar="ID", help="Which candidate of the run.")] = None,
    config: Annotated[
        str | None, typer.Option(help="A YAML file or a shipped configuration: text, training, depth and width. A run's own by default.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key; may be repeated.")] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="Training tokens; by default those of the configuration.")] = None,
    depth: Annotated[int | None, typer.Option(min=1, help="Number of LIVs: a baseline's, or a multiple of the genome's own.")] = None,
    width: Annotated[int | None, typer.Option(min=1, help="Width of the residual stream.")] = None,
    scale: Annotated[str, typer.Option(help="How a genome is made deeper: stack repeats it, stretch repeats each LIV.")] = "stack",
    seed: Annotated[int, typer.Option(min=0, help="Draws weights and the order of the text.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Draw new weights for an exported folder.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder of the training; runs/train-NAME, numbered when it exists, by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the training in --out; start it if there is none.")] = False,
    checkpoint_steps: Annotated[
        int | None, typer.Option(min=1, help="Steps between checkpoints; a twentieth of the training by default, 500 at most.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Processes with a device each; torchrun does the same from outside.")] = 1,
    parallel: Annotated[str, typer.Option(help="How several devices hold the model: ddp, each whole; fsdp, each a part.")] = "ddp",
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write scalars for TensorBoard into the folder.")] = False,
    wandb: Annotated[str | None, typer.Option(metavar="PROJECT", help="Send scalars to this project of Weights & Biases.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the model, and memory and speed of each device; train nothing.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train one architecture to any budget, on one device or several; evaluate it on validation and test text; export it.

    A killed training goes on with --resume, bit for bit on the same devices.
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
