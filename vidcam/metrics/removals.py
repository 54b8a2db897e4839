"""Remove cells of a map from a clip, and ask the model what is left of its answer; no removal is predicted twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from vidcam.interpolation import nearest, weight_matrix
from vidcam.methods.cell_geometry import CellGeometry
from vidcam.metrics.imputers import IMPUTERS, fade_out, make_remover, pixels_of
from vidcam.values import FloatArray, UInt8Array

__all__ = ["Removals", "Score", "SharedRemovals"]

Bools = npt.NDArray[np.bool_]

Score = Callable[[UInt8Array], FloatArray]
"""The probability of the explained class in clips ``(B,T,H,W,3)``: ``(B,)``, 0 to 1."""

AT_ONCE = 8
"""Clips that are made before they are predicted together, which bounds the memory."""


class Removals:
    """Gives the class's probability in one clip ``(T,H,W,3)`` while cells are removed; each removal is predicted once.

    Args:
        frames: The clip, uint8.
        where: Where the cells are.
        score: The probability of the explained class.
        imputer: What replaces removed pixels, a key of :data:`vidcam.metrics.imputers.IMPUTERS`.
    """

    def __init__(self, frames: UInt8Array, where: CellGeometry, score: Score, imputer: str) -> None:
        self.where = where
        self._frames, self._score, self._fill = frames, score, IMPUTERS[imputer](frames)
        self._remove = make_remover(frames, self._fill)
        self._known: dict[bytes, float] = {}

    def __call__(self, removed: Sequence[Bools]) -> FloatArray:
        """Return the probability without each of these sets of cells, ``(T',h,w)`` each."""
        keys = [np.packbits(cells).tobytes() for cells in removed]
        unknown = {key: cells for key, cells in zip(keys, removed, strict=True) if key not in self._known}
        for start in range(0, len(unknown), AT_ONCE):
            part = list(unknown.items())[start : start + AT_ONCE]
            clips = [self._remove(pixels_of(cells, self.where, self._frames.shape[:3])) for _, cells in part]
            self._known.update(zip((key for key, _ in part), map(float, self._score(np.stack(clips))), strict=True))
        return np.array([self._known[key] for key in keys], np.float64)

    def faded(self, heat: FloatArray) -> float:
        """Return the probability if each pixel stays to the share ``heat (T',h,w)``, from 0 to 1, of the cells around it."""
        key = b"faded" + np.ascontiguousarray(heat, np.float64).tobytes()
        if key not in self._known:
            times = nearest(self.where.time.positions(np.arange(len(self._frames))), self.where.time.count)
            keep = _enlarge(heat[times], self.where, self._frames.shape[1:3])
            self._known[key] = float(self._score(fade_out(self._frames, keep, self._fill)[None])[0])
        return self._known[key]


class SharedRemovals:
    """The removals from one clip ``(T,H,W,3)``: maps on the same cells share their predictions with each imputer."""

    def __init__(self, frames: UInt8Array, score: Score) -> None:
        self._frames, self._score = frames, score
        self._known: dict[tuple[CellGeometry, str], Removals] = {}

    def of(self, where: CellGeometry, imputer: str) -> Removals:
        """Return the removals of these cells with this imputer."""
        key = where, imputer
        if key not in self._known:
            self._known[key] = Removals(self._frames, where, self._score, imputer)
        return self._known[key]


def _enlarge(maps: FloatArray, where: CellGeometry, size: tuple[int, int]) -> FloatArray:
    """Return maps ``(T,h,w)`` interpolated to ``(T,H,W)`` from the cells' centres; beyond the outermost their values are held."""
    y, x = (weight_matrix(a.positions(np.arange(n)), a.count) for a, n in zip((where.y, where.x), size, strict=True))
    return np.asarray(np.einsum("yh,thw,xw->tyx", y, maps, x, optimize=True))
