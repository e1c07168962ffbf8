"""Baselines as genomes: the architectures that a finalist is held against, from the classes of the catalogue, at any depth."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle, islice

from star_search.errors import InputError, check_whole, did_you_mean
from star_search.genome.catalogue import Catalogue, as_catalogue
from star_search.genome.encoding import Genome, LIVGenes

MEMORYLESS = "GMemless"
BASELINE_DEPTH = 24  # The paper's smaller scale, where nothing says another.


@dataclass(frozen=True, slots=True)
class Baseline:
    """Mixers by name, taken in turn as often as the depth asks; a gated memoryless unit follows each."""

    description: str
    mixers: tuple[str, ...]


BASELINES: dict[str, Baseline] = {
    "transformer++": Baseline("softmax attention with rotary positions and SwiGLU, as in Llama", ("SA-1",)),
    "striped-mamba": Baseline(
        "Mamba-2's recurrence with one softmax attention in six mixers", ("Rec-1", "Rec-1", "Rec-1", "SA-1", "Rec-1", "Rec-1")
    ),
    "jamba-like": Baseline(
        "a grouped-query attention at the fifth of every eight mixers, recurrences elsewhere (Lieber et al., 2024), without experts",
        ("Rec-1",) * 4 + ("SA-3",) + ("Rec-1",) * 3,
    ),
    "lfm2-like": Baseline(
        "the sixteen mixers of LFM2-1.2B: ten short gated convolutions, six grouped-query attentions",
        tuple("SA-3" if index in (2, 5, 8, 10, 12, 14) else "GConv-1" for index in range(16)),
    ),
}


def baseline(name: str, depth: int, catalogue: Catalogue | str = "star") -> Genome:
    """Return a baseline of `depth` LIVs, mixers and gated memoryless units in turn; nothing is shared.

    Raises:
        InputError: for an unknown name, or a catalogue that lacks one of its classes.
    """
    if name not in BASELINES:
        raise InputError(f"unknown baseline '{name}'{did_you_mean(name, BASELINES)}")
    table = as_catalogue(catalogue)
    check_whole(depth, f"the depth of {name}", 1)
    names = (each for mixer in cycle(BASELINES[name].mixers) for each in (mixer, MEMORYLESS))
    return Genome(tuple(LIVGenes(_class_id(table, each, name), 1, 1, 1, 1) for each in islice(names, depth)))


def _class_id(catalogue: Catalogue, class_name: str, name: str) -> int:
    try:
        return catalogue.find(class_name).id
    except InputError as error:
        raise InputError(f"baseline {name} cannot be built: {error}") from None


def read_genome(text: str, depth: int, catalogue: Catalogue | str = "star") -> Genome:
    """Return what a text means wherever a genome is asked for: the name of a baseline, built at `depth`, or a genome as written.

    Raises:
        InputError: for a text that is neither.
    """
    name = text.strip().lower()
    if name in BASELINES:
        return baseline(name, depth, catalogue)
    try:
        return Genome.parse(text)
    except InputError as error:
        if _looks_like_a_name(name):
            raise InputError(f"'{text}' is neither a genome nor a baseline{did_you_mean(name, BASELINES)}") from None
        raise error from None


def _looks_like_a_name(text: str) -> bool:
    """Return whether a text that is no genome has words where a genome has digits."""
    first = text.partition("-")[0]
    return first.rstrip("+").isalnum() and not any(letter.isdigit() for letter in first)


def split_names(text: str) -> list[str]:
    """Return the baselines that a list joined by commas names, each once; `NAME=GENOME` names a genome of one's own.

    Raises:
        InputError: for an unknown name.
    """
    names = list(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    for name in names:
        if "=" not in name and name not in BASELINES:
            raise InputError(f"unknown baseline '{name}'{did_you_mean(name, BASELINES)}")
    return names
