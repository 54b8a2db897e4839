"""The shapes of an outline at one moment: boxes, polygons and run lengths, each of which gives a mask of the picture.

All coordinates are in pixels of the upright picture and count pixel *edges*: the whole picture is ``x`` from 0 to its width and
``y`` from 0 to its height. A pixel belongs to a shape if its centre does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError

__all__ = ["ABSENT", "Absent", "Bools", "BoxShape", "Polygons", "Runs", "Shape", "between", "encode_runs"]

Bools = npt.NDArray[np.bool_]
Size = tuple[int, int]


@dataclass(frozen=True)
class Absent:
    """The actor is not in the picture, or does not act."""

    def mask(self, size: Size) -> Bools:
        """Return a mask ``(H, W)`` without any pixel."""
        return np.zeros(size, np.bool_)


ABSENT = Absent()


@dataclass(frozen=True)
class BoxShape:
    """A rectangle: its left and top edges, width and height."""

    x: float
    y: float
    width: float
    height: float

    def mask(self, size: Size) -> Bools:
        """Return the pixels ``(H, W)`` whose centre is inside."""
        rows, columns = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5
        y = (rows >= self.y) & (rows < self.y + self.height)
        x = (columns >= self.x) & (columns < self.x + self.width)
        return np.asarray(y[:, None] & x[None, :], np.bool_)


@dataclass(frozen=True)
class Polygons:
    """One or more polygons of at least three corners ``(x, y)``; their union is the shape."""

    rings: tuple[tuple[tuple[float, float], ...], ...]

    def mask(self, size: Size) -> Bools:
        """Return the pixels ``(H, W)`` whose centre is inside a polygon, by the even-odd rule."""
        out = np.zeros(size, np.bool_)
        for ring in self.rings:
            out |= _inside(ring, size)
        return out


@dataclass(frozen=True)
class Runs:
    """A mask as the lengths of its runs, column after column, first outside, then inside (COCO's uncompressed RLE)."""

    size: Size
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if sum(self.counts) != self.size[0] * self.size[1] or min(self.counts, default=0) < 0:
            raise UsageError(
                f"the counts must be lengths that sum to the {self.size[0] * self.size[1]} pixels of the picture, got "
                f"{len(self.counts)} that sum to {sum(self.counts)}"
            )

    def mask(self, size: Size) -> Bools:
        """Return the pixels ``(H, W)``. Raises UsageError for another size than the mask's own."""
        if size != self.size:
            raise UsageError(f"the mask is for a picture of {self.size} (height, width), the picture is {size}")
        inside = np.arange(len(self.counts)) % 2 == 1
        flat: Bools = np.repeat(inside, self.counts)
        return flat.reshape(size[::-1]).T


Shape = Absent | BoxShape | Polygons | Runs


def encode_runs(mask: Bools) -> Runs:
    """Return a mask ``(H, W)`` as run lengths."""
    flat = np.concatenate([[False], mask.T.ravel()])
    starts = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate([[0], starts, [mask.size]]))
    return Runs((mask.shape[0], mask.shape[1]), tuple(counts.tolist()))


def between(before: Shape, after: Shape, share: float) -> Shape:
    """Return the shape ``share`` (0 to 1) of the way from ``before`` to ``after``: corners move on straight lines.

    Raises UsageError unless both are boxes, or polygons with equal numbers of corners.
    """
    if isinstance(before, BoxShape) and isinstance(after, BoxShape):
        return BoxShape(*(float(v) for v in _mix(list(vars(before).values()), list(vars(after).values()), share)))
    if isinstance(before, Polygons) and isinstance(after, Polygons) and _corners(before) == _corners(after):
        rings = [_mix(a, b, share) for a, b in zip(before.rings, after.rings, strict=True)]
        return Polygons(tuple(tuple((float(x), float(y)) for x, y in ring) for ring in rings))
    raise UsageError("only two boxes, or polygons with equal numbers of corners, can be interpolated")


def _corners(polygons: Polygons) -> list[int]:
    return [len(ring) for ring in polygons.rings]


def _mix(before: Sequence[object], after: Sequence[object], share: float) -> npt.NDArray[np.float64]:
    return np.asarray((1 - share) * np.asarray(before, np.float64) + share * np.asarray(after, np.float64))


def _inside(ring: Sequence[tuple[float, float]], size: Size) -> Bools:
    """Return the pixels from which a ray to the right crosses the ring an odd number of times."""
    rows, columns = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5
    out = np.zeros(size, np.bool_)
    for (x0, y0), (x1, y1) in zip(ring, [*ring[1:], ring[0]], strict=True):
        crossed = (rows >= y0) != (rows >= y1)
        if crossed.any():
            at = x0 + (rows[crossed] - y0) * (x1 - x0) / (y1 - y0)
            out[crossed] ^= columns[None, :] < at[:, None]
    return out
