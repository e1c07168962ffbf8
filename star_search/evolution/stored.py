"""What a run that is resumed holds, checked before the search builds on it."""

from __future__ import annotations

from star_search.analysis.run_view import record_problem, stored_provenance
from star_search.config import SearchConfig
from star_search.errors import InputError
from star_search.genome.encoding import Genome
from star_search.genome.space import SearchSpace
from star_search.runs.directory import RunDirectory
from star_search.runs.records import CandidateRecord


def check_stored(run: RunDirectory, config: SearchConfig) -> None:
    """Refuse a run with damaged provenance, or with a record that says what cannot be; files that cannot be read are the ledger's to name.

    Raises:
        InputError: naming the file and what is wrong with it.
    """
    stored_provenance(run, config)
    space = SearchSpace.from_config(config.space)
    for record in run.read_candidates()[0]:
        problem = record_problem(run, record, config.objectives) or _canonical_problem(run, record, space)
        if problem:
            raise InputError(f"{problem}; move that file away to have the candidate assessed again")


def _canonical_problem(run: RunDirectory, record: CandidateRecord, space: SearchSpace) -> str:
    """Return what is wrong with a record's canonical genome, empty where nothing is; an illegal genome stands for itself."""
    where = f"{run.candidate_path(record.id)} is damaged"
    try:
        genome = Genome.parse(record.genome)
    except InputError as error:
        return f"{where}: {error}"
    illegal = bool(space.rules.problems(genome))
    expected = (genome if illegal else genome.canonical(space.rules.catalogue)).format()
    return "" if record.canonical == expected else f"{where}: canonical must be that of its genome, {expected}, got {record.canonical}"
