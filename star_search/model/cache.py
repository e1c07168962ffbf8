"""The decoding cache: what a model remembers of the tokens it has read."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from star_search.errors import InputError
from star_search.liv.token_mixing import State


@dataclass
class DecodingCache:
    """State of every LIV for a batch of sequences of equal length; advanced in place by prefill and step.

    `constants` are features that follow from the weights alone, such as long kernels: kept for speed, no memory of what was read.
    """

    states: list[State]
    constants: list[dict[str, Tensor]]
    max_length: int
    length: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of the state tensors held."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors())

    def tensors(self) -> list[Tensor]:
        """Return every tensor held."""
        return [tensor for state in self.states for tensor in state.values()]

    def advance(self, count: int) -> int:
        """Make room for `count` tokens and return the position of the first.

        Raises:
            InputError: past max_length.
        """
        if self.length + count > self.max_length:
            raise InputError(f"the cache holds {self.max_length} tokens; {self.length} are read and {count} more were given")
        start, self.length = self.length, self.length + count
        return start
