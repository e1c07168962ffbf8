"""The decoding cache: what a model remembers of the tokens it has read."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from star_search.errors import InputError
from star_search.liv.padding import Padding
from star_search.liv.token_mixing import State


@dataclass
class DecodingCache:
    """State of every LIV for a batch of sequences of equal length; advanced in place by prefill and step.

    Where prompts of several lengths were read, all rows end at one place, and `padding` says where each begins.
    `constants` are features that follow from the weights alone, such as long kernels: kept for speed, no memory of what was read.
    """

    states: list[State]
    constants: list[dict[str, Tensor]]
    max_length: int
    length: int = 0
    padding: Padding | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the state tensors held."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors())

    def tensors(self) -> list[Tensor]:
        """Return every tensor held."""
        return [tensor for state in self.states for tensor in state.values()]

    def select(self, rows: Tensor) -> None:
        """Let row b go on as row rows[b] did, in place; there may be more or fewer rows than before."""
        for state in self.states:
            for name, tensor in state.items():
                state[name] = tensor.index_select(0, rows)
        self.padding = self.padding and self.padding.select(rows)

    def take(self, other: DecodingCache) -> None:
        """Take over what a shorter cache of as many rows has read."""
        self.length, self.padding = other.length, other.padding
        for old, new in zip(other.tensors(), self.tensors(), strict=True):
            new[tuple(slice(size) for size in old.shape)] = old

    def advance(self, count: int) -> int:
        """Make room for `count` tokens and return the position of the first.

        Raises:
            InputError: past max_length.
        """
        if self.length + count > self.max_length:
            raise InputError(f"the cache holds {self.max_length} tokens; {self.length} are read and {count} more were given")
        start, self.length = self.length, self.length + count
        return start
