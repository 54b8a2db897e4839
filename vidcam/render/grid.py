"""Several explanations of one video in one picture: methods down, classes across, every cell the same frame with its own heat.

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
from vidcam.render import text as txt
from vidcam.render.colormap import AGAINST, FOR
from vidcam.render.overlay import overlay
from vidcam.render.paint import DIM, GROUND, LANE, RGB, RULE, TEXT, WHITE, Sizes, blend, hatch, pill
from vidcam.render.timeline_strip import clock
from vidcam.values import Box, FloatArray, Heat, UInt8Array

__all__ = ["Grid", "Row"]

WIDTH, HEIGHT = 1920, 1080
"""The largest picture that comes out."""

_S = Sizes(text=18, small=14, pad=12, line=1)
_HEAD, _TITLES, _LANE, _FOOT = 44, 34, 30, 38  # the heading, the names of the classes, a curve, the key
_GUTTER = (165, 235)  # the room for a method's name and facts, at least and at most
_BETWEEN = 26  # blocks
_WIDE = 480  # a cell is drawn no larger than its source, or this wide
_NARROW = 24


@dataclass(frozen=True)
class Row:
    """One method: its ``name``, ``facts`` in words (the most important first, as many as there is room for), and for each class
    a curve ``(N,)`` of its evidence over the whole video, in [0, 1]; in [-1, 1] where what speaks against it is shown too."""

    name: str
    facts: tuple[str, ...]
    curves: tuple[FloatArray, ...]


class _Layout(NamedTuple):
    """The rows stand in ``blocks`` beside each other, ``per`` in each; ``cell`` is (H, W) of a picture."""

    blocks: int
    per: int
    cell: tuple[int, int]


class Grid:
    """Draws the frames of one video as a grid: ``rows`` are methods, ``columns`` classes, each with a few words more.

    ``source_size`` is (H, W) of the frames that come; ``cell`` (H, W) of each picture in the grid, and of the heats that go with
    it; ``size`` (H, W) of what comes out, even and at most 1080 x 1920. Rows stand in blocks beside each other where that makes
    cells larger. ``title`` stands above; ``times (N,)`` are the seconds of the curves, ``span`` the video's [start, end);
    ``seen`` are the rectangles of the source that the model looks at: is there anything else, the key says what hatching means.
    ``versus`` is the class that evidence against speaks for, which then is shown in the second colour, in pictures and curves.
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
        self._versus = None if versus is None else txt.clean(versus)
        widest = max(txt.width(row.name, _S.text, weight=txt.BOLD) for row in rows)
        self._gutter = min(max(widest, _GUTTER[0]), _GUTTER[1]) + _S.pad
        self._layout = _layout(source_size, len(rows), len(columns), self._gutter)
        self.cell = self._layout.cell
        height, width = self._extent(len(columns))
        self.size: tuple[int, int] = (height + height % 2, width + width % 2)
        self._corners = [[self._corner(i, j, len(columns)) for j in range(len(columns))] for i in range(len(rows))]
        self._canvas = np.empty((*self.size, 3), np.uint8)
        self._canvas[:] = GROUND
        self._clock_at = self.size[1] - _S.pad - txt.width(clock(span[1] - span[0], decimals=1), _S.text)
        self._words(rows, columns, txt.clean(title))
        self._key(whole=any(_is_whole(box, source_size) for box in seen))
        for i, row in enumerate(rows):
            for j, curve in enumerate(row.curves):
                self._curve(*self._corners[i][j], times, curve)

    def draw(self, image: UInt8Array, heats: Sequence[Sequence[Heat | None]], *, time: float) -> UInt8Array:
        """One picture of the grid, ``size + (3,) uint8`` RGB in an array of its own.

        ``image (H, W, 3) uint8`` RGB of ``source_size``; ``heats`` by row and column, of the size ``cell``, None where no window
        looked at ``time``.
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
        txt.put(out, clock(time - start, decimals=1), self._clock_at, 29, _S.text, TEXT)
        return out

    def _extent(self, columns: int) -> tuple[int, int]:
        blocks, per, (h, w) = self._layout
        wide = blocks * (self._gutter + columns * (w + _S.pad) + _BETWEEN) - _BETWEEN
        return _HEAD + _TITLES + per * (h + _LANE + _S.pad) + _FOOT, _S.pad + wide

    def _corner(self, row: int, column: int, columns: int) -> tuple[int, int]:
        """Row and column of a cell's first pixel."""
        _, per, (h, w) = self._layout
        block, i = divmod(row, per)
        x = _S.pad + block * (self._gutter + columns * (w + _S.pad) + _BETWEEN) + self._gutter + column * (w + _S.pad)
        return _HEAD + _TITLES + i * (h + _LANE + _S.pad), x

    def _words(self, rows: Sequence[Row], columns: Sequence[tuple[str, str]], title: str) -> None:
        canvas, (h, w) = self._canvas, self.cell
        room = self._clock_at - 3 * _S.pad
        txt.put(canvas, txt.fit(title, _S.text, room), _S.pad, 29, _S.text, DIM)
        for first in self._corners[:: self._layout.per]:
            for (y, x), (label, more) in zip(first, columns, strict=True):
                left = w - txt.width(more, _S.text) - 8
                shown = txt.fit(txt.clean(label), _S.text, left if left > w // 3 else w, weight=txt.BOLD)
                end = txt.put(canvas, shown, x, y - 10, _S.text, WHITE, weight=txt.BOLD)
                txt.put(canvas, txt.fit(more, _S.text, x + w - end - 8), end + 8, y - 10, _S.text, DIM)
        room = self._gutter - _S.pad
        for row, corners in zip(rows, self._corners, strict=True):
            y, x = corners[0][0], corners[0][1] - self._gutter
            txt.put(canvas, txt.fit(row.name, _S.text, room, weight=txt.BOLD), x, y + 15, _S.text, WHITE, weight=txt.BOLD)
            step = round(_S.small * 1.45)
            lines = [line for fact in row.facts for line in _wrapped(txt.clean(fact), room)]
            for n, line in enumerate(lines[: max(0, (h + _LANE - 24) // step)], 1):
                txt.put(canvas, line, x, y + 19 + n * step, _S.small, DIM)

    def _curve(self, y: int, x: int, times: FloatArray, curve: FloatArray) -> None:
        """The evidence over the video, under its picture; what speaks against the class goes down from the middle."""
        h, w = self.cell
        top, tall = y + h + 2, _LANE - 2
        self._canvas[top : top + tall, x : x + w] = LANE
        start, end = self._span
        values = np.interp(np.linspace(start, end, w), times, np.nan_to_num(curve))
        if self._versus is None:
            self._area(top, x, values, tall, FOR)
            return
        self._area(top, x, values, tall // 2, FOR)
        self._area(top + tall // 2, x, -values, tall // 2, AGAINST, down=True)
        self._canvas[top + tall // 2, x : x + w] = RULE

    def _area(self, top: int, x: int, values: FloatArray, tall: int, rgb: RGB, *, down: bool = False) -> None:
        """What is positive in ``values``, up to 1, filled from the lower edge of ``tall`` rows up, or from the upper down."""
        at = values.clip(0, 1) * (tall - 4)
        above = at[None, :] - np.arange(tall - 1, -1, -1)[:, None]  # how far the curve is above each pixel's lower edge
        above = above[::-1] if down else above
        blend(self._canvas, top, x, 0.4 * np.clip(above, 0, 1), rgb)
        blend(self._canvas, top, x, np.clip(1.5 - np.abs(above - 0.5), 0, 1) * (at > 0), rgb)

    def _key(self, *, whole: bool) -> None:
        """What the colours, the curves and the hatching mean, as far as there is room."""
        canvas, s, signed = self._canvas, _S, self._versus is not None
        baseline = self.size[0] - 15
        middle = baseline - round(s.small * 0.36)
        low, high = "0", "1.0"
        if self._versus is not None:
            low, high = f"{txt.fit(self._versus, s.small, self.size[1] // 4)} −1", "+1 the class"
        x = txt.put(canvas, low, s.pad, baseline, s.small, DIM) + 7
        ramp = np.tile(np.linspace(-1.0 if signed else 0.0, 1.0, 120, dtype=np.float32), (10, 1))
        ground = np.full((10, 120, 3), 44, np.uint8)
        heat = Heat(ramp.clip(0), (-ramp).clip(0) if signed else None, 1.0, (Box(0, 0, 10, 120),), "")
        canvas[middle - 5 : middle + 5, x : x + 120] = overlay(ground, heat, opacity=1.0, signed=signed)
        x = txt.put(canvas, high, x + 127, baseline, s.small, DIM) + 10
        x = self._note("each method has one scale for all its classes and the whole video", x, baseline)
        pill(canvas, (middle - 5, x, middle + 5, x + 20), FOR, alpha=0.85, radius=2)
        if signed:
            pill(canvas, (middle, x, middle + 5, x + 20), AGAINST, radius=2)
        x = self._note("their difference over time" if signed else "evidence for the class over time", x + 28, baseline)
        if not whole and x + 28 < self.size[1]:
            canvas[middle - 5 : middle + 5, x : x + 20] = RULE
            hatch(canvas, (middle - 5, x, middle + 5, x + 20), s)
            self._note("not seen by the model", x + 28, baseline)

    def _note(self, words: str, x: int, baseline: int, rgb: RGB = DIM) -> int:
        shown = txt.fit(words, _S.small, self.size[1] - _S.pad - x)
        return txt.put(self._canvas, shown, x, baseline, _S.small, rgb) + 24


def _layout(source: tuple[int, int], rows: int, columns: int, gutter: int) -> _Layout:
    """The number of blocks that makes the cells largest."""
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


def _wrapped(words: str, room: int) -> list[str]:
    """The words in lines that fit."""
    lines: list[str] = []
    for word in words.split():
        if lines and txt.width(longer := f"{lines[-1]} {word}", _S.small) <= room:
            lines[-1] = longer
        else:
            lines.append(txt.fit(word, _S.small, room))
    return lines


def _is_whole(box: Box, size: tuple[int, int]) -> bool:
    return box.y0 <= 0.5 and box.x0 <= 0.5 and box.y1 >= size[0] - 0.5 and box.x1 >= size[1] - 0.5
