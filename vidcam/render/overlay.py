"""Draw a heat over a picture, in one of four styles.

Where the heat is zero nothing is drawn, so the picture stays identical to the last bit (``spotlight`` dims it, as its name says).
Everything happens in 8 bits: the evidence becomes 256 levels, and a lookup table gives each its opacity and colour. Pictures
are RGB or, for video, :class:`vidcam.yuv.Planes`, where the same is done without any conversion of colours.
"""

from __future__ import annotations

from functools import cache
from typing import cast, get_args

import cv2
import numpy as np

from vidcam.errors import UnknownNameError, UsageError
from vidcam.render.colormap import apply_colormap, table
from vidcam.render.compositing import ColormapLut, Picture, Rows, composite_levels, upscale
from vidcam.render.unseen import mark_unseen, pixel_rows, tile_outside
from vidcam.settings import Look, Style
from vidcam.values import FloatArray, Heat, UInt8Array
from vidcam.yuv import Planes

__all__ = ["CONTOURS", "DIMMED", "STYLES", "Style", "contour_colour", "draw_over", "overlay", "ramp", "thumb"]

STYLES: tuple[Style, ...] = get_args(Style)
CONTOURS = (0.25, 0.5, 0.75)
"""The shares of the scale at which contour lines run."""
DIMMED = 0.25
"""The share of the picture's light that is left outside of the spotlight."""
EDGE = 0.2
"""How far below a threshold evidence has faded out, as a share of the scale: a step would differ between a page and a file."""
FULL = Look().opacity
"""The opacity at which contours and the spotlight are at full strength."""


def overlay(
    image: UInt8Array,
    heat: Heat | None,
    *,
    style: Style = "heat",
    opacity: float = FULL,
    signed: bool = False,
    threshold: float = 0.0,
) -> UInt8Array:
    """Return a copy of the picture with its heat drawn over it, and with what the model never saw marked.

    Args:
        image: ``(H, W, 3) uint8`` RGB.
        heat: The heat for a picture of this size; None if no clip covers this time: then all of the picture is marked as unseen.
        style: ``heat`` (colours), ``contour`` (lines at 25, 50 and 75 % of the scale), ``spotlight`` (all but the evidence is
            dimmed) or ``side-by-side`` (the untouched picture on the left, ``heat`` on the right).
        opacity: The opacity of evidence 1.0 in the style ``heat``, in (0, 1]; the other styles are fainter below 0.62.
        signed: Draw the evidence against the label too, in blue.
        threshold: Evidence below this share of the scale is not drawn.

    Returns:
        ``(H, W, 3) uint8``, or ``(H, 2W, 3)`` for ``side-by-side``.

    Raises:
        UnknownNameError: There is no such style.
        UsageError: The opacity is out of range, or the heat is for a picture of another size.
    """
    out = image.copy()
    draw_over(out, heat, style=style, opacity=opacity, signed=signed, threshold=threshold)
    return np.concatenate([image, out], axis=1) if style == "side-by-side" else out


def draw_over(out: Picture, heat: Heat | None, *, style: Style, opacity: float, signed: bool, threshold: float = 0.0) -> None:
    """Draw the heat into the picture ``out`` in place: what :func:`overlay` does to a copy."""
    if style not in STYLES:
        raise UnknownNameError("style", style, STYLES)
    if heat is None:
        mark_unseen(out, ())
        return
    size = out.size if isinstance(out, Planes) else out.shape[:2]
    if size != heat.size:
        raise UsageError(f"the heat is {heat.size} (H, W) but the picture is {size}: make the heat at the picture's size")
    if not 0 < opacity <= 1:
        raise UsageError(f"opacity must be above 0 and at most 1, got {opacity}")
    strength = min(1.0, opacity / FULL)
    if style == "contour":
        _draw_contours(out, heat, strength, signed=signed, threshold=threshold)
    elif style == "spotlight":
        lut = _spotlight_lut(strength, threshold)
        composite_levels(out, _to_levels(heat.values, 255), _seen_rows(heat), lut)
        for box in tile_outside(*heat.size, [_seen_rows(heat)]):
            composite_levels(out, np.zeros((1, 1), np.uint8), box, lut)
    else:
        composite_levels(out, _heat_levels(heat, signed), _seen_rows(heat), _heat_lut(opacity, signed, threshold))
    mark_unseen(out, heat.seen)


def contour_colour(level: float, sign: float, signed: bool) -> tuple[int, int, int]:
    """Return the RGB colour of the line at ``level``: the colormap's, lightened, since a thin dark line would not show."""
    r, g, b = apply_colormap(sign * (0.35 + 0.65 * level), signed=signed)
    return int(r), int(g), int(b)


