"""Sizes, colours and antialiased shapes for the panels.

(Pillow's ImageDraw draws neither antialiased nor between pixels, both of which the cursor needs.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vidcam.render.unseen import hatching
from vidcam.values import FloatArray, UInt8Array

__all__ = ["DIM", "GROUND", "LANE", "MARK", "RGB", "RULE", "TEXT", "WHITE", "Sizes", "blend", "disc", "hatch", "pill"]

RGB = tuple[int, int, int]
GROUND: RGB = (18, 20, 25)
LANE: RGB = (26, 29, 36)
RULE: RGB = (74, 80, 92)
DIM: RGB = (158, 164, 176)
TEXT: RGB = (232, 235, 240)
WHITE: RGB = (255, 255, 255)
MARK: RGB = (240, 104, 32)


@dataclass(frozen=True)
class Sizes:
    """Lengths in pixels: ``text`` and ``small`` letters, ``pad`` around things, ``line`` the thinnest stroke."""

    text: int
    small: int
    pad: int
    line: int

    @classmethod
    def for_picture(cls, height: int, width: int) -> Sizes:
        """Return the sizes for a picture: in proportion to it, but never smaller than can be read."""
        side = float(height * width) ** 0.5
        text = max(12, round(side * 0.0195))
        return cls(text=text, small=max(11, round(text * 0.86)), pad=max(6, round(text * 0.7)), line=max(1, round(text / 15)))

    @property
    def row(self) -> int:
        """The height of a row of small text."""
        return round(self.small * 1.5)


def blend(canvas: UInt8Array, y: int, x: int, coverage: FloatArray, rgb: RGB) -> None:
    """Lay a colour over ``canvas`` from row ``y``, column ``x`` with ``coverage (h, w)`` in [0, 1]; clipped to the canvas."""
    y0, x0 = max(0, y), max(0, x)
    part = canvas[y0 : y + coverage.shape[0], x0 : x + coverage.shape[1]]
    a = coverage[y0 - y :, x0 - x :][: part.shape[0], : part.shape[1], None]
    part[:] = np.rint(part + a * (np.array(rgb) - part))


def pill(
    canvas: UInt8Array, box: tuple[float, float, float, float], rgb: RGB, *, alpha: float = 1.0, radius: float | None = None
) -> None:
    """Draw an antialiased rounded rectangle ``(y0, x0, y1, x1)`` in pixel edges; fully round without ``radius``."""
    y0, x0, y1, x1 = box
    if y1 <= y0 or x1 <= x0:
        return
    top, left = int(np.floor(y0)), int(np.floor(x0))
    blend(canvas, top, left, alpha * _rounded((y0 - top, x0 - left, y1 - top, x1 - left), radius), rgb)


@lru_cache(maxsize=32)  # the cursor is drawn into every picture
def _rounded(box: tuple[float, float, float, float], radius: float | None) -> FloatArray:
    """Return the coverage of each pixel by a rounded rectangle that begins in the first row and column."""
    y0, x0, y1, x1 = box
    r = min((y1 - y0) / 2, (x1 - x0) / 2, radius if radius is not None else np.inf)
    dy = np.abs(np.arange(int(np.ceil(y1))) + 0.5 - (y0 + y1) / 2) - (y1 - y0) / 2 + r
    dx = np.abs(np.arange(int(np.ceil(x1))) + 0.5 - (x0 + x1) / 2) - (x1 - x0) / 2 + r
    distance = np.hypot(dy.clip(0)[:, None], dx.clip(0)[None, :]) - r  # beyond the edge, as far as rounding matters
    if r == 0:
        distance = np.maximum(dy[:, None], dx[None, :])
    out: FloatArray = np.clip(0.5 - distance, 0, 1)
    out.flags.writeable = False
    return out


def disc(canvas: UInt8Array, y: float, x: float, radius: float, rgb: RGB) -> None:
    """Draw a filled circle around (y, x) in pixel edges."""
    pill(canvas, (y - radius, x - radius, y + radius, x + radius), rgb)


def hatch(canvas: UInt8Array, box: tuple[int, int, int, int], sizes: Sizes) -> None:
    """Draw the sign for "not seen by the model" in ``(y0, x0, y1, x1)``."""
    y0, x0, y1, x1 = box
    lines = hatching(max(0, y1 - y0), max(0, x1 - x0), period=max(5.0, sizes.text * 0.34), stroke=sizes.line * 1.1)
    blend(canvas, y0, x0, 0.55 * lines, DIM)
