"""One picture and one heat to one picture: pure functions on pixels, the same size out as in, the input left alone.

Where the heat is zero nothing is drawn, so the picture stays identical to the last bit (``spotlight`` dims it, as its name says).
Everything happens in 8 bits: the evidence becomes 256 levels, and each level has a weight for the picture and a colour to add.
Pictures are RGB or, for video, :class:`vidcam.yuv.Planes`, where the same is done without any conversion of colours.
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
from vidcam.render.colormap import apply_colormap, table
from vidcam.render.compositing import ColormapLut, Layer, Rows, grown, read_only
from vidcam.values import Box, FloatArray, Heat, UInt8Array
from vidcam.yuv import Matrix, Planes

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
Picture = UInt8Array | Planes
"""RGB ``(H, W, 3) uint8``, or planes."""
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
    out = image.copy()
    draw_over(out, heat, style=style, opacity=opacity, signed=signed)
    return np.concatenate([image, out], axis=1) if style == "side-by-side" else out


def draw_over(out: Picture, heat: Heat | None, *, style: Style, opacity: float, signed: bool) -> None:
    """Draw the heat into the picture ``out``, and mark what the model never saw: what :func:`overlay` does with a copy."""
    if style not in STYLES:
        raise UnknownNameError("style", style, STYLES)
    if heat is None:
        _mark_into(out, ())
        return
    if style == "contour":
        _contours(out, heat, signed=signed)
    elif style == "spotlight":
        _spotlight(out, heat)
    else:
        _heat(out, heat, opacity=opacity, signed=signed)
    _mark_into(out, heat.seen)


def overlay_heat(image: UInt8Array, heat: Heat, *, opacity: float = 0.62, signed: bool = False) -> UInt8Array:
    """The picture with the evidence laid over it in colour, more opaque the more of it there is.

    ``opacity`` in (0, 1] is reached at 1.0. Where ``signed``, evidence against the label is shown too, in blue.
    """
    out = image.copy()
    _heat(out, heat, opacity=opacity, signed=signed)
    return out


def _heat(out: Picture, heat: Heat, *, opacity: float, signed: bool) -> None:
    _check(out, heat)
    if not 0 < opacity <= 1:
        raise UsageError(f"opacity must be above 0 and at most 1, got {opacity}")
    _blend(out, _levels(heat, signed), _seen_box(heat), _heat_ink(opacity, signed))


def overlay_contour(image: UInt8Array, heat: Heat, *, signed: bool = False) -> UInt8Array:
    """The untouched picture with lines where the evidence crosses 25, 50 and 75 % of the scale.

    Each line has the colour of a level and a dark casing, so that it shows on any ground; ``signed`` adds the lines against.
    """
    out = image.copy()
    _contours(out, heat, signed=signed)
    return out


def _contours(out: Picture, heat: Heat, *, signed: bool) -> None:
    _check(out, heat)
    height, width = heat.size
    stroke = max(1, round((height * width) ** 0.5 / 700))
    sides = [(heat.values, 1.0)] + ([(heat.against, -1.0)] if signed and heat.against is not None else [])
    for values, sign in sides:
        index = grown(_scaled(values, 255), heat.size)
        for level in CONTOURS:
            inside = cv2.threshold(index, round(255 * level) - 1, 255, cv2.THRESH_BINARY)[1]
            line = cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, _disc(stroke))  # empty along the picture's edge, as it should be
            casing = cast("UInt8Array", cv2.blur(cv2.dilate(line, _disc(stroke)), (3, 3)))
            box = _both(_busy_box(casing, 0), _seen_box(heat))
            _blend(out, casing, box, _stroke_ink((0, 0, 0), 0.45))
            _blend(out, cast("UInt8Array", cv2.blur(line, (3, 3))), box, _stroke_ink(contour_colour(level, sign, signed), 1.0))


def contour_colour(level: float, sign: float, signed: bool) -> tuple[int, int, int]:
    """The RGB colour of the line at ``level``: the table's, lifted away from its dark end, which a thin line could not carry."""
    r, g, b = apply_colormap(sign * (0.35 + 0.65 * level), signed=signed)
    return int(r), int(g), int(b)


def overlay_spotlight(image: UInt8Array, heat: Heat) -> UInt8Array:
    """The picture dimmed to a quarter of its light except where evidence for the label is."""
    out = image.copy()
    _spotlight(out, heat)
    return out


def _spotlight(out: Picture, heat: Heat) -> None:
    _check(out, heat)
    _blend(out, _scaled(heat.values, 255), _seen_box(heat), _spot_ink())
    for box in _outside(*heat.size, [_seen_box(heat)]):
        _blend(out, np.zeros((1, 1), np.uint8), box, _spot_ink())


def mark_unseen(image: UInt8Array, seen: Sequence[Box]) -> UInt8Array:
    """The picture, darkened and hatched outside of the ``seen`` boxes, with a thin line around them."""
    out = image.copy()
    _mark_into(out, tuple(seen))
    return out


def thumb(image: UInt8Array, heat: Heat | None, *, width: int, style: Style = "heat", signed: bool = False) -> UInt8Array:
    """The annotated picture scaled to ``width`` pixels, for film strips: ``(round(H * width / W), width, 3) uint8``."""
    drawn = overlay(image, heat, style=style, signed=signed)
    height = max(1, round(drawn.shape[0] * width / drawn.shape[1]))
    shrinks = width < drawn.shape[1]
    return cast("UInt8Array", cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC))


