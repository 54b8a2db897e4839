"""One picture and one heat to one picture: pure functions on pixels, the same size out as in, the input left alone.

Where the heat is zero nothing is drawn, so the picture stays identical to the last bit (``spotlight`` dims it, as its name says).
Everything happens in 8 bits: the evidence becomes 256 levels, and each level has a weight for the picture and a colour to add.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import Literal, cast, get_args

import cv2
import numpy as np

from vidcam.errors import UnknownNameError, UsageError
from vidcam.render.colour import colour, table
from vidcam.types import Box, FloatArray, Heat, UInt8Array

__all__ = [
    "CONTOURS",
    "STYLES",
    "Style",
    "contour_colour",
    "hatching",
    "mark_unseen",
    "overlay",
    "overlay_contour",
    "overlay_heat",
    "overlay_spotlight",
    "thumb",
]

Style = Literal["heat", "contour", "spotlight", "side-by-side"]
STYLES: tuple[Style, ...] = get_args(Style)
CONTOURS = (0.25, 0.5, 0.75)
"""The parts of the scale at which contour lines run."""
_DIMMED = 0.25  # what is left of the picture's light outside of the spotlight
_UNSEEN_DIMMED = 0.58


def overlay(
    image: UInt8Array, heat: Heat | None, *, style: Style = "heat", opacity: float = 0.62, signed: bool = False
) -> UInt8Array:
    """The picture with its heat in one of the ``STYLES``, and with what the model never saw marked.

    ``image (H, W, 3) uint8`` RGB; ``heat`` of the same size, or None where no window looked at this time: then all of it is
    marked as unseen. ``side-by-side`` returns ``(H, 2W, 3)``, the untouched picture on the left.
    """
    if style not in STYLES:
        raise UnknownNameError("style", style, STYLES)
    if heat is None:
        out = mark_unseen(image, ())
    else:
        if style == "contour":
            out = overlay_contour(image, heat, signed=signed)
        elif style == "spotlight":
            out = overlay_spotlight(image, heat)
        else:
            out = overlay_heat(image, heat, opacity=opacity, signed=signed)
        _mark_into(out, heat.seen)
    return np.concatenate([image, out], axis=1) if style == "side-by-side" else out


def overlay_heat(image: UInt8Array, heat: Heat, *, opacity: float = 0.62, signed: bool = False) -> UInt8Array:
    """The picture ``(H, W, 3) uint8`` with the evidence laid over it in colour, more opaque the more of it there is.

    ``opacity`` in (0, 1] is reached at 1.0. Where ``signed``, evidence against the label is shown too, in blue.
    """
    _check(image, heat)
    if not 0 < opacity <= 1:
        raise UsageError(f"opacity must be above 0 and at most 1, got {opacity}")
    out = image.copy()
    index = _levels(heat, signed)
    keep, add = _heat_tables(opacity, signed)
    _blend(out, index, _busy_box(index, 128 if signed else 0), keep, add)
    return out


def overlay_contour(image: UInt8Array, heat: Heat, *, signed: bool = False) -> UInt8Array:
    """The untouched picture ``(H, W, 3) uint8`` with lines where the evidence crosses 25, 50 and 75 % of the scale.

    Each line has the colour of a level and a dark casing, so that it shows on any ground; ``signed`` adds the lines against.
    """
    _check(image, heat)
    out = image.copy()
    width = max(1, round((image.shape[0] * image.shape[1]) ** 0.5 / 700))
    sides = [(heat.values, 1.0)] + ([(heat.against, -1.0)] if signed and heat.against is not None else [])
    for values, sign in sides:
        index = _scaled(values, 255)
        for level in CONTOURS:
            inside = cv2.threshold(index, round(255 * level) - 1, 255, cv2.THRESH_BINARY)[1]
            line = cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, _disc(width))  # empty along the picture's edge, as it should be
            casing = cast("UInt8Array", cv2.blur(cv2.dilate(line, _disc(width)), (3, 3)))
            box = _busy_box(casing, 0)
            _blend(out, casing, box, *_stroke_tables((0, 0, 0), 0.45))
            _blend(
                out, cast("UInt8Array", cv2.blur(line, (3, 3))), box, *_stroke_tables(contour_colour(level, sign, signed), 1.0)
            )
    return out


def contour_colour(level: float, sign: float, signed: bool) -> tuple[int, int, int]:
    """The RGB colour of the line at ``level``: the table's, lifted away from its dark end, which a thin line could not carry."""
    r, g, b = colour(sign * (0.35 + 0.65 * level), signed=signed)
    return int(r), int(g), int(b)


