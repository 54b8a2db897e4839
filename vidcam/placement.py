"""Where and when each cell of an evidence map really is, and the map of one moment laid over the source picture.

The cells of a network's last layer are not spread over its input like the pixels of a shrunken picture: paddings, poolings and
strides decide where a cell is centred. On a 3-D ResNet with 16 frames, cell j is centred on frame 8j, not on 8j + 3.5. So the
centres are measured (:func:`measure`), kept as a linear law for each axis (:class:`Placement`), and used when the map is drawn
(:func:`heat`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidcam.errors import IncompatibleError, UsageError
from vidcam.types import Box, FloatArray, Geometry, Heat, Track

__all__ = ["Axis", "Placement", "covered", "hats", "heat", "join", "measure", "placements_for", "unseen_fraction"]

Cells = tuple[int | None, int | None, int | None]
"""Cells ``(t, y, x)`` of a grid; None is every cell along that axis."""

Bools = npt.NDArray[np.bool_]

Influence = Callable[[Cells], FloatArray]
"""How much each input pixel moves these cells: ``(T, H, W)``, not negative."""


@dataclass(frozen=True)
class Axis:
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
class Placement:
    """Where a map's cells are in the model's input: ``time`` in sampled frames, ``y`` and ``x`` in pixel rows and columns."""

    time: Axis
    y: Axis
    x: Axis

    @property
    def grid(self) -> tuple[int, int, int]:
        return self.time.count, self.y.count, self.x.count

    def cell_times(self, window_times: FloatArray, interval_s: float) -> FloatArray:
        """``(T',)`` seconds, never decreasing: the cells' places among the window's frames, read off those frames' own times.

        Between two frames the time is linear; before the first and after the last it goes on in steps of ``interval_s``.
        """
        times = np.asarray(window_times, dtype=np.float64)
        at, last = self.time.centres(), len(times) - 1
        inside = np.interp(at, np.arange(len(times)), times)
        out: FloatArray = inside + interval_s * (np.minimum(at, 0.0) + np.maximum(at - last, 0.0))
        return out

    def cell_centres(self, geometry: Geometry) -> tuple[FloatArray, FloatArray]:
        """``(ys (h,), xs (w,))``: the cells' centres in source pixels; the outermost may lie outside the crop or the picture."""
        return geometry.to_source(self.y.centres(), self.x.centres())


def covered(mask: Bools, where: Placement) -> Bools:
    """The cells ``(T',h,w)`` whose centre is at most half a cell from some pixel of ``mask (T,H,W)``, along every axis."""

    def near(axis: Axis, length: int) -> FloatArray:
        close: FloatArray = (np.abs(axis.centres()[:, None] - np.arange(length)) <= axis.stride / 2).astype(np.float32)
        return close

    t, y, x = (near(axis, n) for axis, n in zip((where.time, where.y, where.x), mask.shape, strict=True))
    found: Bools = np.tensordot(t, y @ mask.astype(np.float32) @ x.T, 1) > 0
    return found


# --- measuring -----------------------------------------------------------------------------------------------------------------


def measure(influence: Influence, *, clip: tuple[int, int, int], grid: tuple[int, int, int]) -> Placement:
    """The placement of a ``grid`` of cells over a ``clip`` (T, H, W), measured from the cells' influence.

    A plane of cells (all with one index on an axis) is centred where the *core* of its influence along that axis is: the part
    above three quarters of the maximum. That is where the cells look first of all; the mean over the whole profile would be
    dragged off by what the border cuts away, and in networks with global attention by the far field. Up to three planes are
    asked, far from the borders where there is room; the straight line through them holds for the other cells, because such
    networks are the same everywhere. A stride is taken as a power of two where that agrees with the planes' distance to a tenth
    of a cell (0.15 of a cell between neighbours near the borders).
    """
    time, y, x = (_law(influence, axis, clip, grid) for axis in range(3))
    return Placement(time, y, x)


def _law(influence: Influence, axis: int, clip: tuple[int, int, int], grid: tuple[int, int, int]) -> Axis:
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
    return Axis(offset, stride, count)


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


def placements_for(name: str, layer: str, *, clip: tuple[int, int, int]) -> tuple[Placement, ...] | None:
    """The placements that ship with vidcam, one for each pathway; None where this model, layer or clip was not measured."""
    row = _shipped().get(name)
    if row is None or row["layer"] != layer or tuple(row["clip"]) != clip:  # type: ignore[arg-type]
        return None
    return from_json(row["pathways"])


def to_json(placements: Sequence[Placement]) -> list[dict[str, list[float]]]:
    """Plain JSON values: for each pathway and axis ``[offset, stride, count]``, to a thousandth of a frame or pixel."""
    return [
        {name: [round(axis.offset, 3), round(axis.stride, 3), axis.count] for name, axis in vars(p).items()} for p in placements
    ]


def from_json(rows: object) -> tuple[Placement, ...]:
    """The inverse of :func:`to_json`."""
    if not isinstance(rows, list) or not rows:
        raise UsageError(f"placements must be a list of pathways, got {rows!r}")
    return tuple(Placement(*(Axis(float(o), float(s), int(n)) for o, s, n in (row["time"], row["y"], row["x"]))) for row in rows)


# --- pathways ------------------------------------------------------------------------------------------------------------------


def join(maps: Sequence[FloatArray], placements: Sequence[Placement]) -> tuple[FloatArray, Placement]:
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


def _shares(slow: Axis, fast: Axis) -> FloatArray:
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


def heat(
    tracks: Sequence[Track], *, time: float, scale: float, size: tuple[int, int], against: bool = False, coarse: bool = False
) -> Heat | None:
    """One label's evidence at ``time`` over a picture of ``size`` (H, W); None where no window looked at that time.

    ``tracks`` are the label's crops. The signed map divided by ``scale`` is interpolated once, bilinearly, from the cells'
    centres to the pixels of the crop's ``seen`` rectangle; beyond the outermost centres their value is held, outside the
    rectangle there is nothing. Its positive part, cut at 1, is ``values``; its negative part ``against``. Where crops overlap
    they fade into one another linearly. Where ``coarse``, the map of a single crop is interpolated at the centres of
    blocks of pixels only, an eighth of a cell wide and at most 4 pixels, and is held for a cell outside of the rectangle.
    """
    if not tracks:
        raise UsageError("heat needs at least one track")
    if not (math.isfinite(scale) and scale > 0):
        raise UsageError(f"the scale must be positive and finite, got {scale}")
    if len({t.label for t in tracks}) > 1:
        raise UsageError(f"heat takes the crops of one label, got {sorted({t.label for t in tracks})}")
    looking = [(t, m) for t in tracks if (m := t.at(time)) is not None]
    if not looking:
        return None
    step = _step(looking[0][0]) if coarse and len(looking) == 1 else 1
    if step > 1:
        field = _coarse(looking[0][0], looking[0][1] / scale, (-(-size[0] // step), -(-size[1] // step)), size)
    else:
        field = _fine([t for t, _ in looking], [(m / scale).astype(np.float32) for _, m in looking], size)
    negative = np.clip(-field, 0.0, 1.0) if against else None
    values = np.clip(field, 0.0, 1.0, out=field)
    return Heat(values, negative, scale, tuple(t.seen for t, _ in looking), looking[0][0].label, size)


def _step(track: Track) -> int:
    pitch = min(float(np.diff(centres).min(initial=np.inf)) for centres in (track.ys, track.xs))
    return int(min(max(pitch / 8, 1), 4))


def _fine(tracks: Sequence[Track], maps: Sequence[FloatArray], size: tuple[int, int]) -> FloatArray:
    """The maps ``(h, w)`` of several crops over a picture of ``size``; 0 where none looks."""
    patches, norm = _spread(tuple((tuple(t.ys.tolist()), tuple(t.xs.tolist()), t.seen) for t in tracks), size)
    field = np.zeros(size, np.float32)
    for (rows, down, columns, across), m in zip(patches, maps, strict=True):
        part = field[rows, columns]
        spread = _spread_out(m, down, across)
        if norm is None:
            part[:] = spread
        else:
            part += spread
    if norm is not None:
        field *= norm
    return field


def _coarse(track: Track, m: FloatArray, grid: tuple[int, int], size: tuple[int, int]) -> FloatArray:
    """The map ``(h, w)`` of one crop at the centres of a ``grid`` over a picture of ``size``; 0 beyond a cell outside of it."""
    rows, down, columns, across = _lattice(tuple(track.ys.tolist()), tuple(track.xs.tolist()), track.seen, grid, size)
    field = np.zeros(grid, np.float32)
    field[rows, columns] = _spread_out(m.astype(np.float32), down, across)
    return field


@lru_cache(maxsize=16)
def _lattice(ys: tuple[float, ...], xs: tuple[float, ...], seen: Box, grid: tuple[int, int], size: tuple[int, int]) -> _Patch:
    def near(centres: tuple[float, ...], low: float, high: float, count: int, length: int) -> tuple[slice, _Taps]:
        cell, at = (high - low) / len(centres), (np.arange(count) + 0.5) * length / count
        inside = np.flatnonzero((at > low - cell) & (at < high + cell))
        blocks = slice(int(inside[0]), int(inside[-1]) + 1)
        return blocks, _taps(centres, at[blocks] - 0.5)

    return *near(ys, seen.y0, seen.y1, grid[0], size[0]), *near(xs, seen.x0, seen.x1, grid[1], size[1])


class _Taps(NamedTuple):
    """Linear interpolation at n places: the two cells that each lies between, ``(n,)``, and their weights ``(n,) float32``."""

    low: npt.NDArray[np.intp]
    high: npt.NDArray[np.intp]
    of_low: FloatArray
    of_high: FloatArray


def _taps(centres: Sequence[float], at: FloatArray, fade: FloatArray | float = 1.0) -> _Taps:
    """Interpolation between ``centres``, held beyond the outermost, at the places ``at``, times ``fade``."""
    position = np.interp(at, centres, np.arange(len(centres)))
    low = np.clip(position.astype(np.intp), 0, max(len(centres) - 2, 0))
    share = position - low
    weights = ((w * fade).astype(np.float32) for w in (1 - share, share))
    return _Taps(low, np.minimum(low + 1, len(centres) - 1), *weights)


def _spread_out(m: FloatArray, down: _Taps, across: _Taps) -> FloatArray:
    """The map ``(h, w)`` interpolated: ``(H, W)``.

    Not as products with matrices, though they would be no slower: the threads of the libraries that multiply go on spinning for
    a while after each product, in the way of the decoder and the encoder.
    """
    wide = m.take(across.low, axis=1) * across.of_low
    wide += m.take(across.high, axis=1) * across.of_high
    out: FloatArray = wide.take(down.low, axis=0)
    out *= down.of_low[:, None]
    high = wide.take(down.high, axis=0)
    high *= down.of_high[:, None]
    out += high
    return out


_Patch = tuple[slice, _Taps, slice, _Taps]


@lru_cache(maxsize=16)
def _spread(
    lattice: tuple[tuple[tuple[float, ...], tuple[float, ...], Box], ...], size: tuple[int, int]
) -> tuple[tuple[_Patch, ...], FloatArray | None]:
    """For each crop the pixels it covers and how its map is interpolated there; then what to multiply overlapping crops by.

    Bilinear interpolation is separable. The weights that fade a crop out towards the edges it shares with others are separable
    too and are multiplied into it. (``cv2.warpAffine`` and ``remap`` round places to 1/32 of a cell, which shows as steps.)
    """
    boxes = [seen for _, _, seen in lattice]
    outer = Box(min(b.y0 for b in boxes), min(b.x0 for b in boxes), max(b.y1 for b in boxes), max(b.x1 for b in boxes))
    patches: list[_Patch] = []
    weight = np.zeros(size, np.float64)
    for ys, xs, b in lattice:
        rows, fade_y = _fade((b.y0, b.y1), (outer.y0, outer.y1), size[0])
        columns, fade_x = _fade((b.x0, b.x1), (outer.x0, outer.x1), size[1])
        down = _taps(ys, np.arange(rows.start, rows.stop), fade_y)
        across = _taps(xs, np.arange(columns.start, columns.stop), fade_x)
        patches.append((rows, down, columns, across))
        weight[rows, columns] += np.outer(fade_y, fade_x)
    if len(patches) == 1:
        return tuple(patches), None
    return tuple(patches), np.divide(1.0, weight, out=np.zeros_like(weight), where=weight > 0).astype(np.float32)


def _fade(span: tuple[float, float], outer: tuple[float, float], length: int) -> tuple[slice, FloatArray]:
    """The pixels whose centres lie in ``span`` (pixel edges), and weights for them that fall linearly to 0 at inner edges."""
    low, high = span
    first, stop = max(0, math.ceil(low - 0.5)), min(length, math.ceil(high - 0.5))
    at = np.arange(first, max(first, stop)) + 0.5
    left = at - low if low > outer[0] + 1e-6 else np.full(len(at), np.inf)
    right = high - at if high < outer[1] - 1e-6 else np.full(len(at), np.inf)
    fade = np.minimum(np.minimum(left, right) / (high - low), 1.0)
    return slice(first, max(first, stop)), np.maximum(fade, 1e-6)


def unseen_fraction(boxes: Sequence[Box], size: tuple[int, int], seen_time_fraction: float = 1.0) -> float:
    """The share of picture area times time, in [0, 1], that no window looked at.

    ``boxes`` are what the crops see of a picture of ``size`` (H, W); ``seen_time_fraction`` is the share of the time that
    windows cover.
    """
    if not 0.0 <= seen_time_fraction <= 1.0:
        raise UsageError(f"seen_time_fraction must lie in [0, 1], got {seen_time_fraction}")
    height, width = size
    ys = np.unique(np.clip([v for b in boxes for v in (b.y0, b.y1)], 0, height))
    xs = np.unique(np.clip([v for b in boxes for v in (b.x0, b.x1)], 0, width))
    if not boxes or len(ys) < 2 or len(xs) < 2:
        return 1.0
    my, mx = (ys[1:] + ys[:-1]) / 2, (xs[1:] + xs[:-1]) / 2
    covered = np.zeros((len(my), len(mx)), bool)
    for b in boxes:
        covered |= ((my > b.y0) & (my < b.y1))[:, None] & ((mx > b.x0) & (mx < b.x1))[None, :]
    area = float((np.diff(ys)[:, None] * np.diff(xs)[None, :])[covered].sum())
    return float(min(1.0, max(0.0, 1.0 - area / (height * width) * seen_time_fraction)))
