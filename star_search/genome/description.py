"""A genome described: as plain data, as a Graphviz graph, and its repair gene by gene."""

from __future__ import annotations

from typing import Any

import numpy as np

from star_search.genome.accounting import CACHE_BYTES_PER_ELEMENT, Accounting
from star_search.genome.catalogue import Catalogue
from star_search.genome.composition import blocks
from star_search.genome.encoding import GENE_NAMES, Genome
from star_search.genome.evolved import catalogue_for, class_gene_name, evolved_id
from star_search.genome.layout import Layout
from star_search.genome.liv_class import LIVClass
from star_search.genome.repair import repair
from star_search.genome.rules import Rules


def describe(account: Accounting, length: int) -> dict[str, Any]:
    """Return what `decode --json` prints for a legal genome; positions count from 1."""
    genome, catalogue = account.genome, account.catalogue
    return {
        "genome": genome.format(),
        "canonical": genome.canonical(catalogue).format(),
        "catalogue": {"name": catalogue.name, "version": catalogue.version},
        "depth": genome.depth,
        "width": account.width,
        "length": length,
        "parameters": account.parameters,
        "operator_parameters": account.operator_parameters,
        "cache_bytes": account.cache_bytes(length),
        "livs": [_describe_liv(account, position, length) for position in range(genome.depth)],
        "sharing": [
            {"kind": group.kind, "members": [position + 1 for position in group.members], "groups": list(group.groups)}
            for group in account.sharing.groups
        ],
        "composition": [
            {"members": [position + 1 for position in block.positions], "combined_by": "router" if block.is_routed else "mixing weights"}
            for block in blocks(genome)
            if block.size > 1
        ],
        "classes": [_describe_class(catalogue[evolved_id(number)]) for number in range(len(genome.classes))],
    }


def _describe_class(liv_class: LIVClass) -> dict[str, Any]:
    """Return a class that a genome brings, as a row of a catalogue."""
    groups = {kind: {name: list(genes) for name, genes in getattr(liv_class, kind).items()} for kind in ("context", "readout")}
    operator = {"operator": liv_class.operator.format(), "differential": liv_class.differential}
    return {
        "class": liv_class.id,
        "name": liv_class.name,
        "family": liv_class.family,
        **operator,
        **groups,
        "fields": dict(liv_class.fields),
    }


def _describe_liv(account: Accounting, position: int, length: int) -> dict[str, Any]:
    liv_class = account.catalogue[account.genome.livs[position].liv_class]
    sources = account.sharing.livs[position]
    return {
        "position": position + 1,
        "class": liv_class.id,
        "name": liv_class.name,
        "family": liv_class.family,
        "operator": liv_class.operator.format(),
        "differential": liv_class.differential,
        "parameters": account.liv_parameters()[position],
        "cache_bytes": CACHE_BYTES_PER_ELEMENT * account.liv_cache_elements(length)[position],
        "weights_from": {name: owner + 1 for name, owner in sources.weights_from.items() if owner != position},
        "features_from": {name: source + 1 for name, source in sources.features_from.items() if source != position},
    }


def graph(genome: Genome, catalogue: Catalogue) -> str:
    """Return the genome in Graphviz's DOT: LIVs in residual order, where they run in parallel, and an edge for everything shared."""
    complete = catalogue_for(genome, catalogue)
    lines = ["digraph genome {", "  rankdir=LR;", "  node [shape=box];"]
    for position, liv in enumerate(genome.livs, 1):
        lines.append(f'  liv{position} [label="{position} {complete[liv.liv_class].name}"];')
    lines += _residual_edges(genome)
    for group in genome.sharing(catalogue).groups:
        style = "dashed" if group.kind == "featurizer" else "bold"
        label = f"{'weights' if group.kind == 'featurizer' else 'features'} {', '.join(group.groups)}"
        first, *rest = (position + 1 for position in group.members)
        lines += [f'  liv{first} -> liv{member} [style={style}, constraint=false, label="{label}"];' for member in rest]
    return "\n".join([*lines, "}"])


def _residual_edges(genome: Genome) -> list[str]:
    """Return the edges of the residual order, and a node where parallel LIVs are combined."""
    lines: list[str] = []
    before = ""
    for block in blocks(genome):
        nodes = [f"liv{position + 1}" for position in block.positions]
        lines += [f"  {before} -> {node};" for node in nodes if before]
        before = nodes[0]
        if block.size > 1:
            before = f"combined{block.start + 1}"
            lines.append(f'  {before} [shape=ellipse, label="{"router" if block.is_routed else "mixing weights"}"];')
            lines += [f"  {node} -> {before};" for node in nodes]
    return lines


def explain_repair(genome: Genome, catalogue: Catalogue, seed: int = 0) -> dict[str, Any]:
    """Return whether a genome is legal, every problem that repair meets, and the genome it ends with."""
    repaired = repair(genome, Rules.of(catalogue, genome.layout), np.random.default_rng(seed))
    return {
        "legal": not repaired.problems,
        "problems": list(dict.fromkeys(problem.sentence for problem in repaired.problems)),
        "repaired": repaired.genome.format(),
        "changed": [
            _change(genome.layout, index, before, after)
            for index, (before, after) in enumerate(zip(genome.integers(), repaired.genome.integers(), strict=True))
            if before != after
        ],
    }


def gene_place(layout: Layout, index: int) -> tuple[dict[str, int], str]:
    """Return whose gene stands at a flat index, `{"liv": position from 1}` or `{"class": id}`, and the gene's name."""
    unit, gene = layout.locate(index)
    if unit < layout.depth:
        return {"liv": unit + 1}, (*GENE_NAMES, "composition")[gene]
    return {"class": evolved_id(unit - layout.depth)}, class_gene_name(gene)


def _change(layout: Layout, index: int, before: int, after: int) -> dict[str, Any]:
    """Return one gene that repair changed: its LIV from 1 or the id of its class, its name, and both values."""
    owner, name = gene_place(layout, index)
    return {**owner, "gene": name, "from": before, "to": after}
