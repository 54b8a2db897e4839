"""Arrays in temporary files, so that the memory that a video takes does not grow with its length.

If there is no room for such a file, arrays stay in memory. The files have no name and vanish with the last array in them.
"""

from __future__ import annotations

import mmap
import tempfile
from contextlib import suppress
from typing import IO, Any

import numpy as np
import numpy.typing as npt

__all__ = ["LARGE", "Spool", "StoredArray", "empty"]

Maps = npt.NDArray[np.float32]

LARGE = 1 << 20
"""The size in bytes from which an array is worth a file, and of what a stored array keeps in memory."""


class StoredArray(np.memmap[Any, np.dtype[np.float32]]):
    """An array float32 in a file that gives the memory of its pages back while it is read or filled piece by piece.

    Every access by index counts; after :data:`LARGE` bytes the next one first gives the pages of those before it back to the
    system. Values stay what they are: pages come back from the file. What is read is a plain array that looks into the file.
    """

    _accessed = 0

    def __getitem__(self, index: Any) -> Any:
        self._give_back()
        piece = super().__getitem__(index)
        if isinstance(piece, np.ndarray):
            piece = piece.view(np.ndarray)
            self._accessed += piece.nbytes
        return piece

    def __setitem__(self, index: Any, values: Any) -> None:
        self._give_back()
        super().__setitem__(index, values)
        self._accessed += np.ndarray.__getitem__(self, index).nbytes

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        """Return the result of a computation as what it is: a plain array or number."""
        return array if array is self else np.asarray(array)[()]

    def _give_back(self) -> None:
        pages = getattr(self, "_mmap", None)  # None for a copy, which lies in memory
        if self._accessed >= LARGE and pages is not None and hasattr(mmap, "MADV_DONTNEED"):
            pages.madvise(mmap.MADV_DONTNEED)
            self._accessed = 0


def empty(shape: tuple[int, ...]) -> Maps:
    """Return an array float32 to be filled, a large one as a :class:`StoredArray` if there is room for its file."""
    size = 4 * int(np.prod(shape))
    if size < LARGE:
        return np.empty(shape, np.float32)
    try:
        with tempfile.TemporaryFile() as file:
            for start in range(0, size, LARGE):  # a full disk is an error here; in the mapping it would kill the process
                file.write(bytes(min(LARGE, size - start)))
            file.flush()
            return StoredArray(file, np.float32, "r+", shape=shape)
    except OSError:
        return np.empty(shape, np.float32)


class Spool:
    """A temporary file for arrays that are put away one by one."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._end = 0
        self._free: dict[int, list[int]] = {}  # places by size

    def put(self, array: Maps) -> int | None:
        """Write an array to the file and return its place there, or None if there is no room for it."""
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
        """Return the array that was put at ``place``; OSError if the file was cut short."""
        assert self._file is not None
        out = np.empty(shape, np.float32)
        self._file.seek(place)
        if self._file.readinto(out.data) != out.nbytes:  # type: ignore[attr-defined]
            raise OSError("a temporary file was cut short")
        return out

    def free(self, place: int, shape: tuple[int, ...]) -> None:
        """Let later arrays of this ``shape`` overwrite what was put at ``place``."""
        self._free.setdefault(4 * int(np.prod(shape)), []).append(place)

    def __del__(self) -> None:
        with suppress(Exception):
            if self._file is not None:
                self._file.close()
