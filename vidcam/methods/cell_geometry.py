"""Where and when each cell of an evidence map is, and the sum of the maps of several pathways.

The cells of a network's last layer are not spread over its input like the pixels of a shrunken picture: paddings, poolings and
strides decide where a cell is centred. On a 3-D ResNet with 16 frames, cell j is centred on frame 8j, not on 8j + 3.5. So the
centres are measured (:mod:`vidcam.methods.receptive_field`) and stored as a linear law for each axis (:class:`CellGeometry`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vidcam.errors import IncompatibleError, UsageError
from vidcam.interpolation import weight_matrix
from vidcam.values import CropGeometry, FloatArray

__all__ = ["AxisGeometry", "CellGeometry", "covered", "from_json", "join", "to_json"]

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class AxisGeometry:
    """A linear law along one axis: cell ``j`` of ``count`` is centred at ``offset + stride * j``."""

    offset: float
    stride: float
    count: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.offset) and math.isfinite(self.stride) and self.stride > 0 and self.count >= 1):
            raise UsageError(f"an axis needs a finite offset, a positive stride and at least one cell, got {self}")

    def centres(self) -> FloatArray:
        """Return the centres of the cells, ``(count,)`` float64."""
        return self.offset + self.stride * np.arange(self.count, dtype=np.float64)

    def positions(self, at: npt.ArrayLike) -> FloatArray:
        """Return the fractional cell indices of the places ``at``; a grid of another size follows the same law."""
        return (np.asarray(at) - self.offset) / self.stride


@dataclass(frozen=True)
class CellGeometry:
    """Where a map's cells are in the model's input: ``time`` in sampled frames, ``y`` and ``x`` in pixel rows and columns."""

    time: AxisGeometry
    y: AxisGeometry
    x: AxisGeometry

    @property
    def grid(self) -> tuple[int, int, int]:
        """The numbers of cells along time, rows and columns."""
        return self.time.count, self.y.count, self.x.count

    def cell_times(self, clip_times: FloatArray, seconds_between_frames: float) -> FloatArray:
        """Return the seconds of the cells, ``(T',)``, never decreasing, read off the times of the clip's own frames.

        Time is linear between two frames; before the first and after the last it goes on in steps of
        ``seconds_between_frames``.
        """
        times = np.asarray(clip_times, dtype=np.float64)
        at, last = self.time.centres(), len(times) - 1
        inside = np.interp(at, np.arange(len(times)), times)
        out: FloatArray = inside + seconds_between_frames * (np.minimum(at, 0.0) + np.maximum(at - last, 0.0))
        return out

    def cell_centres(self, geometry: CropGeometry) -> tuple[FloatArray, FloatArray]:
        """Return ``(ys (h,), xs (w,))``, the centres in source pixels; the outermost may lie outside the crop or the picture."""
        return geometry.to_source(self.y.centres(), self.x.centres())


def covered(mask: Bools, where: CellGeometry) -> Bools:
    """Return the cells ``(T',h,w)`` whose centre is at most half a cell from a pixel of ``mask (T,H,W)`` along every axis."""

    def near(axis: AxisGeometry, length: int) -> FloatArray:
        close: FloatArray = (np.abs(axis.centres()[:, None] - np.arange(length)) <= axis.stride / 2).astype(np.float32)
        return close

    t, y, x = (near(axis, n) for axis, n in zip((where.time, where.y, where.x), mask.shape, strict=True))
    cells: Bools = np.tensordot(t, y @ mask.astype(np.float32) @ x.T, 1) > 0
    return cells


def to_json(placements: Sequence[CellGeometry]) -> list[dict[str, list[float]]]:
    """Return plain JSON values: for each pathway and axis ``[offset, stride, count]``, to a thousandth of a frame or pixel."""
    return [
        {name: [round(axis.offset, 3), round(axis.stride, 3), axis.count] for name, axis in vars(p).items()} for p in placements
    ]


def from_json(rows: object) -> tuple[CellGeometry, ...]:
    """Return the geometries that :func:`to_json` wrote. Raises UsageError, KeyError or TypeError for other values."""
    if not isinstance(rows, list) or not rows:
        raise UsageError(f"placements must be a list of pathways, got {rows!r}")
    return tuple(
        CellGeometry(*(AxisGeometry(float(o), float(s), int(n)) for o, s, n in (row["time"], row["y"], row["x"]))) for row in rows
    )


def join(maps: Sequence[FloatArray], placements: Sequence[CellGeometry]) -> tuple[FloatArray, CellGeometry]:
    """Add the pathways' maps ``(..., T', h, w)`` up on the finest time grid; return the sum and that grid's geometry.

    Each cell of a slower pathway is shared out among the fine cells around it by the weights of linear interpolation, scaled to
    add up to 1: the sum of the evidence does not change. Raises IncompatibleError for pathways whose cells are at different
    places, UsageError for maps that do not fit their geometries.
    """
    if len(maps) != len(placements) or not maps:
        raise UsageError(
            f"join needs one placement for each map and at least one, got {len(maps)} maps and {len(placements)} placements"
        )
    for m, p in zip(maps, placements, strict=True):
        if m.shape[-3:] != p.grid:
            raise UsageError(f"a map of shape {m.shape} does not fit a placement of {p.grid} cells (time, rows, columns)")
    finest = max(placements, key=lambda p: p.time.count)
    for p in placements:
        for a, b in ((p.y, finest.y), (p.x, finest.x)):
            if a.count != b.count or float(np.abs(a.centres() - b.centres()).max()) > 0.5 * b.stride:
                raise IncompatibleError(f"pathways on different spatial grids cannot be joined: {a} and {b}; explain one of them")
    total: FloatArray | None = None
    for m, p in zip(maps, placements, strict=True):
        shared = m if p == finest else np.einsum("fj,...jhw->...fhw", _shares(p.time, finest.time), m).astype(m.dtype)
        total = shared if total is None else total + shared
    assert total is not None
    return total, finest


def _shares(slow: AxisGeometry, fast: AxisGeometry) -> FloatArray:
    """Return how each slow cell is shared out among the fast ones, ``(fast.count, slow.count)``; every column sums to 1."""
    shares = weight_matrix(slow.positions(fast.centres()), slow.count)
    nearest = np.abs(fast.centres()[:, None] - slow.centres()[None, :]).argmin(axis=0)
    empty = shares.sum(axis=0) < 1e-9  # a slow cell with no fast cell within its reach goes to the nearest
    shares[nearest[empty], np.flatnonzero(empty)] = 1.0
    out: FloatArray = shares / shares.sum(axis=0)
    return out
