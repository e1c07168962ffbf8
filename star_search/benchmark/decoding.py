"""Cache, time and memory of decoding over sequence length, genome by genome: the cache declared beside the cache held."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from star_search.benchmark.report import QUIET_SPREAD
from star_search.config import SearchConfig
from star_search.genome.encoding import Genome
from star_search.objectives.measured import genome_costs
from star_search.objectives.measurement import DecodingCost
from star_search.objectives.registry import account_of
from star_search.runs.atomic import write_json, write_text
from star_search.runs.output import make_folder

FILES = ("decoding.json", "decoding.md")
HEADINGS = ("model", "T", "declared", "held", "first ms", "token ms", "spread", "MB")
LEGEND = (
    "T: tokens of the prompt. declared, held: cache bytes of one sequence, 2 an element. first: median time to the first token. token: "
    "median time of one more, for the whole batch. Spread: half the distance of the quartiles over the median, the larger of the two. "
    "MB: peak memory, weights and all tensors beside them."
)


@dataclass(frozen=True)
class DecodingSetting:
    """What is measured: genomes by name under a configuration that gives width, catalogue and repeats, at these prompt lengths."""

    config: SearchConfig
    genomes: Mapping[str, str]
    lengths: tuple[int, ...]
    vocabulary_size: int
    device: str
    threads: int


@dataclass(frozen=True)
class DecodingRow:
    """One genome at one length."""

    name: str
    genome: str
    parameters: int
    declared_cache_bytes: int
    cost: DecodingCost

    @property
    def spread(self) -> float:
        """The larger spread of the two times."""
        return max(self.cost.first_token.spread, self.cost.decode.spread)

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        own = {"name": self.name, "genome": self.genome, "parameters": self.parameters, "declared_cache_bytes": self.declared_cache_bytes}
        return own | self.cost.as_json()


def measure_decoding(setting: DecodingSetting) -> Iterator[list[DecodingRow]]:
    """Yield the rows of each genome once it is measured.

    Raises:
        StarSearchError: when a cache held is not the declared one.
    """
    torch.set_num_threads(setting.threads)
    for name, text in setting.genomes.items():
        account = account_of(setting.config, Genome.parse(text))
        costs = genome_costs(setting.config, text, dict.fromkeys(setting.lengths, True), setting.vocabulary_size, setting.device)
        yield [DecodingRow(name, text, account.parameters, account.cache_bytes(cost.length), cost) for cost in costs]


def cells(row: DecodingRow) -> list[str]:
    """Return a row of the table."""
    cost = row.cost
    times = [f"{1e3 * each.median:,.{0 if each.median > 0.1 else 2}f}" for each in (cost.first_token, cost.decode)]
    cache = [f"{row.declared_cache_bytes:,}", f"{cost.held_cache_bytes:,}"]
    return [row.name, f"{cost.length:,}", *cache, *times, f"{row.spread:.0%}", f"{(cost.peak_bytes or 0) / 1e6:,.1f}"]


def legend(rows: Sequence[DecodingRow]) -> str:
    """Return what the columns mean, and whether the machine was quiet enough to believe them."""
    restless = list(dict.fromkeys(row.name for row in rows if row.spread > QUIET_SPREAD))
    warning = f"\nSpread above {QUIET_SPREAD:.0%} in {', '.join(restless)}: the machine was not quiet, measure again." if restless else ""
    return LEGEND + warning


def title(setting: DecodingSetting) -> str:
    """Return what the table shows, and with what it was measured."""
    measurement = setting.config.measurement
    device = torch.cuda.get_device_name(setting.device) if setting.device.startswith("cuda") else "cpu"
    threads = f"{setting.threads} thread{'s' if setting.threads > 1 else ''}"
    return (
        f"Decoding at width {setting.config.space.width}, batch {measurement.batch}, {measurement.precision}, {device}, {threads}, "
        f"{measurement.repeats} repeats"
    )


def as_json(setting: DecodingSetting, rows: Sequence[DecodingRow]) -> dict[str, Any]:
    """Return everything measured, and with what."""
    versions = {"python": platform.python_version()} | {name: version(name) for name in ("star-search", "torch", "numpy")}
    machine = {"system": platform.system(), "architecture": platform.machine(), "cores": os.cpu_count(), "device": setting.device}
    given = {"width": setting.config.space.width, "vocabulary_size": setting.vocabulary_size, "threads": setting.threads}
    measurement = setting.config.measurement.model_dump()
    return {"setting": given | measurement, "versions": versions, "machine": machine, "rows": [row.as_json() for row in rows]}


def write(setting: DecodingSetting, rows: Sequence[DecodingRow], folder: Path) -> list[Path]:
    """Write the rows as JSON and Markdown and return the paths."""
    make_folder(folder)
    json_path, markdown_path = (folder / name for name in FILES)
    table = "\n".join(f"| {' | '.join(row)} |" for row in [HEADINGS, ["---"] * len(HEADINGS), *map(cells, rows)])
    write_json(json_path, as_json(setting, rows))
    write_text(markdown_path, f"{title(setting)}\n\n{table}\n\n{legend(rows)}\n")
    return [json_path, markdown_path]
