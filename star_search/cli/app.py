"""The Typer application that joins the commands."""

from typing import Annotated

import typer

from star_search.cli.benchmark import benchmark
from star_search.cli.compare import compare
from star_search.cli.data import data
from star_search.cli.decode import decode
from star_search.cli.evaluate import evaluate
from star_search.cli.evolve import evolve
from star_search.cli.export_best import export_best
from star_search.cli.figures import figures
from star_search.cli.genes import genes
from star_search.cli.inspect import inspect
from star_search.cli.motifs import motifs
from star_search.cli.report import report
from star_search.cli.train import train

app = typer.Typer(
    name="star-search",
    help="Find sequence-model architectures for a budget (STAR, arXiv 2411.17800).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# Groups of `--help`, and of the pages that the documentation has of the commands.
PANELS = {
    "Search, and look at it": (evolve, inspect, motifs, figures, report),
    "From a search to a model": (train, compare, export_best, evaluate),
    "Genomes": (decode, genes),
    "Text and measurements": (benchmark,),
}
for panel, commands in PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(data, rich_help_panel="Text and measurements")


def _version(asked: bool) -> None:
    if asked:
        from star_search import __version__

        typer.echo(f"star-search {__version__}")
        raise typer.Exit


@app.callback()
def _root(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False) -> None:
    pass
