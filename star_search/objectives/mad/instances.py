"""Instances of the six MAD tasks, as mad-lab draws them: the same numbers in the same order from the same seed.

Every function returns (inputs, targets); a target of -100 is not asked for. Where training and test instances differ, training asks for
every next token and a test for what can be known alone. Recall is multi-query, as in mad-lab's benchmark: a value is asked for wherever
its key was seen before.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

IntegerArray = NDArray[np.int64]
Instance = tuple[IntegerArray, IntegerArray]

IGNORED = -100


def _of(inputs: Sequence[int], targets: Sequence[int], is_training: bool) -> Instance:
    """Shift by one token: training asks for every token, a test for its targets."""
    tokens = np.array(inputs, dtype=np.int64)
    return tokens[:-1], tokens[1:] if is_training else np.array(targets, dtype=np.int64)[1:]


def recall(
    rng: np.random.Generator, vocabulary: int, length: int, is_training: bool, noise_vocabulary: int = 0, noise_share: float = 0.0
) -> Instance:
    """In-context recall: pairs of a key and its value, each key's drawn once an instance; with noise, pairs of tokens that mean nothing."""
    words = vocabulary - noise_vocabulary
    keys, pairs = words // 2, length // 2
    value_of: dict[int, int] = {}
    inputs, targets = list[int](), list[int]()
    never_noise = rng.integers(pairs)
    for pair in range(pairs - 1):
        if noise_share > 0 and pair != never_noise and rng.random() < noise_share:
            inputs += (words + rng.integers(noise_vocabulary, size=2)).tolist()
            targets += [IGNORED, IGNORED]
            continue
        key = int(rng.integers(keys))
        seen = key in value_of
        if not seen:
            value_of[key] = keys + int(rng.integers(words - keys))
        inputs += [key, value_of[key]]
        targets += [IGNORED, value_of[key] if seen else IGNORED]
    probe = list(value_of)[rng.integers(len(value_of))]
    return _of([*inputs, probe, value_of[probe]], [*targets, IGNORED, value_of[probe]], is_training)


Motif = tuple[int, ...]


class _Motifs:
    """Motifs of distinct tokens by their size, in an order that is drawn anew for every instance."""

    def __init__(self, rng: np.random.Generator, tokens: range, sizes: Sequence[int]) -> None:
        self.rng, self.sizes = rng, sizes
        self._motifs = {size: list(permutations(tokens, size)) for size in sizes}
        self._order = {}
        for size in sizes:
            order = np.arange(len(self._motifs[size]))
            rng.shuffle(order)
            self._order[size] = order

    def size(self) -> int:
        """Draw a size."""
        return self.sizes[int(self.rng.integers(len(self.sizes)))]

    def of(self, size: int) -> Motif:
        """Draw a motif."""
        return self._motifs[size][self._order[size][self.rng.integers(len(self._motifs[size]))]]


def fuzzy_recall(rng: np.random.Generator, vocabulary: int, length: int, is_training: bool, longest: int = 3) -> Instance:
    """Fuzzy in-context recall: keys and values are motifs of up to `longest` tokens; a test has keys of that length alone."""
    words, padding = vocabulary - 1, vocabulary - 1
    every = range(1, longest + 1)
    keys = _Motifs(rng, range(words // 2), every if is_training else [longest])
    values = _Motifs(rng, range(words // 2, words), every)
    # Sizes before motifs; the size of a test's keys is not drawn.
    key_size = keys.size() if is_training else longest
    value_size = values.size()
    probe, answer = keys.of(key_size), values.of(value_size)
    probe_size = key_size + value_size
    place = rng.integers(length - 2 * probe_size)
    value_of: dict[Motif, Motif] = {}
    seen: set[Motif] = set()
    inputs, targets = list[int](), list[int]()
    while len(inputs) < length - probe_size - 2 * longest:
        key_size = keys.size() if is_training else longest
        value_size = values.size()
        key = probe if len(inputs) >= place and probe not in seen else keys.of(key_size)
        if key not in value_of:
            value_of[key] = answer if key == probe else values.of(value_size)
        inputs += [*key, *value_of[key]]
        targets += [IGNORED] * len(key) + (list(value_of[key]) if key in seen else [IGNORED] * len(value_of[key]))
        seen.add(key)
    inputs += [*probe, *answer]
    targets += [IGNORED] * len(probe) + list(answer)
    missing = length + 1 - len(inputs)
    return _of([padding] * missing + inputs, [IGNORED] * missing + targets, is_training)


def memorised_values(vocabulary: int, seed: int) -> list[tuple[int, int]]:
    """Return the fixed (key, value) pairs of the memorisation task."""
    rng, words = np.random.default_rng(seed), vocabulary - 1
    keys, values = np.arange(words // 2), np.arange(words // 2, words)
    rng.shuffle(keys)
    rng.shuffle(values)
    return list(zip(keys.tolist(), values.tolist(), strict=False))


def memorisation(rng: np.random.Generator, vocabulary: int, length: int, known: Sequence[tuple[int, int]]) -> Instance:
    """Memorisation: after each key a token that asks for its value, which is the same in every instance and never shown."""
    rng.integers(length // 2)  # mad-lab draws the pair that is never noise here too
    inputs, targets = list[int](), list[int]()
    for _ in range(length // 2):
        key, value = known[int(rng.integers(len(known)))]
        inputs += [key, vocabulary - 1]
        targets += [IGNORED, value]
    return np.array(inputs, dtype=np.int64), np.array(targets, dtype=np.int64)


def compression(rng: np.random.Generator, vocabulary: int, length: int) -> Instance:
    """Compression: random tokens and an end; all of them are to be had again from what a model makes of the last position."""
    tokens = np.append(rng.integers(vocabulary - 1, size=length - 1), vocabulary - 1)
    return tokens, tokens


def selective_copying(rng: np.random.Generator, places: np.random.RandomState, vocabulary: int, length: int, copied: int = 16) -> Instance:
    """Selective copying: tokens among blanks, then a token after which they are to be given in order. `places` draws the blanks' places."""
    copy, blank = vocabulary - 1, vocabulary - 2
    blanks = length - 2 * copied - 1
    tokens = rng.integers(vocabulary - 2, size=copied)
    spread = np.insert(tokens, places.randint(0, copied, blanks), blank)
    inputs = np.concatenate([spread, [copy], np.full(copied, blank)])
    return inputs, np.concatenate([np.full(length - copied, IGNORED), tokens])
