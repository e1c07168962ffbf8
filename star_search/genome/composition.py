"""Composition: which LIVs run in parallel, and how their outputs are combined."""

from __future__ import annotations

from dataclasses import dataclass

from star_search.genome.encoding import Genome

SEQUENTIAL, MIXED, ROUTED = 1, 2, 3
COMPOSITION_MEANINGS = {
    SEQUENTIAL: "sequential",
    MIXED: "in parallel with the LIV before it, combined by learned mixing weights",
    ROUTED: "in parallel with the LIV before it, combined by a liquid time-constant router",
}


@dataclass(frozen=True, slots=True)
class Block:
    """LIVs `start` to `stop - 1` (positions from 0) that read the same input; a block of several is combined as `kind`, its last digit."""

    start: int
    stop: int
    kind: int

    @property
    def size(self) -> int:
        """Number of LIVs."""
        return self.stop - self.start

    @property
    def positions(self) -> range:
        """The positions of its LIVs."""
        return range(self.start, self.stop)

    @property
    def is_routed(self) -> bool:
        """Whether a router combines its LIVs."""
        return self.kind == ROUTED


def blocks(genome: Genome) -> list[Block]:
    """Return the blocks of a legal genome in depth order; without composition every LIV is a block."""
    digits = genome.composition or (SEQUENTIAL,) * genome.depth
    starts = [position for position, digit in enumerate(digits) if digit == SEQUENTIAL]
    return [Block(start, stop, digits[stop - 1]) for start, stop in zip(starts, [*starts[1:], genome.depth], strict=True)]
