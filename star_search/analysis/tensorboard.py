"""Candidates for TensorBoard: scalars over training tokens and hyper-parameters, one event file each, made from the records."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any

from star_search.analysis.candidate import loss_curve
from star_search.analysis.plain_text import printable
from star_search.analysis.strips import FAMILY_LETTERS, families
from star_search.config import SearchConfig
from star_search.errors import InputError, unwritable
from star_search.genome.catalogue import load_catalogue
from star_search.genome.encoding import Genome
from star_search.genome.evolved import catalogue_for
from star_search.runs.atomic import remove_leftovers, write_bytes
from star_search.runs.directory import RunDirectory
from star_search.runs.records import CandidateRecord, Outcome, spent_tokens

FOLDER = "tensorboard"
_FILE = "events.out.tfevents.candidate"  # TensorBoard reads what has `tfevents` in its name.
_MEASURED = ("seconds", "tokens_per_second", "peak_memory_bytes")


def check_tensorboard() -> None:
    """Refuse `--tensorboard` where the package is not there.

    Raises:
        InputError: when tensorboard is not installed.
    """
    if find_spec("tensorboard") is None:
        raise InputError("--tensorboard needs a package: pip install 'star-search[tensorboard]'")


class CandidateEvents:
    """Writes a run's candidates into `tensorboard/ID` of its folder, for the holder of its lock.

    A file appears whole or not at all, and is a function of the record: whatever is missing after a kill can be written later.

    Raises:
        InputError: when tensorboard is not installed, or the folder cannot be made.
        StarSearchError: when the disk fails.
    """

    def __init__(self, run: RunDirectory, config: SearchConfig) -> None:
        check_tensorboard()
        self.run, self.training = run, config.training
        self.catalogue = load_catalogue(config.space.catalogue)
        classes = config.space.classes or list(self.catalogue.classes)
        self._classes = [self.catalogue[number].name if isinstance(number, int) else number for number in classes]
        self.folder = run.path / FOLDER
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise unwritable(self.folder, error) from error

    def write_missing(self, records: Iterable[CandidateRecord]) -> int:
        """Write those that are not there yet, and return how many they were."""
        missing = [record for record in records if not (self.folder / f"{record.id:05d}" / _FILE).is_file()]
        for record in missing:
            if (self.folder / f"{record.id:05d}").is_dir():
                remove_leftovers(self.folder / f"{record.id:05d}")
            self.write(record)
        return len(missing)

    def write(self, record: CandidateRecord) -> None:
        """Write one, in the place of what is there.

        Raises:
            StarSearchError: when it cannot be written.
        """
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        began, ended = record.measured.get("busy", [self.run.created_ns / 1e9] * 2)
        buffer = io.BytesIO()
        writer = RecordWriter(buffer)
        events = [Event(wall_time=began, file_version="brain.Event:2"), *self._session(record, began, ended)]
        for tokens, name, value in self._scalars(record):
            share = tokens / record.tokens if record.tokens else 1.0
            summary = {"value": [{"tag": name, "simple_value": value}]}
            events.append(Event(wall_time=began + share * (ended - began), step=tokens, summary=summary))
        for event in events:
            writer.write(event.SerializeToString())
        write_bytes(self.folder / f"{record.id:05d}" / _FILE, buffer.getvalue())

    def _scalars(self, record: CandidateRecord) -> Iterator[tuple[int, str, float]]:
        """Yield training tokens, name and value: the loss curve, then what is known at the end."""
        for step, loss in loss_curve(record):
            yield int(step) * self.training.batch_tokens, "training/loss", loss
        if "validation_loss" in record.details:
            yield record.tokens, "validation/loss", record.details["validation_loss"]
        for name, value in record.objectives.items():
            yield record.tokens, f"objectives/{printable(name)}", value
        for name in _MEASURED:
            if name in record.measured:
                yield record.tokens, f"measured/{name}", record.measured[name]

    def _session(self, record: CandidateRecord, began: float, ended: float) -> list[Any]:
        """Return the events that the plugin for hyper-parameters reads."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.plugins.hparams import api_pb2, metadata
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo

        # Sessions of one group would be averaged, so each candidate is a group of its own.
        name = printable(self.run.path.resolve().name)
        start = SessionStartInfo(group_name=f"{name}/{record.id:05d}", start_time_secs=began)
        for name, value in self.hyperparameters(record).items():
            kind = "string_value" if isinstance(value, str) else "number_value"
            setattr(start.hparams[name], kind, value)
        status = api_pb2.STATUS_SUCCESS if record.outcome == Outcome.ok else api_pb2.STATUS_FAILURE
        end = SessionEndInfo(status=status, end_time_secs=ended)
        found = (
            (began, metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start)),
            (ended, metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end)),
        )
        return [
            Event(
                wall_time=time,
                summary={"value": [{"tag": tag, "metadata": metadata.create_summary_metadata(data), "tensor": metadata.NULL_TENSOR}]},
            )
            for time, tag, data in found
        ]

    def hyperparameters(self, record: CandidateRecord) -> dict[str, str | float]:
        """Return what a candidate is: genome, generation, outcome, tokens, lost ones among them; sizes, LIVs of each class and links where
        its genome is legal."""
        found: dict[str, str | float] = {"genome": printable(record.genome), "canonical": record.canonical}
        found |= {"generation": record.generation, "outcome": record.outcome.value, "tokens": spent_tokens(record)}
        # A genome that is illegal, as without repair, was rejected before its sizes were known.
        if "parameters" not in record.objectives:
            return found
        genome = Genome.parse(record.canonical)
        complete = catalogue_for(genome, self.catalogue)
        counts = dict.fromkeys(self._classes, 0) | Counter(complete[liv.liv_class].name for liv in genome.livs)
        found["LIVs"] = "".join(FAMILY_LETTERS[name] for name in families(genome, self.catalogue))
        found |= {f"LIVs of {printable(name)}": count for name, count in counts.items()}
        groups = genome.sharing(self.catalogue).groups
        for kind in ("featurizer", "features"):
            found[f"links of {kind}"] = sum(len(group.members) - 1 for group in groups if group.kind == kind)
        return found | {name: record.objectives[name] for name in ("parameters", "cache_bytes")}
