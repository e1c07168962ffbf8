"""What came of measuring models, as a table, as Markdown and as JSON."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from star_search.benchmark.models import ModelCost, ModelSetting
from star_search.runs.atomic import write_json, write_text
from star_search.runs.output import make_folder

FILES = ("models.json", "models.md")
HEADINGS = ["model", "weights", "tokens/s", "+-", "of peak", "warm-up", "next", "overhead", "GB", "rows"]
LEGEND = (
    "Weights: without the embedding. Tokens/s: median over the repeats; +-: half their range. Of peak: operations of weights, head and "
    "attention, as a share of what a large product reached in this run. Warm-up: seconds from genome to the result of the first step; "
    "next: the same for another candidate of these classes; overhead: what its whole training takes beyond its steps. GB: most memory "
    "held, on a CPU by the process so far. Rows: trained at once."
)


@dataclass(frozen=True)
class ModelReport:
    """Models measured in one run: with what, the operations per second of a large product, and a sentence for each model not timed."""

    setting: ModelSetting
    peak_flops: float
    genomes: dict[str, str]
    costs: list[ModelCost]
    refused: list[str]

    def title(self) -> str:
        """Return what was measured, in a line."""
        setting, machine = self.setting, environment(self.setting.device)
        sizes = (
            f"width {setting.width}, {setting.vocabulary_size:,} ids, T {setting.sequence_length:,}, {setting.batch_tokens:,} tokens a step"
        )
        threads = "" if setting.device.startswith("cuda") else f", {machine['threads']} threads"
        return f"{sizes}, {setting.precision}, {machine['device']}{threads}; a large product reaches {self.peak_flops / 1e12:,.2f} TFLOP/s"

    def as_json(self) -> dict[str, Any]:
        """Return everything measured, and with what."""
        report = {"setting": asdict(self.setting), "environment": environment(self.setting.device), "peak_flops": self.peak_flops}
        return {**report, "genomes": self.genomes, "models": [cost.as_json() for cost in self.costs], "refused": list(self.refused)}

    def markdown(self) -> str:
        """Return the table as Markdown."""
        rows = [HEADINGS, ["---"] * len(HEADINGS), *map(cells, self.costs)]
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        return "\n\n".join([self.title(), table, LEGEND, *self.notes(), *self.refused]) + "\n"

    def notes(self) -> list[str]:
        """Return a sentence on the models that are right in fp32 alone, where there are any."""
        precision = self.setting.precision
        strays = [f"{cost.name} by {cost.gradient_error:.1%}" for cost in self.costs if cost.checked_in != precision]
        start = f"The first step is right in float32; rounding moves its gradient norm in {precision}: "
        return [f"{start}{', '.join(strays)}."] if strays else []

    def write(self, folder: Path) -> None:
        """Write JSON and Markdown, over what was written before.

        Raises:
            StarSearchError: when the disk fails.
        """
        make_folder(folder)
        json_path, markdown_path = paths(folder)
        write_json(json_path, self.as_json())
        write_text(markdown_path, self.markdown())


def paths(folder: Path) -> list[Path]:
    """Return what `write` writes."""
    return [folder / name for name in FILES]


def environment(device: str) -> dict[str, Any]:
    """Return what the figures were measured with."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"
    packages = [each for each in ("star-search", "torch", "triton", "transformers") if find_spec(each.replace("-", "_")) is not None]
    versions = {each: version(each) for each in packages}
    return {"python": platform.python_version(), **versions, "device": name, "threads": torch.get_num_threads()}


def cells(cost: ModelCost) -> list[str]:
    """Return one row of the table."""
    around = (cost.warm_up_seconds, cost.next_seconds, cost.overhead_seconds)
    return [
        cost.name,
        f"{cost.parameters / 1e6:.2f}M",
        f"{cost.tokens_per_second:,.0f}",
        f"{(cost.high - cost.low) / 2 / cost.tokens_per_second:.1%}",
        f"{cost.share_of_peak:.1%}",
        *("-" if seconds is None else f"{seconds:.2f}" for seconds in around),
        f"{cost.peak_bytes / 1e9:.1f}",
        str(cost.rows_at_once),
    ]
