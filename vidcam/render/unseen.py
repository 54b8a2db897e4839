"""The mark on what the model never saw: darkened and hatched, with a thin line around what it did see."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from itertools import pairwise

import cv2
import numpy as np

from vidcam.render.compositing import ColormapLut, Layer, Picture, Rows, composite_levels, read_only
from vidcam.values import Box, FloatArray, UInt8Array
from vidcam.yuv import Matrix, Planes

__all__ = ["hatching", "mark_unseen", "pixel_rows", "tile_outside"]

DIMMED = 0.58
"""The share of the picture's light that is left where the model saw nothing."""
_BORDER = 255  # the level of the line; 0 to 254 are hatching


def mark_unseen(out: Picture, seen: Sequence[Box]) -> None:
    """Darken and hatch the picture ``out`` outside of the ``seen`` boxes, and draw a thin line around them."""
    if isinstance(out, Planes):
        for layer in _layers(*out.size, tuple(seen), out.matrix):
            layer.composite_onto(out)
        return
    levels, tiles = _levels(out.shape[0], out.shape[1], tuple(seen))
    for box in tiles:
        composite_levels(out, levels, box, _lut())


def hatching(height: int, width: int, *, period: float, stroke: float) -> FloatArray:
    """Return diagonal lines as coverage ``(height, width)`` in [0, 1], antialiased; lengths in pixels across the lines."""
    across = np.arange(height + width) / 2**0.5  # all that matters is row + column
    lines = np.clip(stroke / 2 + 0.5 - np.abs(across % period - period / 2), 0, 1)
    out: FloatArray = np.lib.stride_tricks.sliding_window_view(lines, width)[:height]
    return out


def pixel_rows(box: Box, size: tuple[int, int]) -> Rows:
    """Return the pixels of a picture of ``size`` (H, W) whose centres lie in a half-open box."""
    y0, x0, y1, x1 = (math.ceil(min(max(e, 0), limit) - 0.5) for e, limit in zip(box, size * 2, strict=True))
    return y0, x0, y1, x1


def tile_outside(height: int, width: int, covered: Sequence[Rows]) -> Iterator[Rows]:
    """Yield boxes that tile what no ``covered`` box covers of a picture, band by band."""
    edges = sorted({0, height, *(y for box in covered for y in (box[0], box[2]))})
    for y0, y1 in pairwise(edges):
        x = 0
        for left, right in sorted((b[1], b[3]) for b in covered if b[0] <= y0 and b[2] >= y1):
            if left > x:
                yield y0, x, y1, left
            x = max(x, right)
        if x < width:
            yield y0, x, y1, width


@lru_cache(maxsize=4)
def _layers(height: int, width: int, seen: tuple[Box, ...], matrix: Matrix) -> tuple[Layer, ...]:
    """Return the mark as layers, which are the same for all pictures of a video."""
    levels, tiles = _levels(height, width, seen)
    layers = (Layer.from_levels(levels, _lut(), box, (height, width), matrix) for box in tiles)
    return tuple(layer for layer in layers if layer)


@lru_cache(maxsize=4)
def _levels(height: int, width: int, seen: tuple[Box, ...]) -> tuple[UInt8Array, tuple[Rows, ...]]:
    """Return levels ``(H, W)``, and boxes that tile what is unseen."""
    rounded = [pixel_rows(box, (height, width)) for box in seen]
    unit = max(1.0, (height * width) ** 0.5 / 720)
    unseen = np.full((height, width), 255, np.uint8)
    for y0, x0, y1, x1 in rounded:
        unseen[y0:y1, x0:x1] = 0
    levels = np.zeros((height, width), np.uint8)
    for y, line in enumerate(hatching(height, width, period=9 * unit, stroke=1.1 * unit)):
        levels[y] = 254 * line
    near_seen = cv2.dilate(255 - unseen, np.ones((2 * round(unit) + 1,) * 2, np.uint8))
    levels[near_seen > 0] = _BORDER
    return read_only(levels), tuple(tile_outside(height, width, rounded))


@cache
def _lut() -> ColormapLut:
    i = np.arange(256)
    transparency = np.where(i == _BORDER, 90, round(255 * DIMMED))
    grey = np.where(i == _BORDER, 120, 34 * i / 254) * 255 / (255 - transparency)  # premultiplied again by the table
    return ColormapLut(read_only(transparency.astype(np.uint8)), np.repeat(grey[:, None], 3, axis=1))
