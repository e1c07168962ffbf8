"""What a process knows of itself."""

import subprocess
import sys

import numpy as np

HELD = 256 << 20
CHILD = f"""
import numpy as np
from star_search.processes import peak_memory_bytes
print(peak_memory_bytes())
np.ones({HELD}, dtype=np.uint8).sum()
print(peak_memory_bytes())
"""


def test_peak_memory_is_what_this_process_held_at_most_and_not_the_one_that_started_it():
    held = np.ones(2 * HELD, dtype=np.uint8)
    result = subprocess.run([sys.executable, "-c", CHILD], check=True, stdout=subprocess.PIPE, text=True)
    before, after = map(int, result.stdout.split())
    assert 1 << 20 < before < HELD
    assert before + HELD // 2 < after < len(held)
