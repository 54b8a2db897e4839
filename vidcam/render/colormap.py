"""The two colour tables of the heat, computed in CIELAB so that equal steps of evidence look equally big.

The sequential table runs from violet over red to pale yellow and only ever gets lighter. The diverging one runs from blue
(against) over a neutral grey, which is drawn fully transparent, to orange (for), and is as light on one side as on the other.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from vidcam.values import FloatArray, UInt8Array

__all__ = ["AGAINST", "FOR", "apply_colormap", "table"]

# Lightness, chroma and hue (degrees) in CIELAB; lightness rises from one to the next.
_SEQUENTIAL = ((27, 60, 308), (40, 62, 332), (52, 70, 8), (64, 70, 42), (78, 72, 70), (90, 80, 93))
_XYZ_OF_RGB = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])  # IEC 61966-2-1, D65
_NEUTRAL_L, _END_L = 42.0, 69.0
_FOR, _AGAINST = (74.0, 58.0), (44.0, 266.0)  # chroma and hue of the two ends: blue has less chroma at this lightness


def apply_colormap(values: FloatArray | float, *, signed: bool = False) -> UInt8Array:
    """The RGB colours ``(..., 3) uint8`` of evidence ``values (...)`` in [0, 1], or [-1, 1] where ``signed``; clipped outside."""
    v = np.asarray(values, dtype=np.float64)
    index = np.rint(128 + 127 * np.clip(v, -1, 1)) if signed else np.rint(255 * np.clip(v, 0, 1))
    return table(signed)[index.astype(np.intp)]


@cache
def table(signed: bool) -> UInt8Array:
    """The ``(256, 3) uint8`` RGB table; signed: 128 is neutral, 1 is fully against, 255 fully for."""
    if not signed:
        out = _to_rgb(_in_gamut(_even_path(np.array(_SEQUENTIAL, dtype=np.float64), 256)))
    else:
        strength = np.abs(np.arange(256) - 128.0).clip(0, 127) / 127
        tinted = np.where(strength > 0, 0.4 + 0.6 * strength, 0)  # weak evidence already has its hue; only neutral is grey
        chroma, hue = np.where(np.arange(256)[:, None] < 128, _AGAINST, _FOR).T
        out = _to_rgb(_in_gamut(np.stack([_NEUTRAL_L + (_END_L - _NEUTRAL_L) * strength, chroma * tinted, hue], -1)))
    rgb: UInt8Array = np.rint(255 * out.clip(0, 1)).astype(np.uint8)
    rgb.flags.writeable = False
    return rgb


def _even_path(anchors: FloatArray, n: int) -> FloatArray:
    """``n`` lightness-chroma-hue triples along the path through the anchors, at equal distances in CIELAB."""
    fine = np.linspace(0, len(anchors) - 1, 4096)
    hue = np.rad2deg(np.unwrap(np.deg2rad(anchors[:, 2])))
    path: FloatArray = np.stack([np.interp(fine, np.arange(len(anchors)), c) for c in (anchors[:, 0], anchors[:, 1], hue)], -1)
    path = _in_gamut(path)
    travelled = np.r_[0, np.cumsum(np.linalg.norm(np.diff(_to_lab(path), axis=0), axis=1))]
    stops = np.linspace(0, travelled[-1], n)
    return np.stack([np.interp(stops, travelled, c) for c in path.T], -1)


def _in_gamut(lch: FloatArray) -> FloatArray:
    """The same lightness and hue with as much of the chroma as sRGB can show."""
    low, high = np.zeros(len(lch)), np.ones(len(lch))
    for _ in range(24):  # bisection: chroma 0 is always inside
        middle = (low + high) / 2
        rgb = _to_rgb(lch * np.stack([np.ones(len(lch)), middle, np.ones(len(lch))], -1))
        inside = ((rgb >= 0) & (rgb <= 1)).all(-1)
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return lch * np.stack([np.ones(len(lch)), low, np.ones(len(lch))], -1)


def _to_lab(lch: FloatArray) -> FloatArray:
    lightness, chroma, hue = np.moveaxis(lch, -1, 0)
    return np.stack([lightness, chroma * np.cos(np.deg2rad(hue)), chroma * np.sin(np.deg2rad(hue))], -1)


def _to_rgb(lch: FloatArray) -> FloatArray:
    """sRGB in [0, 1] (outside of it: not showable) of CIELAB lightness, chroma, hue under D65."""
    lightness, a, b = np.moveaxis(_to_lab(lch), -1, 0)
    fy = (lightness + 16) / 116
    f = np.stack([fy + a / 500, fy, fy - b / 200], -1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * (0.95047, 1.0, 1.08883)
    linear = xyz @ np.linalg.inv(_XYZ_OF_RGB).T
    out: FloatArray = np.where(linear > 0.0031308, 1.055 * np.abs(linear) ** (1 / 2.4) - 0.055, 12.92 * linear)
    return out


FOR: tuple[int, int, int] = (255, 167, 77)
"""What speaks for a class, in curves and bars: the warm end, lightened for a dark ground."""
AGAINST: tuple[int, int, int] = (108, 164, 255)
"""What speaks against it."""
