"""A lock on a folder, so that two runs do not work in it at the same time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vidcam.errors import UsageError

try:
    import fcntl
except ImportError:  # Windows, which cannot lock a folder: a second run in it is not refused there
    fcntl = None  # type: ignore[assignment]

__all__ = ["locked"]


@contextmanager
def locked(folder: Path | str) -> Iterator[None]:
    """Hold a folder for one run; the system lets go of it if the process dies. An address cannot be held.

    Raises:
        UsageError: Another process holds it.
    """
    if fcntl is None or isinstance(folder, str):
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(f"another run is at work in {folder}: wait for it, or name another folder") from error
        yield
    finally:
        os.close(handle)
