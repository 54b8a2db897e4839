"""Draw several explanations of one video in one picture: methods down, classes across, every cell the same frame with its heat.

All that does not change (titles, curves, the key) is drawn once; each picture then blends the cells and moves the cursors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import cv2
import numpy as np

from vidcam.errors import UsageError
from vidcam.io.formatting import clock
from vidcam.render.colormap import AGAINST, FOR
from vidcam.render.overlay import overlay
from vidcam.render.paint import DIM, GROUND, LANE, RGB, RULE, TEXT, WHITE, Sizes, blend, hatch, pill
from vidcam.render.text import BOLD, clean_text, draw_text, fit_text, text_width
from vidcam.values import Box, FloatArray, Heat, UInt8Array

__all__ = ["Grid", "Row"]

WIDTH, HEIGHT = 1920, 1080
"""The size of the largest picture."""

_S = Sizes(text=18, small=14, pad=12, line=1)
_HEAD, _TITLES, _LANE, _FOOT = 44, 34, 30, 38  # heights of the heading, the names of the classes, a curve, the key
_GUTTER = (165, 235)  # least and greatest width for a method's name and facts
_BETWEEN = 26  # between blocks
_WIDE = 480  # a cell is drawn no wider than its source or this, whichever is larger
_NARROW = 24  # the least height and width of a cell


@dataclass(frozen=True)
class Row:
    """One method: its ``name``, ``facts`` about it, and for each class a curve ``(N,)`` of its evidence over the whole video.

    As many facts are drawn as there is room for, so the most important comes first. Curves lie in [0, 1], or in [-1, 1] if the
    evidence against the class is shown too.
    """

    name: str
    facts: tuple[str, ...]
    curves: tuple[FloatArray, ...]


class _Layout(NamedTuple):
    """Rows stand in ``blocks`` beside each other, ``per`` in each; ``cell`` is (H, W) of a picture."""

    blocks: int
    per: int
    cell: tuple[int, int]


class Grid:
    """Draws the frames of one video as a grid of pictures.

    Rows stand in blocks beside each other if that makes cells larger.

    Args:
        source_size: (H, W) of the frames.
        rows: The methods.
        columns: For each class its label and a few words more.
        title: Written above the grid.
        times: ``(N,)`` seconds of the curves.
        span: The video's [start, end) in seconds.
        seen: The rectangles of the source that the model sees. If they leave something out, the key says what hatching means.
        versus: The class that evidence against speaks for; it is shown in the second colour, in pictures and curves.

    Attributes:
        cell: (H, W) of each picture in the grid, and of the heats for it.
        size: (H, W) of the whole, even and at most 1080 x 1920.

    Raises:
        UsageError: There are no rows or columns, or not one curve for each cell.
    """

    def __init__(
        self,
        *,
        source_size: tuple[int, int],
        rows: Sequence[Row],
        columns: Sequence[tuple[str, str]],
        title: str,
        times: FloatArray,
        span: tuple[float, float],
        seen: Sequence[Box],
        versus: str | None = None,
    ) -> None:
        if not rows or not columns or any(len(r.curves) != len(columns) for r in rows):
            raise UsageError(f"a grid needs at least one row and one column and a curve for each cell, got {len(rows)} rows")
        self.source_size = source_size
        self._span = span
        self._versus = None if versus is None else clean_text(versus)
        widest = max(text_width(row.name, _S.text, weight=BOLD) for row in rows)
        self._gutter = min(max(widest, _GUTTER[0]), _GUTTER[1]) + _S.pad
        self._layout = _choose_layout(source_size, len(rows), len(columns), self._gutter)
        self.cell = self._layout.cell
        height, width = self._measure_size(len(columns))
        self.size: tuple[int, int] = (height + height % 2, width + width % 2)
        self._corners = [[self._find_corner(i, j, len(columns)) for j in range(len(columns))] for i in range(len(rows))]
        self._canvas = np.empty((*self.size, 3), np.uint8)
        self._canvas[:] = GROUND
        self._clock_at = self.size[1] - _S.pad - text_width(clock(span[1] - span[0], decimals=1), _S.text)
        self._draw_words(rows, columns, clean_text(title))
        self._draw_key(whole=any(_is_whole(box, source_size) for box in seen))
        for i, row in enumerate(rows):
            for j, curve in enumerate(row.curves):
                self._draw_curve(*self._corners[i][j], times, curve)

    def draw(self, image: UInt8Array, heats: Sequence[Sequence[Heat | None]], *, time: float) -> UInt8Array:
        """Return one picture of the grid, ``size + (3,) uint8`` RGB.

        ``image (H, W, 3) uint8`` is RGB of ``source_size``; ``heats`` by row and column are of the size ``cell``, None if no clip
        covers ``time``. Raises UsageError for an image of another size.
        """
        if image.shape != (*self.source_size, 3) or image.dtype != np.uint8:
            raise UsageError(f"this grid draws uint8 pictures of {(*self.source_size, 3)}, got {image.dtype} {image.shape}")
        out = self._canvas.copy()
        h, w = self.cell
        shrinks = h < self.source_size[0]
        small = cast("UInt8Array", cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC))
        start, end = self._span
        at = round(min(max((time - start) / (end - start), 0.0), 1.0) * (w - 1)) if end > start else 0
        for corners, row in zip(self._corners, heats, strict=True):
            for (y, x), heat in zip(corners, row, strict=True):
                out[y : y + h, x : x + w] = overlay(small, heat, signed=self._versus is not None)
                left = max(x, x + at - 1)
                out[y + h + 2 : y + h + _LANE, left : min(left + 2, x + w)] = WHITE
        draw_text(out, clock(time - start, decimals=1), self._clock_at, 29, _S.text, TEXT)
        return out

    def _measure_size(self, columns: int) -> tuple[int, int]:
        blocks, per, (h, w) = self._layout
        wide = blocks * (self._gutter + columns * (w + _S.pad) + _BETWEEN) - _BETWEEN
        return _HEAD + _TITLES + per * (h + _LANE + _S.pad) + _FOOT, _S.pad + wide

    def _find_corner(self, row: int, column: int, columns: int) -> tuple[int, int]:
        """Return the row and column of a cell's first pixel."""
        _, per, (h, w) = self._layout
        block, i = divmod(row, per)
        x = _S.pad + block * (self._gutter + columns * (w + _S.pad) + _BETWEEN) + self._gutter + column * (w + _S.pad)
        return _HEAD + _TITLES + i * (h + _LANE + _S.pad), x

    def _draw_words(self, rows: Sequence[Row], columns: Sequence[tuple[str, str]], title: str) -> None:
        canvas, (h, w) = self._canvas, self.cell
        room = self._clock_at - 3 * _S.pad
        draw_text(canvas, fit_text(title, _S.text, room), _S.pad, 29, _S.text, DIM)
        for first in self._corners[:: self._layout.per]:
            for (y, x), (label, more) in zip(first, columns, strict=True):
                left = w - text_width(more, _S.text) - 8
                shown = fit_text(clean_text(label), _S.text, left if left > w // 3 else w, weight=BOLD)
                end = draw_text(canvas, shown, x, y - 10, _S.text, WHITE, weight=BOLD)
                draw_text(canvas, fit_text(more, _S.text, x + w - end - 8), end + 8, y - 10, _S.text, DIM)
        room = self._gutter - _S.pad
        for row, corners in zip(rows, self._corners, strict=True):
            y, x = corners[0][0], corners[0][1] - self._gutter
            draw_text(canvas, fit_text(row.name, _S.text, room, weight=BOLD), x, y + 15, _S.text, WHITE, weight=BOLD)
            step = round(_S.small * 1.45)
            lines = [line for fact in row.facts for line in _wrap(clean_text(fact), room)]
            for n, line in enumerate(lines[: max(0, (h + _LANE - 24) // step)], 1):
                draw_text(canvas, line, x, y + 19 + n * step, _S.small, DIM)

    def _draw_curve(self, y: int, x: int, times: FloatArray, curve: FloatArray) -> None:
        """Draw the evidence over time under its picture; the evidence against the class goes down from the middle."""
        h, w = self.cell
        top, tall = y + h + 2, _LANE - 2
        self._canvas[top : top + tall, x : x + w] = LANE
        start, end = self._span
        values = np.interp(np.linspace(start, end, w), times, np.nan_to_num(curve))
        if self._versus is None:
            self._fill_area(top, x, values, tall, FOR)
            return
        self._fill_area(top, x, values, tall // 2, FOR)
        self._fill_area(top + tall // 2, x, -values, tall // 2, AGAINST, down=True)
        self._canvas[top + tall // 2, x : x + w] = RULE

    def _fill_area(self, top: int, x: int, values: FloatArray, tall: int, rgb: RGB, *, down: bool = False) -> None:
        """Fill the positive part of ``values``, up to 1, from the lower edge of ``tall`` rows up, or from the upper edge down."""
        at = values.clip(0, 1) * (tall - 4)
        above = at[None, :] - np.arange(tall - 1, -1, -1)[:, None]  # how far the curve is above each pixel's lower edge
        above = above[::-1] if down else above
        blend(self._canvas, top, x, 0.4 * np.clip(above, 0, 1), rgb)
        blend(self._canvas, top, x, np.clip(1.5 - np.abs(above - 0.5), 0, 1) * (at > 0), rgb)

    def _draw_key(self, *, whole: bool) -> None:
        """Draw what the colours, the curves and the hatching mean, as far as there is room."""
        canvas, s, signed = self._canvas, _S, self._versus is not None
        baseline = self.size[0] - 15
        middle = baseline - round(s.small * 0.36)
        low, high = "0", "1.0"
        if self._versus is not None:
            low, high = f"{fit_text(self._versus, s.small, self.size[1] // 4)} −1", "+1 the class"
        x = draw_text(canvas, low, s.pad, baseline, s.small, DIM) + 7
        ramp = np.tile(np.linspace(-1.0 if signed else 0.0, 1.0, 120, dtype=np.float32), (10, 1))
        ground = np.full((10, 120, 3), 44, np.uint8)
        heat = Heat(ramp.clip(0), (-ramp).clip(0) if signed else None, 1.0, (Box(0, 0, 10, 120),), "")
        canvas[middle - 5 : middle + 5, x : x + 120] = overlay(ground, heat, opacity=1.0, signed=signed)
        x = draw_text(canvas, high, x + 127, baseline, s.small, DIM) + 10
        x = self._draw_note("each method has one scale for all its classes and the whole video", x, baseline)
        pill(canvas, (middle - 5, x, middle + 5, x + 20), FOR, alpha=0.85, radius=2)
        if signed:
            pill(canvas, (middle, x, middle + 5, x + 20), AGAINST, radius=2)
        x = self._draw_note("their difference over time" if signed else "evidence for the class over time", x + 28, baseline)
        if not whole and x + 28 < self.size[1]:
            canvas[middle - 5 : middle + 5, x : x + 20] = RULE
            hatch(canvas, (middle - 5, x, middle + 5, x + 20), s)
            self._draw_note("not seen by the model", x + 28, baseline)

    def _draw_note(self, words: str, x: int, baseline: int, rgb: RGB = DIM) -> int:
        shown = fit_text(words, _S.small, self.size[1] - _S.pad - x)
        return draw_text(self._canvas, shown, x, baseline, _S.small, rgb) + 24


def _choose_layout(source: tuple[int, int], rows: int, columns: int, gutter: int) -> _Layout:
    """Return the layout with the largest cells."""
    best: _Layout | None = None
    for blocks in range(1, rows + 1):
        per = math.ceil(rows / blocks)
        wide = (WIDTH - _S.pad - blocks * (gutter + _BETWEEN) + _BETWEEN) / (blocks * columns) - _S.pad
        tall = (HEIGHT - _HEAD - _TITLES - _FOOT) / per - _LANE - _S.pad
        factor = min(wide / source[1], tall / source[0], max(1.0, _WIDE / source[1]))
        cell = max(_NARROW, math.floor(source[0] * factor)), max(_NARROW, math.floor(source[1] * factor))
        if best is None or cell[0] * cell[1] > best.cell[0] * best.cell[1]:
            best = _Layout(math.ceil(rows / per), per, cell)
    assert best is not None
    return best


def _wrap(words: str, room: int) -> list[str]:
    """Return the words in lines that fit into ``room`` pixels."""
    lines: list[str] = []
    for word in words.split():
        if lines and text_width(longer := f"{lines[-1]} {word}", _S.small) <= room:
            lines[-1] = longer
        else:
            lines.append(fit_text(word, _S.small, room))
    return lines


def _is_whole(box: Box, size: tuple[int, int]) -> bool:
    return box.y0 <= 0.5 and box.x0 <= 0.5 and box.y1 >= size[0] - 0.5 and box.x1 >= size[1] - 0.5