def _check(out: Picture, heat: Heat) -> None:
    size = out.size if isinstance(out, Planes) else out.shape[:2]
    if size != heat.size:
        raise UsageError(f"the heat is {heat.size} (H, W) but the picture is {size}: make the heat at the picture's size")


def _levels(heat: Heat, signed: bool) -> UInt8Array:
    """Evidence as 256 levels: 0 is none; signed: 128 is none."""
    if not signed:
        return _scaled(heat.values, 255)
    net = heat.values if heat.against is None else heat.values - heat.against
    return _scaled(net, 127, 128)  # from 1 to 255


def _scaled(values: FloatArray, factor: float, offset: float = 0.0) -> UInt8Array:
    """``factor * values + offset``, which must not be negative, rounded to 8 bits."""
    return cast("UInt8Array", cv2.convertScaleAbs(values, alpha=factor, beta=offset))


def _busy_box(index: UInt8Array, empty: int) -> Rows:
    """The smallest ``(y0, x0, y1, x1)`` outside of which every level is ``empty``."""
    x, y, w, h = cv2.boundingRect(index if empty == 0 else cv2.absdiff(index, np.full_like(index, empty)))
    return y, x, y + h, x + w


def _seen_box(heat: Heat) -> Rows:
    """The smallest box around all that the model looked at."""
    boxes = [_pixels(box, heat.size) for box in heat.seen]
    return min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)


def _both(a: Rows, b: Rows) -> Rows:
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def _pixels(box: Box, size: tuple[int, int]) -> Rows:
    """The pixels ``(y0, x0, y1, x1)`` whose centres are inside a half-open box."""
    y0, x0, y1, x1 = (math.ceil(min(max(e, 0), limit) - 0.5) for e, limit in zip(box, size * 2, strict=True))
    return y0, x0, y1, x1


def _blend(out: Picture, index: UInt8Array, box: Rows, ink: ColormapLut) -> None:
    """``out = out * keep[index] / 255 + add[index]`` within ``box``; levels may be coarser than the picture."""
    if box[2] <= box[0] or box[3] <= box[1]:
        return
    if isinstance(out, Planes):
        if layer := Layer.of_levels(index, ink, box, out.size, out.matrix):
            layer.lay(out)
        return
    part, level = (image[box[0] : box[2], box[1] : box[3]] for image in (out, grown(index, out.shape)))
    mixed = cv2.multiply(part, cv2.cvtColor(cv2.LUT(level, ink.keep), cv2.COLOR_GRAY2RGB), scale=1 / 255)
    part[:] = cv2.add(mixed, cv2.applyColorMap(level, ink.add))


def _ramp(strength: FloatArray) -> FloatArray:
    """How much of the full opacity is used at a strength in [0, 1]: from 0 to 1, never falling."""
    return np.sin(np.pi / 2 * np.asarray(strength, dtype=np.float64))


@cache
def _heat_ink(opacity: float, signed: bool) -> ColormapLut:
    strength = np.abs(np.arange(256) - 128).clip(0, 127) / 127 if signed else np.arange(256) / 255
    return ColormapLut.of(opacity * _ramp(strength), table(signed))


@cache
def _stroke_ink(rgb: tuple[int, int, int], opacity: float) -> ColormapLut:
    return ColormapLut.of(opacity * np.arange(256) / 255, rgb)


@cache
def _spot_ink() -> ColormapLut:
    return ColormapLut.of((1 - _DIMMED) * (1 - _ramp(np.arange(256) / 255)), (0, 0, 0))


@cache
def _disc(radius: int) -> UInt8Array:
    return cast("UInt8Array", cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)))


# --- what the model never saw


def _mark_into(out: Picture, seen: tuple[Box, ...]) -> None:
    if isinstance(out, Planes):
        for layer in _unseen_layers(*out.size, tuple(seen), out.matrix):
            layer.lay(out)
        return
    level, boxes = _unseen(out.shape[0], out.shape[1], tuple(seen))
    for box in boxes:
        _blend(out, level, box, _unseen_ink())


@lru_cache(maxsize=4)
def _unseen_layers(height: int, width: int, seen: tuple[Box, ...], matrix: Matrix) -> tuple[Layer, ...]:
    """The same for all pictures of a video."""
    level, boxes = _unseen(height, width, seen)
    layers = (Layer.of_levels(level, _unseen_ink(), box, (height, width), matrix) for box in boxes)
    return tuple(layer for layer in layers if layer)


@lru_cache(maxsize=4)
def _unseen(height: int, width: int, seen: tuple[Box, ...]) -> tuple[UInt8Array, tuple[tuple[int, int, int, int], ...]]:
    """Levels ``(H, W)`` (0 to 254 hatching, 255 border), and boxes that tile what is unseen."""
    rounded = [_pixels(box, (height, width)) for box in seen]
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
    return read_only(level), tuple(_outside(height, width, rounded))


@cache
def _unseen_ink() -> ColormapLut:
    i = np.arange(256)
    keep = np.where(i == 255, 90, round(255 * _UNSEEN_DIMMED))
    grey = np.where(i == 255, 120, 34 * i / 254) * 255 / (255 - keep)  # of which the ink adds its share
    return ColormapLut(read_only(keep.astype(np.uint8)), np.repeat(grey[:, None], 3, axis=1))


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