def overlay_spotlight(image: UInt8Array, heat: Heat) -> UInt8Array:
    """The picture ``(H, W, 3) uint8`` dimmed to a quarter of its light except where evidence for the label is."""
    _check(image, heat)
    out = image.copy()
    keep = _read_only(np.rint(255 * (_DIMMED + (1 - _DIMMED) * _ramp(np.arange(256) / 255))).astype(np.uint8))
    _blend(out, _scaled(heat.values, 255), (0, 0, *image.shape[:2]), keep, None)
    return out


def mark_unseen(image: UInt8Array, seen: Sequence[Box]) -> UInt8Array:
    """The picture ``(H, W, 3) uint8``, darkened and hatched outside of the ``seen`` boxes, with a thin line around them."""
    out = image.copy()
    _mark_into(out, tuple(seen))
    return out


def thumb(image: UInt8Array, heat: Heat | None, *, width: int, style: Style = "heat", signed: bool = False) -> UInt8Array:
    """The annotated picture scaled to ``width`` pixels, for film strips: ``(round(H * width / W), width, 3) uint8``."""
    drawn = overlay(image, heat, style=style, signed=signed)
    height = max(1, round(drawn.shape[0] * width / drawn.shape[1]))
    shrinks = width < drawn.shape[1]
    return cast("UInt8Array", cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC))


def _check(image: UInt8Array, heat: Heat) -> None:
    if image.shape[:2] != heat.values.shape:
        raise UsageError(
            f"the heat is {heat.values.shape} (H, W) but the picture is {image.shape[:2]}: make the heat at the picture's size"
        )


def _levels(heat: Heat, signed: bool) -> UInt8Array:
    """Evidence as 256 levels: 0 is none; signed: 128 is none."""
    if not signed:
        return _scaled(heat.values, 255)
    net = heat.values if heat.against is None else heat.values - heat.against
    return _scaled(net, 127, 128)  # from 1 to 255


def _scaled(values: FloatArray, factor: float, offset: float = 0.0) -> UInt8Array:
    """``factor * values + offset``, which must not be negative, rounded to 8 bits."""
    return cast("UInt8Array", cv2.convertScaleAbs(values, alpha=factor, beta=offset))


def _busy_box(index: UInt8Array, empty: int) -> tuple[int, int, int, int]:
    """The smallest ``(y0, x0, y1, x1)`` outside of which every level is ``empty``."""
    x, y, w, h = cv2.boundingRect(index if empty == 0 else cv2.absdiff(index, np.full_like(index, empty)))
    return y, x, y + h, x + w


def _blend(out: UInt8Array, index: UInt8Array, box: tuple[int, int, int, int], keep: UInt8Array, add: UInt8Array | None) -> None:
    """``out = out * keep[index] / 255 + add[index]`` within ``box``: the one place where pixels are mixed."""
    y0, x0, y1, x1 = box
    if y1 <= y0 or x1 <= x0:
        return
    part, level = out[y0:y1, x0:x1], index[y0:y1, x0:x1]
    mixed = cv2.multiply(part, cv2.cvtColor(cv2.LUT(level, keep), cv2.COLOR_GRAY2RGB), scale=1 / 255)
    part[:] = mixed if add is None else cv2.add(mixed, cv2.applyColorMap(level, add))


def _ramp(strength: FloatArray) -> FloatArray:
    """How much of the full opacity is used at a strength in [0, 1]: from 0 to 1, never falling."""
    return np.sin(np.pi / 2 * np.asarray(strength, dtype=np.float64))


