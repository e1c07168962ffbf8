"""The loss of the best prediction that ignores its input."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1 << 20


def unigram_loss(tokens: NDArray[np.integer[Any]], vocabulary_size: int) -> float:
    """Return the entropy, in nats a token, of how often each id stands among these tokens."""
    counts = np.zeros(vocabulary_size, dtype=np.int64)
    for start in range(0, len(tokens), _CHUNK):
        counts += np.bincount(tokens[start : start + _CHUNK], minlength=vocabulary_size)
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
