"""What a token store holds, as a table or JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.table import Table

from star_search.analysis.plain_text import printable
from star_search.cli.console import as_text, console, format_bytes, print_json
from star_search.data.split import SPLITS
from star_search.data.store import TokenStore

_SHOWN_CHARACTERS = 300


def sample_documents(store: TokenStore, split: str, count: int) -> list[dict[str, Any]]:
    """Return documents spread evenly over a split: their split, number, subset, tokens and text."""
    tokens = store.split(split)
    table = tokens.documents()
    count = min(count, len(table))
    samples = []
    for number in (np.arange(count) * len(table) // max(count, 1)).tolist():
        start, end = int(table["end"][number - 1]) if number else 0, int(table["end"][number])
        text = store.tokenizer.decode(tokens[start : end - 1].tolist())
        subset = store.subsets[int(table["subset"][number])]
        samples.append({"split": split, "document": number, "subset": subset, "tokens": end - start, "text": text})
    return samples


def print_store(store: TokenStore, samples: list[dict[str, Any]], as_json: bool) -> None:
    """Print counts, what was dropped and skipped, and the samples."""
    index = store.index
    if as_json:
        names = (
            "fingerprint",
            "source",
            "commits",
            "tokenizer",
            "splits",
            "duplicates_dropped",
            "left_out",
            "skipped",
            "skipped_first",
        )
        print_json({name: index[name] for name in names} | {"folder": str(store.folder), "documents": samples})
        return
    console.print(_table(index))
    for line in _lines(store):
        console.print(line, markup=False)
    for each in samples:
        head = f"{each['split']} document {each['document']:,}, {each['subset']}, {each['tokens']:,} tokens"
        text = each["text"][:_SHOWN_CHARACTERS] + (" ..." if len(each["text"]) > _SHOWN_CHARACTERS else "")
        console.print(f"\n[bold]{as_text(head)}[/]")
        console.print("\n".join(map(printable, text.split("\n"))), markup=False)


def _table(index: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("split")
    table.add_column("subset")
    for heading in ("documents", "tokens", "bytes", "share of tokens"):
        table.add_column(heading, justify="right")
    for split in SPLITS:
        whole = index["splits"][split]
        for subset, counts in (*whole["subsets"].items(), ("all", whole)):
            share = counts["tokens"] / whole["tokens"] if whole["tokens"] else 0.0
            figures = (f"{counts[name]:,}" for name in ("documents", "tokens", "bytes"))
            table.add_row(split, as_text(subset), *figures, f"{share:.1%}", end_section=subset == "all")
    return table


def _lines(store: TokenStore) -> list[str]:
    index = store.index
    size = sum(counts["bytes"] for counts in index["splits"].values())
    skipped = ", ".join(f"{count:,} {kind}" for kind, count in index["skipped"].items()) or "none"
    at = "".join(f" at commit {commit[:12]}" for commit in index["commits"])
    lines = [
        f"{format_bytes(size)} of text from {index['source']}{at}, tokenizer {index['tokenizer']} ({store.vocabulary_size:,} entries)",
        f"duplicates dropped: {index['duplicates_dropped']:,}; damaged or empty, skipped: {skipped}",
        *(f"  {sentence}" for sentence in index["skipped_first"]),
    ]
    if index["left_out"]:
        lines.append(f"left out for the shares of data.subsets or the budget data.tokens: {index['left_out']:,} documents")
    return [*lines, f"fingerprint {store.fingerprint}", str(store.folder)]
