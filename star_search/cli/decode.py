"""`star-search decode`: explain a genome."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from star_search.genome.accounting import Accounting
    from star_search.genome.catalogue import Catalogue
    from star_search.genome.encoding import Genome

LARGEST_MATRIX_WIDTH = 4096


def decode(
    genome: Annotated[str, typer.Argument(help="Text of a genome, for example 21211-31112-21221-32112, or the name of a baseline.")],
    width: Annotated[int, typer.Option(help="Width of the residual stream.")] = 768,
    depth: Annotated[int | None, typer.Option(help="Number of LIVs: a baseline's (24), or what a genome must have.")] = None,
    scale: Annotated[str | None, typer.Option(help="Make a genome --depth deep: stack repeats it, stretch repeats each LIV.")] = None,
    like: Annotated[str | None, typer.Option(metavar="GENOME", help="Take the width at which it is as large as GENOME at --width.")] = None,
    match: Annotated[str, typer.Option(help="What --like makes equal: parameters or flops.")] = "parameters",
    length: Annotated[int, typer.Option(help="Tokens for which the cache is counted.")] = 4096,
    catalogue: Annotated[str, typer.Option(help="Name of a catalogue, or the YAML file of one.")] = "star",
    explain: Annotated[bool, typer.Option("--explain", help="Say per gene why the genome would be repaired, and how.")] = False,
    graph: Annotated[str | None, typer.Option(metavar="dot", help="Print the genome as a graph: dot.")] = None,
    matrices: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the token-mixing matrices as .png, .pdf, .svg.")] = None,
    matrix_width: Annotated[int | None, typer.Option(help="Width of the untrained model whose matrices are drawn (32).")] = None,
    matrix_length: Annotated[int | None, typer.Option(help="Tokens of the embedded text that it reads (64).")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Explain a genome: its LIVs, who shares what with whom, its parameters and its cache."""
    from star_search.cli.console import print_json, print_written
    from star_search.errors import InputError
    from star_search.genome import description
    from star_search.genome.accounting import Accounting
    from star_search.genome.catalogue import load_catalogue
    from star_search.genome.rules import Rules

    table = load_catalogue(catalogue)
    if graph is not None and json_:
        raise InputError("--graph and --json cannot be combined")
    if explain and matrices is not None:
        raise InputError("--explain and --matrices cannot be combined")
    if matrices is None and (matrix_width, matrix_length) != (None, None):
        raise InputError("--matrix-width and --matrix-length say how --matrices draws, which is not given")
    parsed = _read(genome, table, width, depth, scale, length, graph)
    if explain:
        _explain(parsed, table, json_)
        return
    Rules.of(table, parsed.layout).check(parsed)
    account = Accounting.of(parsed, width, table)
    if like is not None:
        account = _matched(account, like, match, length)
    described = description.describe(account, length)
    if matrices is not None:
        _draw_matrices(
            parsed, table, 32 if matrix_width is None else matrix_width, 64 if matrix_length is None else matrix_length, matrices
        )
        print_written(matrices, aside=True)
    if graph is not None:
        print(description.graph(parsed, table))
    else:
        print_json(described) if json_ else _print_tree(described, parsed, table)


def _read(text: str, catalogue: Catalogue, width: int, depth: int | None, scale: str | None, length: int, graph: str | None) -> Genome:
    from star_search.errors import InputError
    from star_search.genome.baselines import BASELINE_DEPTH, read_genome
    from star_search.genome.scaling import read_scale, scaled

    for option, value in (("--width", width), ("--length", length), ("--depth", depth)):
        if value is not None and value < 1:
            raise InputError(f"{option} must be at least 1, got {value}")
    if graph not in (None, "dot"):
        raise InputError(f"--graph must be dot, got {graph}")
    genome = read_genome(text, depth or BASELINE_DEPTH, catalogue)
    if scale is not None:
        return scaled(genome, depth or genome.depth, read_scale(scale), catalogue)
    if depth not in (None, genome.depth):
        raise InputError(f"the genome has {genome.depth} LIVs and --depth is {depth}; --scale stack or --scale stretch makes it deeper")
    return genome


