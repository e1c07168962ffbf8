"""One `evolve` session: which run it is, what it is allowed to change, and how it ends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from star_search.analysis.plain_text import shell_word
from star_search.analysis.run_view import stored_configuration, stored_reference_point
from star_search.config import PLACES, SearchConfig, load_configuration, parse_configuration
from star_search.errors import InputError, StarSearchError
from star_search.runs.directory import RunDirectory, is_run
from star_search.runs.locate import newest_run, numbered_folder

if TYPE_CHECKING:
    from star_search.cli.dashboard import Dashboard
    from star_search.genome.space import SearchSpace
    from star_search.objectives.registry import Criteria
    from star_search.runs.records import CandidateRecord

RUNS = Path("runs")
_WORKERS = ("count", "timeout", "disk_timeout", "device", "per_device", "mps", "backend", "scheduler")
# How a training is run may change as the machine does: engines agree as rounding does.
CHANGEABLE = ("algorithm.generations", "training.engine", *(f"workers.{key}" for key in _WORKERS))
_PLACES = tuple(f"data.{key}" for key in PLACES)
INTERRUPTED = 130


@dataclass
class Session:
    """A search to be run: its configuration, its folder, the run when there is one already, and its budgets."""

    config: SearchConfig
    folder: Path
    existing: RunDirectory | None
    max_hours: float | None
    max_tokens: int | None
    tensorboard: bool = False

    @classmethod
    def plan(
        cls,
        config: str | None,
        overrides: list[str],
        run_dir: Path | None,
        resume: bool,
        max_hours: float | None = None,
        max_tokens: int | None = None,
        tensorboard: bool = False,
    ) -> Session:
        """Resolve the configuration and the folder.

        Raises:
            InputError: for bad configuration, or a change to a run that cannot change.
        """
        from star_search.objectives.own import refuse_changed

        _check_budget("--max-hours", max_hours)
        _check_budget("--max-tokens", max_tokens)
        requested = load_configuration(config or "quickstart.yaml", [] if resume and config is None else overrides)
        existing = _find_existing(run_dir, requested.name) if resume else None
        if existing is None:
            if resume and config is None:
                requested = load_configuration("quickstart.yaml", overrides)
            return cls(resolved(requested), run_dir or numbered_folder(RUNS, requested.name), None, max_hours, max_tokens, tensorboard)
        stored = stored_configuration(existing)
        if config is None:
            requested = parse_configuration(stored.model_dump(mode="json"), overrides, where=str(existing.path / "config.yaml"))
        requested = refuse_changed(str(existing.path), stored, resolved(_kept(requested, stored)))
        _check_changes(existing, stored, requested)
        return cls(requested, existing.path, existing, max_hours, max_tokens, tensorboard)

    def run(self, quiet: bool = False, dashboard: Dashboard | None = None) -> int:
        """Search, and return the exit code; a dashboard shows the run from its beginning on."""
        from star_search.cli.console import print_whole
        from star_search.cli.live import build_reporter
        from star_search.cli.summary import print_end
        from star_search.evolution.ledger import Budget
        from star_search.evolution.search import Search
        from star_search.evolution.workers import build_workers

        start = time.monotonic()
        provenance = self._check(quiet)
        run = self._open(provenance)
        with run.writing():
            self._note_changes(run, provenance)
            if dashboard is not None:
                dashboard.show(run)
            with build_reporter(self.config, run, quiet, self._events(run)) as reporter:
                budget = Budget(self.max_hours, self.max_tokens)
                search = Search(run, self.config, lambda: build_workers(self.config), reporter, budget)
                try:
                    finished = search.run()
                except KeyboardInterrupt:
                    run.append_event("interrupted")
                    reporter.close()
                    command = self.resume_command(run)
                    print_whole(f"interrupted; candidates in training were discarded. Continue with:\n  {command}")
                    return INTERRUPTED
            run.append_event("finished" if finished else "stopped", seconds=time.monotonic() - start)
            if not quiet:
                print_end(run, search, finished, time.monotonic() - start, self.resume_command(run))
        return 0

    def _check(self, quiet: bool) -> dict[str, Any]:
        """Prepare the text and return the provenance; every bad input is found here, before a folder is made."""
        from star_search.analysis.tensorboard import check_tensorboard
        from star_search.cli.preparing import preparation_bar
        from star_search.data.store import prepare
        from star_search.data.stream import TokenStream
        from star_search.data.unigram import unigram_loss
        from star_search.evolution.provenance import provenance
        from star_search.evolution.stored import check_stored
        from star_search.evolution.worker_checks import check_workers
        from star_search.evolution.workers import devices
        from star_search.runs.output import check_folder

        config = self.config
        if self.tensorboard:
            check_tensorboard()
        space, criteria = check_search(config)
        if self.existing is None:
            check_folder(self.folder, "--run-dir")
        else:
            check_stored(self.existing, config)
        found = devices(config.workers.device)
        check_workers(config, found[0])
        with preparation_bar(quiet) as report:
            store = prepare(config.data, report=report)
        stream = TokenStream(store, config.training.sequence_length, config.training.rows, config.data.seed)
        batches = stream.validation_batches(config.data.validation_tokens, 1)
        loss = unigram_loss(batches.targets, store.vocabulary_size)
        bits = loss * batches.count_tokens / (math.log(2) * batches.count_bytes)
        criteria.check_losses(loss, bits)
        if self.existing is not None:
            # The point that shares and hypervolumes are measured from stays as it was; a measured one would not come out equal.
            return provenance(config, store, found, loss, stored_reference_point(self.existing, config))
        others = _ceilings(config, space, criteria, store.vocabulary_size, found[0], quiet)
        return provenance(config, store, found, loss, criteria.worst(space, config.backbone.residual, loss, bits, others))

    def _open(self, provenance: dict[str, Any]) -> RunDirectory:
        if self.existing is None:
            return RunDirectory.create(self.folder, self.config.name, self.config.to_yaml(), provenance)
        from star_search.data.fingerprint import check_same_text

        check_same_text(self.existing.provenance["data"]["fingerprint"], provenance["data"]["fingerprint"], self.folder)
        return self.existing

    def _note_changes(self, run: RunDirectory, provenance: dict[str, Any]) -> None:
        if self.existing is not None and run.config_yaml != self.config.to_yaml():
            run.update_config(self.config.to_yaml())
        run.append_event("session", versions=provenance["versions"], devices=provenance["devices"], machine=provenance["machine"])

    def _events(self, run: RunDirectory) -> Callable[[CandidateRecord], None]:
        """Return what writes a candidate for TensorBoard, those on record written already; it does nothing where nobody asked for it."""
        from star_search.analysis.tensorboard import CandidateEvents
        from star_search.cli.console import console, errors
        from star_search.cli.progress import unheard

        if not self.tensorboard:
            return unheard
        events = CandidateEvents(run, self.config)
        events.write_missing(run.read_candidates()[0])

        def write(record: CandidateRecord) -> None:
            try:
                events.write(record)
            except StarSearchError as error:  # What only shows a search must not end it.
                # The live view makes room for what its own console prints, and for nothing else.
                output = console if console.is_terminal else errors
                output.print(f"star-search: {error}; star-search report --tensorboard writes it later", markup=False)

        return write

    def resume_command(self, run: RunDirectory) -> str:
        """Return the command that continues the run."""
        further = " --tensorboard" if self.tensorboard else ""
        return f"star-search evolve --resume --run-dir {shell_word(str(run.path))}{further}"


def _ceilings(
    config: SearchConfig, space: SearchSpace, criteria: Criteria, vocabulary_size: int, device: str, quiet: bool
) -> dict[str, float]:
    """Return what bounds the objectives that neither a closed form nor the unigram bounds."""
    from star_search.cli.console import errors
    from star_search.objectives.own import load_own

    found = {objective.name: load_own(config, objective.name).worst for objective in criteria.own}
    if any(objective.kind.measured for objective in criteria.objectives):
        from star_search.objectives.measured import measured_ceilings

        if not quiet:
            errors.print(f"measuring on {device} what bounds the measured objectives")
        found |= measured_ceilings(config, space, vocabulary_size, device)
    return found


def check_search(config: SearchConfig) -> tuple[SearchSpace, Criteria]:
    """Return the space and the criteria of a search.

    Raises:
        InputError: for a space, objectives, constraints, an algorithm, a scheduler or a time limit that cannot be.
    """
    from star_search.evolution.algorithms import Operators, SearchProblem, build_algorithm
    from star_search.evolution.worker_checks import check_scheduler_used, check_time_limit
    from star_search.genome.space import SearchSpace
    from star_search.objectives.own import load_own
    from star_search.objectives.racing import check_racing
    from star_search.objectives.registry import Criteria

    space, criteria = SearchSpace.from_config(config.space), Criteria.from_config(config)
    space.check_width()
    check_scheduler_used(config)
    check_racing(config, criteria)
    check_time_limit(config)
    for objective in criteria.own:
        load_own(config, objective.name)
    criteria.check_reach(space, config.backbone.residual)
    # Asked once, because a space too small for the population shows only then.
    build_algorithm(Operators(space, config.algorithm), SearchProblem(space, len(criteria.objectives), 1)).ask()
    return space, criteria


def resolved(config: SearchConfig) -> SearchConfig:
    """Return the configuration with all that its space and algorithm come to, which later catalogues and defaults leave alone."""
    from star_search.evolution.initial import read_initial_genomes
    from star_search.evolution.kinds import complete
    from star_search.genome.catalogue import load_catalogue
    from star_search.genome.space import SearchSpace
    from star_search.objectives.own import with_sources

    config = with_sources(config)
    space = SearchSpace.from_config(config.space)
    # A catalogue of the user's is kept whole: its file may change or go, and the configuration goes where the run does.
    whole = {"catalogue": load_catalogue(config.space.catalogue).source, "classes": list(space.rules.classes)}
    section = config.space.model_copy(update={**whole, "groups": space.rules.groups})
    initial = {"initial_genomes": read_initial_genomes(config.algorithm) or None}
    algorithm = complete(config.algorithm, space, len(config.objectives)).model_copy(update=initial)
    return config.model_copy(update={"space": section, "algorithm": algorithm})


def _kept(requested: SearchConfig, stored: SearchConfig) -> SearchConfig:
    """Return a request whose keys of the algorithm, where it leaves them to the defaults, are those that the run was made with."""
    same = requested.algorithm.name == stored.algorithm.name
    left = {key: getattr(stored.algorithm, key) for key, value in requested.algorithm if value is None} if same else {}
    return requested.model_copy(update={"algorithm": requested.algorithm.model_copy(update=left)})


def _check_budget(option: str, value: float | None) -> None:
    if value is not None and not value > 0:
        raise InputError(f"{option} must be above 0, got {value:g}")


def _find_existing(run_dir: Path | None, name: str) -> RunDirectory | None:
    if run_dir is not None:
        return RunDirectory.open(run_dir) if run_dir.is_file() or is_run(run_dir) else None
    if numbered_folder(RUNS, name) == RUNS / name:
        return None
    return newest_run(RUNS, name)


def _check_changes(run: RunDirectory, stored: SearchConfig, requested: SearchConfig) -> None:
    for key, old, new in _differences(stored.model_dump(mode="json"), requested.model_dump(mode="json")):
        if key not in (*CHANGEABLE, *_PLACES):
            raise InputError(
                f"{key} of {run.path} is {old} and cannot become {new}; what may change when a run resumes: {', '.join(CHANGEABLE)}, "
                f"and, for the same text in another place, {', '.join(_PLACES)}"
            )
    done = max(run.generation_numbers(), default=0)
    if requested.algorithm.generations < done:
        raise InputError(f"algorithm.generations of {run.path} cannot become {requested.algorithm.generations}: {done} are done")


def _differences(before: dict[str, Any], after: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield every key in which two configurations differ, with both values; a section that only one of them has is one value."""
    for key in before | after:
        old, new = before.get(key, "absent"), after.get(key, "absent")
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            yield f"{prefix}{key}", old, new
