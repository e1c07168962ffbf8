"""Finalists and baselines under one budget over several seeds: what each reached on the test split, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from star_search.analysis.student import holm, mean_interval, paired_p_value
from star_search.config_objectives import MeasurementConfig
from star_search.data.fingerprint import check_same_text
from star_search.errors import InputError, StarSearchError
from star_search.finalists import mad
from star_search.finalists.plan import Plan
from star_search.finalists.recording import Recorder, Watch
from star_search.finalists.running import Training, device_name
from star_search.finalists.source import Source
from star_search.finalists.training_folder import TrainingFolder, is_training
from star_search.finalists.tuning import Tuning
from star_search.genome.baselines import baseline
from star_search.genome.catalogue import load_catalogue
from star_search.genome.encoding import Genome
from star_search.genome.matching import Match
from star_search.genome.scaling import scaled
from star_search.objectives.candidate_model import candidate_model
from star_search.objectives.measurement import measure
from star_search.runs.atomic import write_json
from star_search.runs.output import check_folder
from star_search.runs.reading import DamagedRecord, read_json
from star_search.training.world import World, taken

Result = dict[str, Any] | str
Results = dict[str, list[Result]]
MADResults = dict[str, list[mad.Accuracies | str]]

SIGNIFICANT = 0.05
PROMPT_TOKENS = 64
DECODING = "decoding.json"


@dataclass(frozen=True)
class Summary:
    """One model over all seeds; speeds are of the device that trained it, cache bytes by length,
    bits per byte by subset, mean accuracies by MAD task."""

    label: str
    genome: str
    width: int
    parameters: int
    perplexities: list[float | None]
    failures: list[str]
    perplexity: float | None
    interval: tuple[float, float] | None
    bits_per_byte: dict[str, float]
    cache_bytes: dict[str, int]
    training_tokens_per_second: float | None
    decoding_tokens_per_second: float | None
    mad: dict[str, float]
    p_value: float | None = None

    @property
    def is_significant(self) -> bool:
        """Whether it differs from the first model."""
        return self.p_value is not None and self.p_value < SIGNIFICANT


def training_path(folder: Path, label: str, learning_rate: float | None, seed: int) -> Path:
    """Return where a comparison in a folder keeps a model's training; a rate is given where each model has its own of a grid."""
    name = "".join(letter if letter.isalnum() else "-" for letter in label)
    rate = "" if learning_rate is None else f"-rate-{learning_rate}"
    return folder / f"{name}{rate}-{seed}"


def beside(first: Source, names: Sequence[str], match: Match | None, vocabulary_size: int) -> list[Source]:
    """Return baselines at a finalist's depth and width, or at the width that matches it, under its training and text.

    A name may be `NAME=GENOME`, whose genome is repeated to that depth.

    Raises:
        InputError: for a genome that is none, or that cannot be repeated to that depth.
    """
    found = [Source(*_named(name, first), first.config) for name in names]
    return [source if match is None else source.matching(first, match, vocabulary_size) for source in found]


def _named(text: str, first: Source) -> tuple[str, Genome]:
    """Return the label and the genome of a baseline."""
    table, depth = load_catalogue(first.config.space.catalogue), first.genome.depth
    name, equals, genome = text.partition("=")
    if not equals:
        return name, baseline(name, depth, table)
    if not name or not genome:
        raise InputError(f"--baselines {text} must read NAME=GENOME, such as convolved=21111-91111")
    return name, scaled(Genome.parse(genome), depth, "stack", table)


