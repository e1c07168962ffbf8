"""Child processes that end with their parent, however it ends."""

import ctypes
import os
import signal
import sys

_KILL_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, even in the middle of native code; on Linux alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_KILL_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
