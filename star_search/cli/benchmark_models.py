"""`star-search benchmark --models`: whole trainings of genomes, and of Hugging Face's models beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from star_search.benchmark.models import ModelCost, ModelSetting
    from star_search.benchmark.models_report import ModelReport

DEFAULT = ("Transformer++", "11111-91111")
PRECISIONS = ("bfloat16", "float32")


@dataclass(frozen=True)
class Sizes:
    """Ids, tokens of a sequence and of a step, steps of a repeat, repeats."""

    vocabulary: int
    length: int
    batch_tokens: int
    steps: int
    repeats: int


@dataclass(frozen=True)
class Rivals:
    """Hugging Face's models to measure, their layers, and whether without torch.compile."""

    names: tuple[str, ...]
    layers: int
    eager: bool

    @classmethod
    def of(cls, names: Sequence[str], layers: int, eager: bool) -> Rivals:
        """Return them, refusing unknown names."""
        if names:
            from star_search.benchmark.huggingface import check_name

            for name in names:
                check_name(name)
        return cls(tuple(dict.fromkeys(names)), layers, eager)


@dataclass(frozen=True)
class Asked:
    """Which models are to be measured, as the command line says it."""

    catalogue: str
    width: int
    texts: tuple[str, ...]
    classes: str | None
    huggingface: tuple[str, ...]
    times: int
    layers: int | None

    def genomes(self) -> dict[str, str]:
        """Return the genomes by name."""
        from star_search.cli.benchmark import check_positive, class_ids

        check_positive({"--times": self.times})
        mixers = class_ids(self.catalogue, self.classes, self.width) if self.classes is not None else []
        return genomes(self.catalogue, self.width, self.texts, mixers, self.times, default=not self.huggingface)

    def rivals(self, eager: bool) -> Rivals:
        """Return Hugging Face's models."""
        from star_search.cli.benchmark import check_positive

        layers = self.times if self.layers is None else self.layers
        check_positive({"--layers": layers})
        return Rivals.of(self.huggingface, layers, eager)


def genomes(catalogue: str, width: int, texts: Sequence[str], mixers: Sequence[int], times: int, default: bool) -> dict[str, str]:
    """Return genomes by name, each repeated in depth: those given, baselines of 24 LIVs among them, and each class in turn with GMemless;
    Transformer++ where none is."""
    from star_search.errors import InputError
    from star_search.genome.accounting import Accounting
    from star_search.genome.baselines import BASELINE_DEPTH, BASELINES, read_genome
    from star_search.genome.catalogue import load_catalogue
    from star_search.genome.encoding import Genome, LIVGenes
    from star_search.genome.rules import Rules

    table, found = load_catalogue(catalogue), {}
    partner = table.find("GMemless").id if mixers else 0
    pairs = {table[each].name: Genome(tuple(LIVGenes(place, 1, 1, 1, 1) for place in (each, partner))).format() for each in mixers}
    named = [_named(text) for text in texts] or ([] if pairs or not default else [DEFAULT])
    for name, text in [*named, *pairs.items()]:
        if name in found:
            raise InputError(f"--genome {name} is given twice; name each genome as NAME=GENOME")
        written = text if text.strip().lower() in BASELINES else "-".join([text] * times)
        parsed = read_genome(written, BASELINE_DEPTH * times, table)
        Rules.of(table, parsed.layout).check(parsed)
        _ = Accounting.of(parsed, width, table).dimensions
        found[name] = parsed.format()
    return found


def _named(text: str) -> tuple[str, str]:
    name, _, genome = text.rpartition("=")
    return name or genome, genome


