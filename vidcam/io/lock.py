"""Locks that the system lets go of if a process dies: of a file, and of a folder in which one run at a time works."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vidcam.errors import UsageError

__all__ = ["hold", "locked"]

WINDOWS_FILE = ".vidcam.lock"
"""What is held on Windows in place of the folder itself, which cannot be opened there."""


def hold(handle: int) -> bool:
    """Lock an open file until it is closed; return False if another process holds it.

    Raises:
        OSError: The file system has no locks.
    """
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
    else:
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@contextmanager
def locked(folder: Path | str) -> Iterator[None]:
    """Hold a folder for one run. An address cannot be held, nor a folder on a file system without locks.

    Raises:
        UsageError: Another process holds it.
    """
    if isinstance(folder, str):
        yield
        return
    if sys.platform == "win32":
        handle = os.open(folder / WINDOWS_FILE, os.O_RDWR | os.O_CREAT)
    else:
        handle = os.open(folder, os.O_RDONLY)
    try:
        is_free = True
        with suppress(OSError):
            is_free = hold(handle)
        if not is_free:
            raise UsageError(f"another run is at work in {folder}: wait for it, or name another folder")
        yield
    finally:
        os.close(handle)
