"""A genome described: as plain data, as a Graphviz graph, and its repair gene by gene."""

from __future__ import annotations

from typing import Any

import numpy as np

from star_search.genome.accounting import CACHE_BYTES_PER_ELEMENT, Accounting
from star_search.genome.catalogue import Catalogue
from star_search.genome.encoding import GENE_NAMES, Genome
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
    """Return the genome in Graphviz's DOT: LIVs in residual order, and an edge for everything shared."""
    lines = ["digraph genome {", "  rankdir=LR;", "  node [shape=box];"]
    for position, liv in enumerate(genome.livs, 1):
        lines.append(f'  liv{position} [label="{position} {catalogue[liv.liv_class].name}"];')
    lines += [f"  liv{position} -> liv{position + 1};" for position in range(1, genome.depth)]
    for group in genome.sharing(catalogue).groups:
        style = "dashed" if group.kind == "featurizer" else "bold"
        label = f"{'weights' if group.kind == 'featurizer' else 'features'} {', '.join(group.groups)}"
        first, *rest = (position + 1 for position in group.members)
        lines += [f'  liv{first} -> liv{member} [style={style}, constraint=false, label="{label}"];' for member in rest]
    return "\n".join([*lines, "}"])


def explain_repair(genome: Genome, catalogue: Catalogue, seed: int = 0) -> dict[str, Any]:
    """Return whether a genome is legal, every problem that repair meets, and the genome it ends with."""
    repaired = repair(genome, Rules.of(catalogue, genome.depth), np.random.default_rng(seed))
    return {
        "legal": not repaired.problems,
        "problems": [problem.sentence for problem in repaired.problems],
        "repaired": repaired.genome.format(),
        "changed": [
            {"liv": index // len(GENE_NAMES) + 1, "gene": GENE_NAMES[index % len(GENE_NAMES)], "from": before, "to": after}
            for index, (before, after) in enumerate(zip(genome.integers(), repaired.genome.integers(), strict=True))
            if before != after
        ],
    }