def thumb(image: UInt8Array, heat: Heat | None, *, width: int, style: Style = "heat", signed: bool = False) -> UInt8Array:
    """Return the annotated picture scaled to ``width`` pixels, for film strips: ``(round(H * width / W), width, 3) uint8``."""
    drawn = overlay(image, heat, style=style, signed=signed)
    height = max(1, round(drawn.shape[0] * width / drawn.shape[1]))
    shrinks = width < drawn.shape[1]
    return cast("UInt8Array", cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC))


# --- the styles


def _draw_contours(out: Picture, heat: Heat, strength: float, *, signed: bool, threshold: float) -> None:
    """Draw lines at :data:`CONTOURS`, each in the colour of its level and with a dark casing, so that it shows on any ground."""
    height, width = heat.size
    stroke = max(1, round((height * width) ** 0.5 / 700))
    sides = [(heat.values, 1.0)] + ([(heat.against, -1.0)] if signed and heat.against is not None else [])
    for values, sign in sides:
        levels = upscale(_to_levels(values, 255), heat.size)
        for level in (level for level in CONTOURS if level >= threshold):
            inside = cv2.threshold(levels, round(255 * level) - 1, 255, cv2.THRESH_BINARY)[1]
            line = cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, _disc(stroke))  # empty along the picture's edge, as it should be
            casing = cast("UInt8Array", cv2.blur(cv2.dilate(line, _disc(stroke)), (3, 3)))
            box = _intersection(_drawn_rows(casing), _seen_rows(heat))
            composite_levels(out, casing, box, _stroke_lut((0, 0, 0), 0.45 * strength))
            line = cast("UInt8Array", cv2.blur(line, (3, 3)))
            composite_levels(out, line, box, _stroke_lut(contour_colour(level, sign, signed), strength))


# --- levels


def _heat_levels(heat: Heat, signed: bool) -> UInt8Array:
    """Return the evidence as 256 levels: 0 is none; if ``signed``, 128 is none, and they go from 1 to 255."""
    if not signed:
        return _to_levels(heat.values, 255)
    net = heat.values if heat.against is None else heat.values - heat.against
    return _to_levels(net, 127, 128)


def _to_levels(values: FloatArray, factor: float, offset: float = 0.0) -> UInt8Array:
    """Return ``factor * values + offset``, which must not be negative, rounded to 8 bits."""
    return cast("UInt8Array", cv2.convertScaleAbs(values, alpha=factor, beta=offset))


def _drawn_rows(levels: UInt8Array) -> Rows:
    """Return the smallest box outside of which every level is 0."""
    x, y, w, h = cv2.boundingRect(levels)
    return y, x, y + h, x + w


def _seen_rows(heat: Heat) -> Rows:
    """Return the smallest box around all that the model saw."""
    boxes = [pixel_rows(box, heat.size) for box in heat.seen]
    return min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)


def _intersection(a: Rows, b: Rows) -> Rows:
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


@cache
def _disc(radius: int) -> UInt8Array:
    return cast("UInt8Array", cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)))


# --- lookup tables


def ramp(strength: FloatArray) -> FloatArray:
    """Return the share of the full opacity at a strength in [0, 1]: from 0 to 1, never falling."""
    return np.sin(np.pi / 2 * np.asarray(strength, dtype=np.float64))


def _above(evidence: FloatArray, threshold: float) -> FloatArray:
    """Return the evidence from the threshold on; below, it fades out."""
    shown: FloatArray = evidence * np.clip(1 + (evidence - threshold) / max(min(EDGE, threshold), 1e-9), 0, 1)
    return shown


@cache
def _heat_lut(opacity: float, signed: bool, threshold: float) -> ColormapLut:
    evidence = np.abs(np.arange(256) - 128).clip(0, 127) / 127 if signed else np.arange(256) / 255
    return ColormapLut.from_alpha(opacity * ramp(_above(evidence, threshold)), table(signed))


@cache
def _stroke_lut(rgb: tuple[int, int, int], opacity: float) -> ColormapLut:
    return ColormapLut.from_alpha(opacity * np.arange(256) / 255, rgb)


@cache
def _spotlight_lut(strength: float, threshold: float) -> ColormapLut:
    evidence = np.arange(256) / 255
    return ColormapLut.from_alpha(strength * (1 - DIMMED) * (1 - ramp(_above(evidence, threshold))), (0, 0, 0))