@cache
def _heat_tables(opacity: float, signed: bool) -> tuple[UInt8Array, UInt8Array]:
    strength = np.abs(np.arange(256) - 128).clip(0, 127) / 127 if signed else np.arange(256) / 255
    return _tables(opacity * _ramp(strength), table(signed))


@cache
def _stroke_tables(rgb: tuple[int, int, int], opacity: float) -> tuple[UInt8Array, UInt8Array]:
    return _tables(opacity * np.arange(256) / 255, np.array(rgb))


def _tables(alpha: FloatArray, rgb: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
    """What each level leaves of the picture ``(256,)`` and what it adds ``(256, 1, 3)``, together never above 255."""
    keep = np.rint(255 * (1 - alpha)).astype(np.uint8)
    add = (rgb * ((255 - keep) / 255.0)[:, None]).astype(np.uint8)
    return _read_only(keep), _read_only(add[:, None])


def _read_only(array: UInt8Array) -> UInt8Array:
    array.flags.writeable = False
    return array


@cache
def _disc(radius: int) -> UInt8Array:
    return cast("UInt8Array", cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)))


# --- what the model never saw


def _mark_into(out: UInt8Array, seen: tuple[Box, ...]) -> None:
    level, keep, add, boxes = _unseen(out.shape[0], out.shape[1], tuple(seen))
    for box in boxes:
        _blend(out, level, box, keep, add)


@lru_cache(maxsize=4)
def _unseen(
    height: int, width: int, seen: tuple[Box, ...]
) -> tuple[UInt8Array, UInt8Array, UInt8Array, tuple[tuple[int, int, int, int], ...]]:
    """Levels ``(H, W)`` (0 to 254 hatching, 255 border), the tables for them, and boxes that tile what is unseen."""
    # A pixel is seen if its centre is inside the half-open box.
    rounded = [
        tuple(math.ceil(min(max(e, 0), limit) - 0.5) for e, limit in zip(box, (height, width) * 2, strict=True)) for box in seen
    ]
    unit = max(1.0, (height * width) ** 0.5 / 720)
    mask = np.full((height, width), 255, np.uint8)
    for y0, x0, y1, x1 in rounded:
        mask[y0:y1, x0:x1] = 0
    lines = hatching(height, width, period=9 * unit, stroke=1.1 * unit)
    level = np.zeros((height, width), np.uint8)
    for y, line in enumerate(lines):
        level[y] = 254 * line
    near_seen = cv2.dilate(255 - mask, np.ones((2 * round(unit) + 1,) * 2, np.uint8))
    level[near_seen > 0] = 255
    i = np.arange(256)
    keep = np.where(i == 255, 90, round(255 * _UNSEEN_DIMMED)).astype(np.uint8)
    add = np.where(i == 255, 120, np.rint(34 * i / 254)).astype(np.uint8)
    add3 = np.ascontiguousarray(np.repeat(add[:, None, None], 3, axis=2))
    return _read_only(level), _read_only(keep), _read_only(add3), tuple(_outside(height, width, rounded))


def hatching(height: int, width: int, *, period: float, stroke: float) -> FloatArray:
    """Diagonal lines as coverage ``(height, width)`` in [0, 1], smooth at their edges; lengths in pixels across the lines."""
    across = np.arange(height + width) / 2**0.5  # all that matters is row + column
    lines = np.clip(stroke / 2 + 0.5 - np.abs(across % period - period / 2), 0, 1)
    out: FloatArray = np.lib.stride_tricks.sliding_window_view(lines, width)[:height]
    return out


def _outside(height: int, width: int, seen: Sequence[tuple[int, ...]]) -> Iterator[tuple[int, int, int, int]]:
    """Boxes ``(y0, x0, y1, x1)`` that tile what no ``seen`` box covers, band by band."""
    edges = sorted({0, height, *(y for box in seen for y in (box[0], box[2]))})
    for y0, y1 in pairwise(edges):
        x = 0
        for left, right in sorted((b[1], b[3]) for b in seen if b[0] <= y0 and b[2] >= y1):
            if left > x:
                yield y0, x, y1, left
            x = max(x, right)
        if x < width:
            yield y0, x, y1, width
