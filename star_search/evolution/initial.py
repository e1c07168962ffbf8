"""Genomes that a search begins with: baselines by name, genomes from a file, or the front of an earlier run."""

from __future__ import annotations

from pathlib import Path

from star_search.analysis.run_view import RunView
from star_search.config import AlgorithmConfig
from star_search.errors import InputError
from star_search.genome.baselines import read_genome
from star_search.genome.encoding import Genome
from star_search.genome.space import SearchSpace
from star_search.runs.directory import RunDirectory, is_run

_KEY = "algorithm.initial_genomes"


def read_initial_genomes(config: AlgorithmConfig) -> list[str]:
    """Return the texts of the initial genomes: as listed, the lines of a file, or the front of a run.

    Raises:
        InputError: when the file cannot be read, or list, file or front hold no genome.
    """
    given = config.initial_genomes
    if given is None:
        return []
    if given == []:
        raise InputError(f"{_KEY} holds no genome; without any it must be null")
    if isinstance(given, list):
        return given
    path = Path(given)
    return _read_front(path) if is_run(path) else _read_file(path)


def _read_front(path: Path) -> list[str]:
    front = [record.genome for record in RunView.read(RunDirectory.open(path)).front]
    if not front:
        raise InputError(f"{_KEY} {path} is a run without a front: no generation of it is finished, or none of its candidates is fit")
    return front


def _read_file(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"{_KEY} {path} must be a file of one genome a line, or a run: {reason}") from None
    texts = [line.partition("#")[0].strip() for line in lines]
    if not any(texts):
        raise InputError(f"{_KEY} {path} holds no genome")
    return [text for text in texts if text]


def _read(text: str, space: SearchSpace) -> Genome:
    try:
        return read_genome(text, space.depth, space.rules.catalogue)
    except InputError as error:
        raise InputError(f"{_KEY}: {error}") from None


def initial_genomes(config: AlgorithmConfig, space: SearchSpace) -> list[Genome]:
    """Return the initial genomes, each legal in the space and another architecture; a baseline is built at the space's depth.

    Raises:
        InputError: naming the genome that does not fit, or more genomes than the population.
    """
    found: dict[str, Genome] = {}
    for text in read_initial_genomes(config):
        genome = _read(text, space)
        if genome.depth != space.depth:
            raise InputError(f"{_KEY}: genome {text} has {genome.depth} LIVs, space.depth is {space.depth}")
        if genome.layout != space.layout:
            raise InputError(f"{_KEY}: genome {text} has {genome.layout.size} genes, genomes of this space have {space.size}")
        try:
            space.rules.check(genome)
        except InputError as error:
            raise InputError(f"{_KEY}: {error}") from None
        canonical = genome.canonical(space.rules.catalogue).format()
        if canonical in found:
            raise InputError(f"{_KEY}: {text} and {found[canonical].format()} are one architecture")
        found[canonical] = genome
    if len(found) > config.population:
        raise InputError(f"{_KEY} holds {len(found)} genomes, more than algorithm.population ({config.population})")
    return list(found.values())
