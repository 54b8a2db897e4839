"""The heat over one frame: the evidence of a moment, brought from the cells of the network to the pixels of the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.values import Box, FloatArray, Heat, Track

__all__ = ["render_heat", "unseen_fraction"]


def render_heat(
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


_Patch = tuple[slice, _Taps, slice, _Taps]
