"""Arrays in temporary files, so that the memory that a video takes does not grow with its length.

Where there is no room for such a file, arrays stay in memory. The files have no name and go with the last array in them.
"""

from __future__ import annotations

import mmap
import tempfile
from contextlib import suppress
from typing import IO

import numpy as np
import numpy.typing as npt

__all__ = ["LARGE", "Spool", "empty", "release"]

Maps = npt.NDArray[np.float32]

LARGE = 1 << 20
"""The size in bytes from which an array is worth a file."""


def empty(shape: tuple[int, ...]) -> Maps:
    """An array float32 to be filled; a large one lies in a file, and what of it was looked at can be :func:`let_go`."""
    size = 4 * int(np.prod(shape))
    if size < LARGE:
        return np.empty(shape, np.float32)
    try:
        with tempfile.TemporaryFile() as file:
            for start in range(0, size, LARGE):  # a disk that is full says so now, instead of killing the process later
                file.write(bytes(min(LARGE, size - start)))
            file.flush()
            return np.frombuffer(mmap.mmap(file.fileno(), size), np.float32).reshape(shape)
    except OSError:
        return np.empty(shape, np.float32)


def release(*arrays: npt.NDArray[np.generic]) -> None:
    """Give the memory back that looking at arrays of :func:`empty` took; they stay what they are. Others are left alone."""
    for array in arrays:
        base: object = array
        while isinstance(base, (np.ndarray, memoryview)):
            base = base.base if isinstance(base, np.ndarray) else base.obj
        if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            base.madvise(mmap.MADV_DONTNEED)


class Spool:
    """A file that arrays are put away in one by one."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._end = 0
        self._free: dict[int, list[int]] = {}  # places by size

    def put(self, array: Maps) -> int | None:
        """Put an array away; returns its place, None where there is no room for it."""
        free = self._free.get(array.nbytes)
        place = free[-1] if free else self._end
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  (it is open as long as this lives)
            self._file.seek(place)
            if self._file.write(array.data) != array.nbytes:
                return None
        except OSError:
            return None
        if free:
            free.pop()
        else:
            self._end += array.nbytes
        return place

    def get(self, place: int, shape: tuple[int, ...]) -> Maps:
        """What was put at ``place``."""
        assert self._file is not None
        out = np.empty(shape, np.float32)
        self._file.seek(place)
        if self._file.readinto(out.data) != out.nbytes:  # type: ignore[attr-defined]
            raise OSError("a temporary file was cut short")
        return out

    def free(self, place: int, shape: tuple[int, ...]) -> None:
        """Forget what was put at ``place``."""
        self._free.setdefault(4 * int(np.prod(shape)), []).append(place)

    def __del__(self) -> None:
        with suppress(Exception):
            if self._file is not None:
                self._file.close()
