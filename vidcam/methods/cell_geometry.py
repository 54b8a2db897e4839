"""Where and when each cell of an evidence map really is, and the map of one moment laid over the source picture.

The cells of a network's last layer are not spread over its input like the pixels of a shrunken picture: paddings, poolings and
strides decide where a cell is centred. On a 3-D ResNet with 16 frames, cell j is centred on frame 8j, not on 8j + 3.5. So the
centres are measured (:func:`measure`), kept as a linear law for each axis (:class:`CellGeometry`), and used when the map is drawn
(:func:`heat`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from vidcam.errors import IncompatibleError, UsageError
from vidcam.values import CropGeometry, FloatArray

__all__ = ["AxisGeometry", "CellGeometry", "covered", "hats", "join", "measure", "placements_for"]

Cells = tuple[int | None, int | None, int | None]
"""Cells ``(t, y, x)`` of a grid; None is every cell along that axis."""

Bools = npt.NDArray[np.bool_]

Influence = Callable[[Cells], FloatArray]
"""How much each input pixel moves these cells: ``(T, H, W)``, not negative."""


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
        """``(count,)`` float64: where the cells are."""
        return self.offset + self.stride * np.arange(self.count, dtype=np.float64)


@dataclass(frozen=True)
class CellGeometry:
    """Where a map's cells are in the model's input: ``time`` in sampled frames, ``y`` and ``x`` in pixel rows and columns."""

    time: AxisGeometry
    y: AxisGeometry
    x: AxisGeometry

    @property
    def grid(self) -> tuple[int, int, int]:
        return self.time.count, self.y.count, self.x.count

    def cell_times(self, window_times: FloatArray, seconds_between_frames: float) -> FloatArray:
        """``(T',)`` seconds, never decreasing: the cells' places among the window's frames, read off those frames' own times.

        Between two frames the time is linear; outside of them it goes on in steps of ``seconds_between_frames``.
        """
        times = np.asarray(window_times, dtype=np.float64)
        at, last = self.time.centres(), len(times) - 1
        inside = np.interp(at, np.arange(len(times)), times)
        out: FloatArray = inside + seconds_between_frames * (np.minimum(at, 0.0) + np.maximum(at - last, 0.0))
        return out

    def cell_centres(self, geometry: CropGeometry) -> tuple[FloatArray, FloatArray]:
        """``(ys (h,), xs (w,))``: the cells' centres in source pixels; the outermost may lie outside the crop or the picture."""
        return geometry.to_source(self.y.centres(), self.x.centres())


def covered(mask: Bools, where: CellGeometry) -> Bools:
    """The cells ``(T',h,w)`` whose centre is at most half a cell from some pixel of ``mask (T,H,W)``, along every axis."""

    def near(axis: AxisGeometry, length: int) -> FloatArray:
        close: FloatArray = (np.abs(axis.centres()[:, None] - np.arange(length)) <= axis.stride / 2).astype(np.float32)
        return close

    t, y, x = (near(axis, n) for axis, n in zip((where.time, where.y, where.x), mask.shape, strict=True))
    found: Bools = np.tensordot(t, y @ mask.astype(np.float32) @ x.T, 1) > 0
    return found


# --- measuring -----------------------------------------------------------------------------------------------------------------


def measure(influence: Influence, *, clip: tuple[int, int, int], grid: tuple[int, int, int]) -> CellGeometry:
    """The placement of a ``grid`` of cells over a ``clip`` (T, H, W), measured from the cells' influence.

    A plane of cells (all with one index on an axis) is centred where the *core* of its influence along that axis is: the part
    above three quarters of the maximum. That is where the cells look first of all; the mean over the whole profile would be
    dragged off by what the border cuts away, and in networks with global attention by the far field. Up to three planes are
    asked, far from the borders where there is room; the straight line through them holds for the other cells, because such
    networks are the same everywhere. A stride is taken as a power of two where that agrees with the planes' distance to a tenth
    of a cell (0.15 of a cell between neighbours near the borders).
    """
    time, y, x = (_law(influence, axis, clip, grid) for axis in range(3))
    return CellGeometry(time, y, x)


def _law(influence: Influence, axis: int, clip: tuple[int, int, int], grid: tuple[int, int, int]) -> AxisGeometry:
    length, count = clip[axis], grid[axis]
    ratio = length / count

    def core(j: int) -> tuple[float, float]:
        cells: list[int | None] = [None, None, None]
        cells[axis] = j
        pixels = np.asarray(influence((cells[0], cells[1], cells[2])), dtype=np.float64)
        if pixels.shape != clip or not np.isfinite(pixels).all() or not pixels.any():
            raise UsageError(
                f"an influence must be finite, somewhere not zero and of shape {clip}, got {pixels.shape} at {cells}"
            )
        return _core(pixels.sum(axis=tuple({0, 1, 2} - {axis})), ratio)

    middle = (count - 1) // 2
    centre, radius = core(middle)
    # Two radii away from a border, the border cuts off next to nothing. Without room for that, neighbours tell the stride
    # roughly, and the offset is the middle plane's alone.
    room = max(0, int((min(centre, length - 1 - centre) - 2 * radius) / ratio))
    low, high = max(0, middle - max(count % 2, room)), min(count - 1, middle + max(1, room))
    found = {j: centre if j == middle else core(j)[0] for j in sorted({low, middle, high})}
    cells, centres = np.array(list(found), dtype=np.float64), np.array(list(found.values()))
    stride = ratio
    if high > low and (slope := float(np.polyfit(cells, centres, 1)[0])) > 0.2 * ratio:
        stride = slope  # otherwise all cells see the same, the whole clip, and only their number tells the stride
    power = 2.0 ** round(math.log2(stride))
    if abs(stride - power) <= (0.1 / (high - low) if room else 0.15) * power:
        stride = power
    offset = float(np.mean(centres - stride * cells)) if room else centre - stride * middle
    return AxisGeometry(offset, stride, count)


def _core(profile: FloatArray, width: float) -> tuple[float, float]:
    """Centre and radius of what exceeds three quarters of a profile's maximum, after a moving mean of one cell's ``width``.

    The moving mean closes the comb that strided 1x1 shortcuts leave (one pixel of 16 passes); it is symmetric, so it moves
    nothing.
    """
    k = max(1, round(width))
    window = np.ones(k) if k % 2 else np.r_[0.5, np.ones(k - 1), 0.5]
    smooth = np.convolve(profile, window / k)
    excess = np.maximum(smooth - 0.75 * smooth.max(), 0.0)
    inside = np.flatnonzero(excess)
    centre = float((excess * np.arange(len(smooth))).sum() / excess.sum()) - (len(window) - 1) / 2
    return centre, float(inside[-1] - inside[0]) / 2


# --- shipped measurements ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _shipped() -> dict[str, dict[str, object]]:
    text = (files("vidcam") / "models" / "placements.json").read_text(encoding="utf-8")
    table: dict[str, dict[str, object]] = json.loads(text)
    return table


def placements_for(name: str, layer: str, *, clip: tuple[int, int, int]) -> tuple[CellGeometry, ...] | None:
    """The placements that ship with vidcam, one for each pathway; None where this model, layer or clip was not measured."""
    row = _shipped().get(name)
    if row is None or row["layer"] != layer or tuple(row["clip"]) != clip:  # type: ignore[arg-type]
        return None
    return from_json(row["pathways"])


def to_json(placements: Sequence[CellGeometry]) -> list[dict[str, list[float]]]:
    """Plain JSON values: for each pathway and axis ``[offset, stride, count]``, to a thousandth of a frame or pixel."""
    return [
        {name: [round(axis.offset, 3), round(axis.stride, 3), axis.count] for name, axis in vars(p).items()} for p in placements
    ]


def from_json(rows: object) -> tuple[CellGeometry, ...]:
    """The inverse of :func:`to_json`."""
    if not isinstance(rows, list) or not rows:
        raise UsageError(f"placements must be a list of pathways, got {rows!r}")
    return tuple(
        CellGeometry(*(AxisGeometry(float(o), float(s), int(n)) for o, s, n in (row["time"], row["y"], row["x"]))) for row in rows
    )


# --- pathways ------------------------------------------------------------------------------------------------------------------


def join(maps: Sequence[FloatArray], placements: Sequence[CellGeometry]) -> tuple[FloatArray, CellGeometry]:
    """The pathways' maps added up on the finest time grid, ``(..., T', h, w)`` as their float type, and that grid's placement.

    Each cell of a slower pathway is shared out among the fine cells around it, by the weights of linear interpolation made to
    add up to 1: the sum of the evidence stays what it was. Pathways that look at different places are refused.
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
    """``(fast.count, slow.count)``: how each slow cell is shared out among the fast cells; every column sums to 1."""
    weights = hats(slow.centres(), fast.centres())
    nearest = np.abs(fast.centres()[:, None] - slow.centres()[None, :]).argmin(axis=0)
    empty = weights.sum(axis=0) == 0  # a slow cell with no fast cell within its reach goes to the nearest
    weights[nearest[empty], np.flatnonzero(empty)] = 1.0
    out: FloatArray = weights / weights.sum(axis=0)
    return out


def hats(centres: FloatArray, at: FloatArray) -> FloatArray:
    """``(len(at), len(centres))``: the weights of linear interpolation between ``centres``, held beyond the outermost."""
    eye = np.eye(len(centres))
    return np.stack([np.interp(at, centres, row) for row in eye], axis=1)


# --- the map of one moment over the picture -----------------------------------------------------------------------------------
