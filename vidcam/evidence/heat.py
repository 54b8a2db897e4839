"""Render the heat over one frame: the evidence of a moment, brought from the network's cells to the pixels of the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from vidcam.errors import UsageError
from vidcam.interpolation import Taps, interpolate, positions, taps
from vidcam.values import Box, FloatArray, Heat, Track

__all__ = ["render_heat", "unseen_fraction"]

_Patch = tuple[slice, Taps, slice, Taps]
"""The rows and columns of a picture that a crop covers, each with how its map is interpolated there."""


def render_heat(
    tracks: Sequence[Track], *, time: float, scale: float, size: tuple[int, int], against: bool = False, coarse: bool = False
) -> Heat | None:
    """Return one label's evidence at ``time`` over a picture, or None if no clip covers that time.

    The signed map divided by ``scale`` is interpolated once, bilinearly, from the cells' centres to the pixels of the crop's
    ``seen`` rectangle; beyond the outermost centres their value is held, outside the rectangle there is nothing. Where crops
    overlap they fade into one another linearly.

    Args:
        tracks: The label's crops.
        time: Seconds on the source's clock.
        scale: The raw evidence that is drawn as 1.0.
        size: (H, W) of the picture.
        against: Return the negative part too.
        coarse: If there is a single crop, interpolate only at the centres of blocks of pixels, an eighth of a cell wide and at
            most 4 pixels, and hold the map for one cell outside of the rectangle.

    Returns:
        The positive part of the map, cut at 1, as ``values``, and its negative part as ``against``.

    Raises:
        UsageError: There are no tracks, they are of several labels, or the scale is not positive.
    """
    if not tracks:
        raise UsageError("heat needs at least one track")
    if not (math.isfinite(scale) and scale > 0):
        raise UsageError(f"the scale must be positive and finite, got {scale}")
    if len({t.label for t in tracks}) > 1:
        raise UsageError(f"heat takes the crops of one label, got {sorted({t.label for t in tracks})}")
    present = [(t, m) for t in tracks if (m := t.at(time)) is not None]
    if not present:
        return None
    step = _block_size(present[0][0]) if coarse and len(present) == 1 else 1
    if step > 1:
        field = _coarse_field(present[0][0], present[0][1] / scale, (-(-size[0] // step), -(-size[1] // step)), size)
    else:
        field = _fine_field([t for t, _ in present], [(m / scale).astype(np.float32) for _, m in present], size)
    negative = np.clip(-field, 0.0, 1.0) if against else None
    values = np.clip(field, 0.0, 1.0, out=field)
    return Heat(values, negative, scale, tuple(t.seen for t, _ in present), present[0][0].label, size)


def _block_size(track: Track) -> int:
    pitch = min(float(np.diff(centres).min(initial=np.inf)) for centres in (track.ys, track.xs))
    return int(min(max(pitch / 8, 1), 4))


def _fine_field(tracks: Sequence[Track], maps: Sequence[FloatArray], size: tuple[int, int]) -> FloatArray:
    """Return the maps ``(h, w)`` of several crops over a picture of ``size``; 0 where there is none."""
    patches, norm = _patches(tuple((tuple(t.ys.tolist()), tuple(t.xs.tolist()), t.seen) for t in tracks), size)
    field = np.zeros(size, np.float32)
    for (rows, down, columns, across), m in zip(patches, maps, strict=True):
        part = field[rows, columns]
        pixels = interpolate(interpolate(m, across, axis=1), down, axis=0)
        if norm is None:
            part[:] = pixels
        else:
            part += pixels
    if norm is not None:
        field *= norm
    return field


def _coarse_field(track: Track, m: FloatArray, grid: tuple[int, int], size: tuple[int, int]) -> FloatArray:
    """Return one crop's map ``(h, w)`` at the centres of a ``grid`` over a picture; 0 further than a cell from the crop."""
    rows, down, columns, across = _coarse_patch(tuple(track.ys.tolist()), tuple(track.xs.tolist()), track.seen, grid, size)
    field = np.zeros(grid, np.float32)
    field[rows, columns] = interpolate(interpolate(m.astype(np.float32), across, axis=1), down, axis=0)
    return field


