"""What `inspect --candidate` prints: one candidate in full, or two side by side."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from star_search.analysis.candidate import comparison_json, loss_curve
from star_search.analysis.lineage import Ancestor, Lineage, place_sentence, trace
from star_search.analysis.plain_text import printable
from star_search.analysis.run_view import RunView
from star_search.analysis.strips import link_rows, sparkline, strip_markup
from star_search.cli.console import as_text, console, format_bytes, format_value, print_legend, print_whole, shown_objectives
from star_search.genome.encoding import Genome
from star_search.runs.records import CandidateRecord, lost_tokens

# The newest; of older ones a line back to the oldest.
ANCESTORS_SHOWN = 40
# Columns of text for each of two side by side, so that they stay beside each other on a wide terminal: the strip of 48 LIVs.
WIDEST = 48


def print_candidate(view: RunView, record: CandidateRecord) -> None:
    """Print genome strip, sharing links, sizes, loss curve and lineage of one candidate."""
    _print_head(view, record)
    if view.account(record) is not None:
        _print_architecture(view, record)
    _print_training(record)
    _print_lineage(view, trace(view.by_id, record.id))
    console.print()
    print_legend()


def _print_head(view: RunView, record: CandidateRecord) -> None:
    place = " and ".join(
        name
        for name, members in (("the front", view.front), ("the population", view.population))
        if any(each.id == record.id for each in members)
    )
    console.print(f"[bold]Candidate {record.id}[/] of generation {record.generation}{', in ' + place if place else ''}")
    reason = f": {printable(record.reason)}" if record.reason else ""
    console.print(f"outcome {record.outcome.value}{reason}", markup=False)
    for name in shown_objectives(view.names):
        console.print(f"{printable(name)} {format_value(name, record.objectives.get(name))}", markup=False)
    _print_genome(record)


def _print_genome(record: CandidateRecord) -> None:
    print_whole(f"genome    {printable(record.genome)}\ncanonical {record.canonical}")


def _print_architecture(view: RunView, record: CandidateRecord) -> None:
    genome = Genome.parse(record.canonical)
    console.print(f"\n{strip_markup(genome, view.catalogue)}")
    for marks, text in link_rows(genome, view.catalogue):
        console.print(f"{marks}  {text}", markup=False)
    console.print(_liv_table(view, record))


def _liv_table(view: RunView, record: CandidateRecord) -> Table:
    account, length = view.account(record), view.config.training.sequence_length
    assert account is not None
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("LIV", "class", "parameters", f"cache at {length:,}", "weights from", "features from"):
        table.add_column(heading, justify="left" if heading in ("class", "weights from", "features from") else "right")
    elements = account.liv_cache_elements(length)
    for position, (sizes, parameters) in enumerate(zip(account.dimensions, account.liv_parameters(), strict=True)):
        sources = account.sharing.livs[position]
        shared = (_sources(sources.weights_from, position), _sources(sources.features_from, position))
        name = as_text(sizes.liv_class.name)
        table.add_row(str(position + 1), name, f"{parameters:,}", format_bytes(2 * elements[position]), *shared)
    table.add_row("all", "", f"{account.parameters:,}", format_bytes(account.cache_bytes(length)), "", "")
    return table


def _sources(sources: dict[str, int], position: int) -> str:
    found = {where for where in sources.values() if where != position}
    return "; ".join(f"{', '.join(name for name, where in sources.items() if where == source)} of {source + 1}" for source in sorted(found))


def _print_training(record: CandidateRecord) -> None:
    losses = [loss for _, loss in loss_curve(record)]
    if losses:
        console.print(f"\nloss {losses[0]:.3f} {sparkline(losses, 48)} {losses[-1]:.3f} nats a token over {record.tokens:,} tokens")
    for name, values in record.details.get("subsets", {}).items():
        console.print(f"  {printable(name)}: perplexity {values['perplexity']:.3f}, {values['tokens']:,} tokens", markup=False)


def _print_lineage(view: RunView, lineage: Lineage) -> None:
    console.print("\n[bold]Lineage: parents, who gave which genes, and what was changed since[/]")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("id", "gen", "LIVs", "from", "changed"):
        table.add_column(heading, justify="right" if heading in ("id", "gen") else "left", overflow="fold")
    shown = {each.record.id for each in lineage.ancestors[:ANCESTORS_SHOWN]} | set(lineage.path_to_the_oldest())
    for ancestor in (each for each in lineage.ancestors if each.record.id in shown):
        record = ancestor.record
        strip = strip_markup(Genome.parse(record.canonical), view.catalogue) if view.account(record) is not None else ""
        table.add_row(str(record.id), str(record.generation), strip, _origin(ancestor), _changed(ancestor))
    console.print(table)
    if left := len(lineage.ancestors) - len(shown):
        console.print(f"of the older ancestors one line back to the oldest is shown; {left:,} more are left out, all of them with --json")
    if lineage.missing:
        console.print(f"no record of candidate {', '.join(map(str, lineage.missing))}")


def _origin(ancestor: Ancestor) -> str:
    if not ancestor.parents:
        return "drawn"
    first, *others = map(str, ancestor.parents)
    if len(ancestor.segments) < 2:
        moved = bool(others) and "moved" in ancestor.record.lineage
        return f"{first}, moved towards {', '.join(others)}" if moved else first
    turns = [f"{each.parent} from {place_sentence(ancestor.record, each.start)}" for each in ancestor.segments[1:]]
    return ", ".join([str(ancestor.segments[0].parent), *turns])


def _changed(ancestor: Ancestor) -> str:
    found: dict[str, list[str]] = {}
    for each in ancestor.changes:
        found.setdefault(each.cause, []).append(f"{place_sentence(ancestor.record, each.index)} {each.before} to {each.after}")
    return "\n".join(f"{cause}: {', '.join(changes)}" for cause, changes in found.items())


def print_comparison(view: RunView, first: CandidateRecord, second: CandidateRecord) -> None:
    """Print two candidates side by side; a `*` marks LIVs that differ."""
    found = comparison_json(view, first, second)
    differing, pair = set(found["differing_livs"]), (first, second)
    length = view.config.training.sequence_length
    for record in pair:
        console.print(f"[bold]Candidate {record.id}[/]")
        _print_genome(record)
    console.print(f"\nLIVs with parameters and cache at {length:,} tokens; * marks those that differ")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("", *(f"candidate {record.id}" for record in pair)):
        table.add_column(heading, justify="left", overflow="fold", max_width=WIDEST)
    for name, cells in _comparison_rows(view, pair):
        table.add_row(name, *cells)
    for position in range(1, max(len(Genome.parse(each.canonical).livs) for each in pair) + 1):
        mark = "*" if position in differing else " "
        table.add_row(f"LIV {position:>2} {mark}", *(_liv_cell(view, record, position) for record in pair))
    console.print(table)
    distance = found["hamming_distance"]
    genes = "genomes of other layouts" if distance is None else f"{distance} canonical genes"
    common = ", ".join(map(str, found["common_ancestors"])) or "none"
    console.print(f"\n{len(differing)} LIVs differ, {genes}; common ancestors: {common}")
    print_legend()


def _comparison_rows(view: RunView, pair: Sequence[CandidateRecord]) -> list[tuple[str, list[str]]]:
    rows = [("generation", [str(record.generation) for record in pair])]
    rows.append(("outcome", [record.outcome.value + (f": {as_text(record.reason)}" if record.reason else "") for record in pair]))
    for name in shown_objectives(view.names):
        values = [record.objectives.get(name) for record in pair]
        cells = [format_value(name, value) for value in values]
        if values[0] and values[1] is not None:
            cells[1] += f"  ({values[1] / values[0] - 1:+.1%})"
        rows.append((as_text(name), cells))
    rows.append(("tokens", [f"{record.tokens:,}" + (f" and {lost:,} lost" if (lost := lost_tokens(record)) else "") for record in pair]))
    losses = [[loss for _, loss in loss_curve(record)] for record in pair]
    if any(losses):
        rows.append(("loss", [f"{each[0]:.2f} {sparkline(each, 16)} {each[-1]:.2f}" if each else "-" for each in losses]))
    legal = [view.account(record) is not None for record in pair]
    genomes = [Genome.parse(record.canonical) for record in pair]
    lineages = [trace(view.by_id, record.id) for record in pair]
    rows.append(("from", [_origin(each.ancestors[0]) for each in lineages]))
    rows.append(("changed", [_changed(each.ancestors[0]) or "nothing" for each in lineages]))
    rows.append(("ancestors", [f"{len(each.ancestors) - 1:,}" for each in lineages]))
    rows.append(("LIVs", [strip_markup(each, view.catalogue) if fine else "-" for each, fine in zip(genomes, legal, strict=True)]))
    shared = [[text for _, text in link_rows(each, view.catalogue)] if fine else [] for each, fine in zip(genomes, legal, strict=True)]
    rows.append(("shared", ["\n".join(each) or "nothing" for each in shared]))
    return rows


def _liv_cell(view: RunView, record: CandidateRecord, position: int) -> str:
    account = view.account(record)
    if account is None or position > account.genome.depth:
        return "-"
    name = as_text(account.dimensions[position - 1].liv_class.name)
    elements = account.liv_cache_elements(view.config.training.sequence_length)[position - 1]
    return f"{name}  {account.liv_parameters()[position - 1]:,}  {format_bytes(2 * elements)}"