def setting(catalogue: str, width: int, sizes: Sizes, device: str, precision: str | None) -> ModelSetting:
    """Return what every model is given, refusing sizes that do not go together."""
    from star_search.benchmark.models import ModelSetting
    from star_search.cli.benchmark import check_positive
    from star_search.errors import InputError

    numbers = {"--vocabulary": sizes.vocabulary, "--length": sizes.length, "--batch-tokens": sizes.batch_tokens, "--steps": sizes.steps}
    check_positive(numbers)
    if sizes.batch_tokens % sizes.length:
        raise InputError(f"--batch-tokens must be a multiple of --length {sizes.length}, got {sizes.batch_tokens}")
    chosen = chosen_precision(precision, device)
    figures = (sizes.vocabulary, sizes.length, sizes.batch_tokens, sizes.steps, sizes.repeats)
    return ModelSetting(width, *figures, device, chosen, catalogue=catalogue)


def chosen_precision(precision: str | None, device: str) -> str:
    """Return the precision asked for, or what the device is good at; refuse one that is none."""
    from star_search.errors import InputError, did_you_mean

    chosen = precision or ("float32" if device == "cpu" else "bfloat16")
    if chosen not in PRECISIONS:
        raise InputError(f"unknown --precision '{chosen}'{did_you_mean(chosen, PRECISIONS)}")
    return chosen


def measure(
    asked: Asked, sizes: Sizes, precision: str | None, device: str, eager: bool, threads: int, out: Path | None, as_json: bool
) -> None:
    """Measure the models asked for; a CPU never compiles Hugging Face's."""
    named, rivals = asked.genomes(), asked.rivals(eager or device == "cpu")
    run(setting(asked.catalogue, asked.width, sizes, device, precision), named, rivals, threads, out, as_json)


def run(setting: ModelSetting, genomes: dict[str, str], rivals: Rivals, threads: int, out: Path | None, as_json: bool) -> None:
    """Measure, print what is right, and write it where asked.

    Raises:
        StarSearchError: at the end, when outputs of a model were wrong or its memory ran out; it is in no table.
    """
    import torch

    from star_search.benchmark import models, models_report, report
    from star_search.cli.console import print_json, print_written
    from star_search.errors import StarSearchError

    if out is not None:
        report.check_target(out, models_report.FILES)
    torch.set_num_threads(threads)
    peak = models.peak_flops(setting.device, setting.precision)
    measured = models_report.ModelReport(setting, peak, genomes, [], [])
    for _ in _measured(measured, rivals):
        if out is not None:
            measured.write(out)  # Whoever stops it keeps what there is.
    print_json(measured.as_json()) if as_json else _print(measured)
    for path in models_report.paths(out) if out is not None else []:
        print_written(path, aside=as_json)
    if measured.refused:
        raise StarSearchError("; ".join(measured.refused))


def _measured(report: ModelReport, rivals: Rivals) -> Iterator[None]:
    """Add the costs to the report, and a sentence for every model that could not be timed, model by model."""
    from rich.progress import track

    from star_search.benchmark import huggingface, models
    from star_search.cli.console import errors
    from star_search.errors import StarSearchError
    from star_search.training.batch_size import is_out_of_memory

    setting, peak = report.setting, report.peak_flops
    jobs: dict[str, Callable[[], ModelCost]] = {
        name: lambda name=name, genome=genome: models.measure_genome(setting, name, genome, peak)  # type: ignore[misc]
        for name, genome in report.genomes.items()
    }
    for name in rivals.names:
        jobs[f"Hugging Face {name}"] = lambda name=name: huggingface.measure(name, setting, rivals.layers, not rivals.eager, peak)  # type: ignore[misc]
    for name, job in track(jobs.items(), "measuring", console=errors, transient=True, disable=not errors.is_terminal):
        try:
            report.costs.append(job())
        except StarSearchError as error:
            report.refused.append(str(error))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            report.refused.append(f"{name}: memory ran out")
        models.release(setting.device)
        yield


def _print(measured: ModelReport) -> None:
    from rich.table import Table

    from star_search.benchmark import models_report
    from star_search.cli.console import console

    table = Table(title=measured.title(), title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for index, heading in enumerate(models_report.HEADINGS):
        table.add_column(heading, justify="right" if index else "left", no_wrap=index > 0)
    for cost in measured.costs:
        table.add_row(*models_report.cells(cost))
    console.print(table)
    for text in (models_report.LEGEND, *measured.notes()):
        console.print(text, markup=False)
