"""`star-search genes`: the whole gene table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from star_search.genome.catalogue import Catalogue


def genes(
    catalogue: Annotated[str, typer.Option(help="Name of a catalogue, or the YAML file of one.")] = "star",
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the gene table: every integer, its allowed values per class, and what it means."""
    from star_search.cli.console import print_json
    from star_search.genome.catalogue import load_catalogue
    from star_search.genome.gene_table import gene_table

    table = load_catalogue(catalogue)
    described = gene_table(table)
    print_json(described) if json_ else _print(described, table)


def _print(described: dict[str, Any], catalogue: Catalogue) -> None:
    from rich.table import Table

    from star_search.cli.console import as_text, console

    console.print(f"[bold]catalogue {as_text(catalogue.name)}[/], version {catalogue.version}\n")
    console.print("[bold]Backbone genome[/]: five genes per LIV")
    for gene in described["backbone"]:
        console.print(f"  {gene['gene']}: {gene['meaning']}")
    console.print("\n[bold]Operator genome[/]: five genes per class")
    for gene in described["operator"]:
        console.print(f"  {gene['gene']}: " + "; ".join(f"{value} {meaning}" for value, meaning in gene["values"].items()))
    console.print("\n[bold]Featurizer genome[/]: five genes per feature group")
    for gene in described["featurizer"]:
        console.print(f"  {gene['gene']}: " + (gene.get("meaning") or "; ".join(f"{v} {m}" for v, m in gene["values"].items())))
    table = Table(title="\nClasses", title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for heading in ("class", "name", "operator", "context groups", "readout groups", "feature strategies"):
        table.add_column(heading, no_wrap=heading in ("class", "name", "operator"))
    for row in described["classes"]:
        groups = (", ".join(f"{name} {genes}" for name, genes in row[kind].items()) or "none" for kind in ("context", "readout"))
        strategies = "; ".join(f"{value} {meaning}" for value, meaning in row["feature_strategies"].items())
        table.add_row(str(row["id"]), as_text(row["name"]), row["operator"], *groups, strategies)
    console.print(table)