@lru_cache(maxsize=16)
def _coarse_patch(
    ys: tuple[float, ...], xs: tuple[float, ...], seen: Box, grid: tuple[int, int], size: tuple[int, int]
) -> _Patch:
    def near(centres: tuple[float, ...], low: float, high: float, count: int, length: int) -> tuple[slice, Taps]:
        cell, at = (high - low) / len(centres), (np.arange(count) + 0.5) * length / count
        inside = np.flatnonzero((at > low - cell) & (at < high + cell))
        blocks = slice(int(inside[0]), int(inside[-1]) + 1)
        return blocks, taps(positions(centres, at[blocks] - 0.5), len(centres), dtype=np.float32)

    return *near(ys, seen.y0, seen.y1, grid[0], size[0]), *near(xs, seen.x0, seen.x1, grid[1], size[1])


@lru_cache(maxsize=16)
def _patches(
    crops: tuple[tuple[tuple[float, ...], tuple[float, ...], Box], ...], size: tuple[int, int]
) -> tuple[tuple[_Patch, ...], FloatArray | None]:
    """Return the patch of each crop (ys, xs, seen), and the factor ``(H, W)`` for overlapping crops, None for a single one.

    Bilinear interpolation is separable. The weights that fade a crop out towards the edges it shares with others are separable
    too and are multiplied into it. (``cv2.warpAffine`` and ``remap`` round places to 1/32 of a cell, which shows as steps.)
    """
    boxes = [seen for _, _, seen in crops]
    outer = Box(min(b.y0 for b in boxes), min(b.x0 for b in boxes), max(b.y1 for b in boxes), max(b.x1 for b in boxes))
    patches: list[_Patch] = []
    weight = np.zeros(size, np.float64)
    for ys, xs, b in crops:
        rows, fade_y = _fade((b.y0, b.y1), (outer.y0, outer.y1), size[0])
        columns, fade_x = _fade((b.x0, b.x1), (outer.x0, outer.x1), size[1])
        down = taps(positions(ys, np.arange(rows.start, rows.stop)), len(ys), gain=fade_y, dtype=np.float32)
        across = taps(positions(xs, np.arange(columns.start, columns.stop)), len(xs), gain=fade_x, dtype=np.float32)
        patches.append((rows, down, columns, across))
        weight[rows, columns] += np.outer(fade_y, fade_x)
    if len(patches) == 1:
        return tuple(patches), None
    return tuple(patches), np.divide(1.0, weight, out=np.zeros_like(weight), where=weight > 0).astype(np.float32)


def _fade(span: tuple[float, float], outer: tuple[float, float], length: int) -> tuple[slice, FloatArray]:
    """Return the pixels whose centres lie in ``span`` (pixel edges), and weights that fall linearly to 0 at inner edges."""
    low, high = span
    first, stop = max(0, math.ceil(low - 0.5)), min(length, math.ceil(high - 0.5))
    at = np.arange(first, max(first, stop)) + 0.5
    left = at - low if low > outer[0] + 1e-6 else np.full(len(at), np.inf)
    right = high - at if high < outer[1] - 1e-6 else np.full(len(at), np.inf)
    fade = np.minimum(np.minimum(left, right) / (high - low), 1.0)
    return slice(first, max(first, stop)), np.maximum(fade, 1e-6)


def unseen_fraction(boxes: Sequence[Box], size: tuple[int, int], seen_time_fraction: float = 1.0) -> float:
    """Return the share of picture area times time, in [0, 1], that the model never saw.

    ``boxes`` are what the crops see of a picture of ``size`` (H, W); ``seen_time_fraction`` is the share of the time that clips
    cover.
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
