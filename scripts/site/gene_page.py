"""The gene table as a page, made from the catalogue and the rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from star_search.genome.accounting import Accounting
from star_search.genome.catalogue import Catalogue, load_catalogue
from star_search.genome.encoding import Genome, LIVGenes
from star_search.genome.gene_table import gene_table

WIDTH, LENGTH = 768, 4096
_GENOMES = {
    "backbone": ("Backbone genome", "Five genes per LIV, in this order."),
    "operator": ("Operator genome", "Five genes per class: what its matrix T looks like."),
    "featurizer": ("Featurizer genome", "Five genes per feature group: how it comes from x."),
}


def gene_page() -> str:
    """Return the Markdown of the page."""
    catalogue = load_catalogue("star")
    table = gene_table(catalogue)
    parts = [
        "# Gene table",
        f"Catalogue `{catalogue.name}`, version {catalogue.version}; `star-search genes` prints the same, `--json` as data.",
    ]
    for kind, (title, caption) in _GENOMES.items():
        rows = [(gene["gene"], gene.get("meaning") or _values(gene["values"])) for gene in table[kind]]
        parts += [f"## {title}", caption, _table(("gene", "values"), rows)]
    parts += [
        "## Classes",
        f"Operator parameters and cache of one LIV of width {WIDTH} after {LENGTH:,} tokens, two bytes an element, nothing shared.",
        _table(("id", "name", "family", "operator", "parameters", "cache, bytes"), (_sizes(row, catalogue) for row in table["classes"])),
        "## Feature groups",
        "What a later token must remember is context, in the order of the strategy digits; the rest is read out by the present token."
        " Behind each group stand its five featurizer genes.",
        _table(("id", "name", "context", "readout", "feature strategies"), (_groups(row) for row in table["classes"])),
        "## Catalogue `paper`",
        "The 17 classes of the paper, for runs with `space.catalogue: paper`.",
        _table(("id", "name", "operator"), ((row["id"], row["name"], f"`{row['operator']}`") for row in _classes("paper"))),
    ]
    return "\n\n".join(parts) + "\n"


def _classes(catalogue: str) -> list[dict[str, Any]]:
    return list(gene_table(load_catalogue(catalogue))["classes"])


def _values(values: dict[str, str]) -> str:
    return "<br>".join(f"`{value}` {meaning}" for value, meaning in values.items())


def _sizes(row: dict[str, Any], catalogue: Catalogue) -> tuple[object, ...]:
    account = Accounting.of(Genome((LIVGenes(row["id"], 1, 1, 1, 1),)), WIDTH, catalogue)
    parameters, cache = f"{account.operator_parameters:,}", f"{account.cache_bytes(LENGTH):,}"
    return row["id"], row["name"], row["family"], f"`{row['operator']}`", parameters, cache


def _groups(row: dict[str, Any]) -> tuple[object, ...]:
    listed = (", ".join(f"{name} `{genes}`" for name, genes in row[kind].items()) or "none" for kind in ("context", "readout"))
    strategies = "; ".join(f"`{value}` {shared}" for value, shared in row["feature_strategies"].items())
    # What stands with a name or a number is not parted from it at the end of a line.
    return row["id"], row["name"], *(re.sub(r"(?<=\w) (?=`)|(?<=`) ", "&nbsp;", text) for text in (*listed, strategies))


def _table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; columns of numbers are aligned on the right."""
    rules = ["---:" if heading in ("id", "parameters", "cache, bytes") else "---" for heading in headings]
    lines = [headings, rules, *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
