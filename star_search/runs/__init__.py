"""The run directory is the database: layout, atomic writes, lock, records."""

from star_search.runs.directory import RunDirectory
from star_search.runs.locate import locate, newest_run, numbered_folder
from star_search.runs.lock import RunLock
from star_search.runs.reading import DamagedRecord
from star_search.runs.records import CandidateRecord, GenerationRecord, Outcome

__all__ = [
    "CandidateRecord",
    "DamagedRecord",
    "GenerationRecord",
    "Outcome",
    "RunDirectory",
    "RunLock",
    "locate",
    "newest_run",
    "numbered_folder",
]