def _matched(account: Accounting, like: str, match: str, length: int) -> Accounting:
    from dataclasses import replace

    from star_search.genome.baselines import read_genome
    from star_search.genome.matching import matched, read_match
    from star_search.genome.rules import Rules

    other = read_genome(like, account.genome.depth, account.catalogue)
    Rules.of(account.catalogue, other.layout).check(other)
    return matched(account, replace(account, genome=other), read_match(match), 0, length)


def _draw_matrices(genome: Genome, catalogue: Catalogue, width: int, length: int, path: Path) -> None:
    from star_search.analysis.matrices import write_matrices
    from star_search.errors import InputError, check_whole
    from star_search.genome.accounting import Accounting

    check_whole(width, "--matrix-width", 1, LARGEST_MATRIX_WIDTH)
    try:
        _ = Accounting.of(genome, width, catalogue).dimensions
    except InputError as error:
        raise InputError(f"--matrix-width {width}, for an untrained model to draw, does not fit: {error}") from None
    write_matrices(genome, catalogue, width, length, path)


def _explain(genome: Genome, catalogue: Catalogue, as_json: bool) -> None:
    from star_search.cli.console import console, print_json
    from star_search.genome.description import explain_repair

    account = explain_repair(genome, catalogue)
    if as_json:
        print_json({"genome": genome.format(), **account})
        return
    if account["legal"]:
        console.print(f"{genome} is legal; repair leaves it as it is")
        return
    for sentence in account["problems"]:
        console.print(f"  {sentence}", markup=False)
    for change in account["changed"]:
        owner = f"LIV {change['liv']}" if "liv" in change else f"class {change['class']}"
        console.print(f"  {owner}: {change['gene']} {change['from']} becomes {change['to']}", markup=False)
    console.print(f"repaired (seed 0): {account['repaired']}")


def _print_tree(described: dict[str, Any], genome: Genome, catalogue: Catalogue) -> None:
    from rich.tree import Tree

    from star_search.analysis.strips import strip_markup
    from star_search.cli.console import as_text, console, format_bytes, print_legend
    from star_search.genome.encoding import format_digits

    # Genomes stay one line, which a narrow terminal wraps by itself, because people copy them.
    console.print(f"{strip_markup(genome, catalogue)}  {described['genome']}", soft_wrap=True)
    console.print(f"canonical {described['canonical']}", soft_wrap=True)
    console.print(
        f"{described['depth']} LIVs of width {described['width']}: {described['parameters']:,} parameters "
        f"({described['operator_parameters']:,} in operators), cache {described['cache_bytes']:,} bytes "
        f"({format_bytes(described['cache_bytes'])}) after {described['length']:,} tokens"
    )
    tree = Tree("LIVs", hide_root=True)
    for liv in described["livs"]:
        kind = f"{liv['operator']}{' differential' if liv['differential'] else ''}"
        branch = tree.add(
            f"[bold]{liv['position']:>2} {as_text(liv['name'])}[/] [dim]{kind}[/]  "
            f"{liv['parameters']:,} parameters  {format_bytes(liv['cache_bytes'])}"
        )
        for title, shared in (("weights", liv["weights_from"]), ("features", liv["features_from"])):
            for source in sorted(set(shared.values())):
                branch.add(f"{title} {', '.join(name for name, where in shared.items() if where == source)} from LIV {source}")
    console.print(tree)
    for block in described["composition"]:
        console.print(f"LIVs {', '.join(map(str, block['members']))} run in parallel, combined by {block['combined_by']}")
    for own in described["classes"]:
        groups = ", ".join(f"{name} {format_digits(genes)}" for kind in ("context", "readout") for name, genes in own[kind].items())
        kind = f"{own['family']}{', differential' if own['differential'] else ''}"
        console.print(f"class {own['class']} {as_text(own['name'])}: operator {own['operator']} ({kind}), groups {groups}")
    print_legend()