class Comparison:
    """Trains every source with every seed below a folder; what is finished there is read, what was cut off goes on.

    With a grid of learning rates, `grid` comes first with seed 0, and `tune` gives every source its best rate.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        seeds: int,
        folder: Path,
        device: str,
        lengths: Sequence[int],
        with_mad: bool = False,
        rates: Sequence[float] = (),
    ) -> None:
        self.sources, self.seeds, self.folder, self.lengths, self.with_mad = sources, seeds, folder, lengths, with_mad
        self.rates, self.tunings = rates, dict[str, Tuning]()
        self.world = World(taken(device))
        labels = [source.label for source in sources]
        twice = next((label for label in labels if labels.count(label) > 1), None)
        if twice is not None:
            raise InputError(f"{twice} stands twice among the models to compare")
        places = [training_path(folder, label, None, 0) for label in labels]
        alike = [label for label, place in zip(labels, places, strict=True) if places.count(place) > 1]
        if alike:
            raise InputError(f"the trainings of {' and '.join(alike)} would lie in one folder; rename one of them")

    def check(self) -> None:
        """Refuse, before anything is trained, a folder that cannot be written, and what lies in it and is another comparison's.

        Raises:
            InputError: naming the folder, or the training that differs.
        """
        check_folder(self.folder, "--out")
        held = list(self.folder.iterdir()) if self.folder.is_dir() else []
        if held and not any(map(is_training, held)):
            raise InputError(f"{self.folder} is not empty and holds no comparison; nothing is overwritten: give another folder with --out")
        for source, seed in self._possible():
            folder = self._folder(source, seed)
            if folder is not None and self.with_mad:
                mad.stored(folder, source.config)

    def check_text(self, fingerprint: str) -> None:
        """Refuse finished trainings of another text than that of a fingerprint.

        Raises:
            InputError: naming the training.
        """
        for source, seed in self._possible():
            folder = self._folder(source, seed)
            if folder is not None and (result := folder.result()) is not None:
                check_same_text(result["fingerprint"], fingerprint, folder.path)

    def _possible(self) -> Iterator[tuple[Source, int]]:
        """Yield all that may come to be trained: with a grid of rates any of them with every seed."""
        return self.grid(range(self.seeds)) if self.rates else self.trainings()

    def trainings(self) -> Iterator[tuple[Source, int]]:
        """Yield every source with every seed, seed by seed, so that a comparison that was cut off has whole seeds."""
        yield from ((source, seed) for seed in range(self.seeds) for source in self.sources)

    def grid(self, seeds: Sequence[int] = (0,)) -> Iterator[tuple[Source, int]]:
        """Yield every source at every learning rate of the grid."""
        yield from ((source.at_rate(rate), seed) for seed in seeds for source in self.sources for rate in self.rates)

    def tune(self, results: Mapping[str, Mapping[float, Result]]) -> None:
        """Take for every source the rate that was best with seed 0, by label and rate; one that failed at all of them is not trained."""
        self.tunings = {label: Tuning.of(found) for label, found in results.items()}
        best = {label: tuning.best for label, tuning in self.tunings.items()}
        self.sources = [source if (rate := best[source.label]) is None else source.at_rate(rate) for source in self.sources]

    def _failures(self, source: Source) -> list[str]:
        """Return why a source failed at every rate of the grid, nothing where there is a rate for it."""
        tuning = self.tunings.get(source.label)
        return tuning.failures if tuning is not None and tuning.best is None else []

    def _folder(self, source: Source, seed: int) -> TrainingFolder | None:
        path = self.path(source, seed)
        if not is_training(path):
            return None
        folder = TrainingFolder.open(path)
        if difference := folder.plan.difference(Plan.of(source, seed, "ddp")):
            raise InputError(f"{path} holds another training: {difference}; give another --out")
        return folder

    def path(self, source: Source, seed: int) -> Path:
        """Return where one training lies."""
        return training_path(self.folder, source.label, source.config.training.learning_rate if self.rates else None, seed)

    def train(self, source: Source, seed: int, watch: Watch) -> Result:
        """Return the result of one training, or why it failed; what is finished is read, on any device.

        Raises:
            InputError: for an engine that the device cannot have, or a text without a test split.
        """
        if failures := self._failures(source):
            return "; ".join(failures)
        plan, folder = Plan.of(source, seed, "ddp"), self._folder(source, seed)
        if folder is None or folder.result() is None:
            source.config.training.check_device(self.world.device.type)
        folder = folder or TrainingFolder.create(self.path(source, seed), plan)
        with folder.writing():
            result = folder.result()
            if result is None:
                training = Training(folder, plan, self.world)
                try:
                    result = training.run(Recorder(folder, plan.search.training, [], watch))
                except InputError:
                    raise
                except StarSearchError as error:
                    return str(error)
                for path in folder.checkpoints():
                    path.unlink()
        if result["test"] is None:
            raise InputError(f"data.test_fraction {plan.search.data.test_fraction} leaves no test split of a sequence, which compare needs")
        return result

    def mad_accuracies(self, source: Source, seed: int) -> mad.Accuracies | str:
        """Return the accuracies on the MAD tasks, for which the architecture is trained anew, or why one failed; the training is over."""
        if failures := self._failures(source):
            return "; ".join(failures)
        folder = TrainingFolder.open(self.path(source, seed))
        with folder.writing():
            return mad.accuracies(folder, source, seed, self.world.device)

    def devices(self, results: Results) -> str:
        """Return what the models were trained on; this device where no training finished."""
        finished = [each for found in results.values() for each in found if isinstance(each, dict)]
        return ", ".join(sorted({each["measured"]["device"] for each in finished})) or device_name(self.world.device)

    def summarise(self, results: Results, mad_results: MADResults) -> list[Summary]:
        """Return a summary of every source, with its p value against the first."""
        summaries = [self._summary(source, results[source.label], mad_results.get(source.label, [])) for source in self.sources]
        losses = [[each["test"]["loss"] if isinstance(each, dict) else None for each in results[s.label]] for s in self.sources]
        found = [_paired(losses[0], other) for other in losses[1:]]
        known = [index for index, value in enumerate(found) if value is not None]
        corrected = dict(zip(known, holm([value for value in found if value is not None]), strict=True))
        rest = [replace(summary, p_value=corrected.get(index)) for index, summary in enumerate(summaries[1:])]
        return [summaries[0], *rest]

    def _summary(self, source: Source, results: list[Result], scores: list[mad.Accuracies | str]) -> Summary:
        finished = [each for each in results if isinstance(each, dict)]
        perplexities = [each["test"]["perplexity"] if isinstance(each, dict) else None for each in results]
        known = [each for each in perplexities if each is not None]
        account = source.account
        subsets = {name for each in finished for name in each["test"]["subsets"]}
        bits = {name: mean(each["test"]["subsets"][name]["bits_per_byte"] for each in finished) for name in sorted(subsets)}
        return Summary(
            source.label,
            source.genome.format(),
            account.width,
            account.parameters,
            perplexities,
            self._failures(source) or [each for each in [*results, *scores] if isinstance(each, str)],
            mean(known) if known else None,
            mean_interval(known),
            bits,
            {str(length): account.cache_bytes(length) for length in self.lengths},
            mean(each["measured"]["tokens_per_second"] for each in finished) if finished else None,
            self._decoding(source, results),
            _means([each for each in scores if isinstance(each, dict)]),
        )

    def _decoding(self, source: Source, results: list[Result]) -> float | None:
        """Return how fast a model of the source decodes, whatever its weights, where it was trained; none where no training finished, or
        this is another device and it was not measured there."""
        seed, finished = next(((seed, each) for seed, each in enumerate(results) if isinstance(each, dict)), (0, None))
        if finished is None:
            return None
        kept = self.path(source, seed) / DECODING
        if not kept.is_file():
            if finished["measured"]["device"] != device_name(self.world.device):
                return None
            model = candidate_model(source.config, source.genome.format(), finished["vocabulary_size"], seed=0).to(self.world.device)
            costs = measure(model, PROMPT_TOKENS, MeasurementConfig(), with_memory=False)
            write_json(kept, {"tokens_per_second": costs.tokens_per_second})
        speed = read_json(kept).get("tokens_per_second")
        if not isinstance(speed, int | float):
            raise DamagedRecord(f"{kept} is damaged: tokens_per_second must be a number, got {speed!r}")
        return float(speed)


def _means(scores: Sequence[mad.Accuracies]) -> dict[str, float]:
    """Return the mean accuracy by task over the seeds in which all tasks were learnt from."""
    return {task: mean(each[task] for each in scores) for task in scores[0]} if scores else {}


def _paired(first: Sequence[float | None], second: Sequence[float | None]) -> float | None:
    """Return the p value over the seeds that both finished."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    return paired_p_value([a for a, _ in pairs], [b for _, b in pairs])
