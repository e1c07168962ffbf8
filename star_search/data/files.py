"""Files of the token cache that a kill or a power cut leaves either absent or whole."""

import json
import os
from pathlib import Path
from typing import Any


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write a file under a name of its own, then put it in place; the folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def write_new_bytes(path: Path, data: bytes) -> None:
    """Write a file that is not there yet, as `write_bytes` writes; its name is taken first, and given back where that fails.

    Raises:
        OSError: when the file is there, or the folder cannot be written.
    """
    path.touch(exist_ok=False)
    try:
        write_bytes(path, data)
    except OSError:
        path.unlink()
        raise


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, as `write_bytes` writes."""
    write_bytes(path, (json.dumps(value, indent=1) + "\n").encode())
