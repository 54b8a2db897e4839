"""Draw the evidence strip: for each explained label a curve of its signed evidence per second over the whole video."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from vidcam.errors import UsageError
from vidcam.evidence.curves import find_runs
from vidcam.io.formatting import CLOCK_STEPS, clock, ticks
from vidcam.render.colormap import AGAINST, FOR
from vidcam.render.paint import DIM, GROUND, LANE, MARK, RULE, TEXT, WHITE, Sizes, blend, disc, hatch, pill
from vidcam.render.text import BOLD, REGULAR, clean_text, draw_text, fit_text, text_width
from vidcam.values import FloatArray, Segment, UInt8Array

__all__ = ["Strip"]

_STEPS = tuple(s for s in CLOCK_STEPS if s >= 0.1)


@dataclass(frozen=True)
class Strip:
    """The layout of the strip, which draws the strip and its cursor.

    ``curves`` maps a label to ``(times (N,) s, values (N,))``, NaN where no clip covers the time; a curve is linear between two
    times and held past the ends. ``span`` is what the strip shows, on the same clock; ``origin`` is written as 0 s.
    """

    width: int
    sizes: Sizes
    curves: Mapping[str, tuple[FloatArray, FloatArray]]
    span: tuple[float, float]
    origin: float
    segments: Sequence[Segment]
    unit: str

    def __post_init__(self) -> None:
        for label, (times, values) in self.curves.items():
            if len(times) != len(values) or len(times) == 0:
                raise UsageError(f"the curve of {label!r} needs one value for each time, got {len(values)} for {len(times)}")
        if not self.span[1] > self.span[0]:
            raise UsageError(f"the strip's span must be [start, end) seconds with end > start, got {self.span}")

    @property
    def lanes(self) -> tuple[str, ...]:
        """The labels that have a lane: the first few, fewer in a small picture, which would be lower than its panel."""
        letters = self.width / self.sizes.text
        return tuple(self.curves)[: 2 if letters < 22 else 3 if letters < 44 else 4]

    def _lanes_with(self, label: str) -> tuple[str, ...]:
        """Return the labels that have a lane while ``label`` is explained: it takes the last lane if it has none of its own."""
        return self.lanes if label in self.lanes or label not in self.curves else (*self.lanes[:-1], label)

    @property
    def has_names_beside(self) -> bool:
        """Whether the lanes' names stand beside them, as in a wide picture, or above."""
        return self.width >= 36 * self.sizes.text

    @property
    def lane_heights(self) -> tuple[int, int]:
        """The heights of the heading above a lane's plot, and of the plot."""
        tall = round(self.sizes.text * (3.4, 2.7, 2.2, 2.0)[len(self.lanes) - 1])
        return (0, max(tall, round(self.sizes.small * 2.6))) if self.has_names_beside else (round(self.sizes.small * 1.55), tall)

    @cached_property
    def plot_left(self) -> int:
        """The first column of the plots."""
        pad = self.sizes.pad
        if not self.has_names_beside:
            return pad
        widest = max(text_width(words, self.sizes.small, weight=BOLD) for name in self.curves for words in self._lane_words(name))
        return pad + min(widest, round(0.2 * self.width)) + pad

    @property
    def height(self) -> int:
        """Height of the strip in pixels."""
        return len(self.lanes) * (sum(self.lane_heights) + self.sizes.pad // 2) - self.sizes.pad // 2 + self.axis_height

    @property
    def axis_height(self) -> int:
        """Height of the time axis in pixels."""
        return round(self.sizes.small * 1.9)

    def x_of(self, time: float) -> float:
        """Return the pixel edge of ``time``, clipped to the plot."""
        start, end = self.span
        left, right = self.plot_left, self.width - self.sizes.pad
        return left + min(max((time - start) / (end - start), 0.0), 1.0) * (right - left)

    def draw(self, label: str) -> UInt8Array:
        """Return the strip ``(height, width, 3) uint8`` without its cursor; ``label`` has a lane, which stands out."""
        s = self.sizes
        out = np.empty((self.height, self.width, 3), np.uint8)
        out[:] = GROUND
        values = {name: self._sample_curve(*self.curves[name]) for name in self._lanes_with(label)}
        finite = np.concatenate([v[np.isfinite(v)] for v in values.values()])
        low, high = min(0.0, float(finite.min(initial=0))), max(0.0, float(finite.max(initial=0)))
        high = high if high > low else low + 1.0
        low, high = low - 0.04 * (high - low), high + 0.06 * (high - low)
        heading, plot = self.lane_heights
        y = 0
        for name in values:
            self._draw_heading(out[y : y + (heading or plot)], name, strong=name == label)
            self._draw_plot(out, y + heading, plot, name, values[name], (low, high), strong=name == label)
            y += heading + plot + s.pad // 2
        self._draw_axis(out, self.height - self.axis_height)
        return out

    def cursor_columns(self, time: float) -> tuple[int, int]:
        """Return the columns ``[left, right)`` that the cursor at ``time`` may change."""
        x, box = self.x_of(time), self._time_box(time)
        edges = [*box, x - self.sizes.line, x + self.sizes.line, *(e for a, b, *_ in self._covered_marks(box) for e in (a, b))]
        return max(0, math.floor(min(edges))), min(self.width, math.ceil(max(edges)))

    def draw_cursor(self, band: UInt8Array, time: float, *, sampled: bool, left: int = 0) -> None:
        """Draw the cursor into a copy of the strip, or of its columns from ``left`` on that are within :meth:`cursor_columns`.

        ``sampled`` adds a dot, which says that the model was shown this very frame.
        """
        s = self.sizes
        bottom = self.height - self.axis_height
        line = max(0, round(self.x_of(time) - s.line / 2) - left)
        heading, plot = self.lane_heights
        for y in range(heading, bottom, heading + plot + s.pad // 2):
            band[y : y + plot, line : line + s.line] = WHITE
        radius = s.small * 0.2
        box = self._time_box(time)
        pill_left, pill_right = box[0] - left, box[1] - left
        top = bottom + round(s.small * 0.2)
        tall = round(s.small * 1.5)
        for words_left, words_right, *_ in self._covered_marks(box):  # a half hidden number would be misread
            band[bottom + round(s.small * 0.35) :, words_left - left : words_right - left] = GROUND
        band[bottom : top + tall // 2, line : line + s.line] = WHITE
        pill(band, (top, pill_left, top + tall, pill_right), WHITE)
        start = round(pill_left + s.small * 0.55)
        if sampled:
            disc(band, top + tall / 2, start + radius, radius, MARK)
        baseline = top + round(tall / 2 + s.small * 0.34)
        draw_text(band, self._format_time(time), round(start + radius * 3.8), baseline, s.small, GROUND, weight=BOLD)

    def _format_time(self, time: float) -> str:
        return clock(time - self.origin, decimals=2 if self.span[1] - self.span[0] < 60 else 1)

    def _time_box(self, time: float) -> tuple[int, int]:
        """Return the pixel edges ``[left, right)`` of the box with the time; it has one width and moves by whole pixels."""
        s = self.sizes
        wide = round(self._widest_time + s.small * 2 * (0.55 + 0.2 * 1.9))
        left = min(max(round(self.x_of(time) - wide / 2), s.pad // 2), self.width - s.pad // 2 - wide)
        return left, left + wide

    @cached_property
    def _widest_time(self) -> int:
        """The width of the longest time in the box."""
        ends = ("".join("0" if c.isdigit() else c for c in self._format_time(t)) for t in self.span)
        return max(text_width(words, self.sizes.small, weight=BOLD) for words in ends)

    def _covered_marks(self, box: tuple[int, int]) -> list[tuple[int, int, float, str]]:
        """Return the time marks whose words the box would cover."""
        gap = self.sizes.small * 0.4
        return [mark for mark in self._marks if mark[1] > box[0] - gap and mark[0] < box[1] + gap]

    def _sample_curve(self, times: FloatArray, values: FloatArray) -> FloatArray:
        """Return the curve as ``(columns, m)`` values, m to a pixel column: enough that no sample of the curve is missed."""
        start, end = self.span
        columns = self.width - self.sizes.pad - self.plot_left
        m = int(np.clip(np.ceil(2 * len(times) / columns), 4, 64))
        at = start + (np.arange(columns * m) + 0.5) / (columns * m) * (end - start)
        return np.asarray(np.interp(at, times, values)).reshape(columns, m)

    def _lane_words(self, name: str) -> tuple[str, str]:
        """Return the words at the lane of ``name``: its title, and its highest value."""
        values = self.curves[name][1]
        finite = values[np.isfinite(values)]
        peak = f"peak {float(f'{finite.max():.2g}'):g}".replace("-", "−") if finite.size else "peak –"
        title = "evidence per second" if len(self.lanes) == 1 else clean_text(name)  # the heading names a single label already
        return title, f"{peak} {self.unit}/s" if self.unit else ""

    def _draw_heading(self, row: UInt8Array, name: str, *, strong: bool) -> None:
        s = self.sizes
        title, note = self._lane_words(name)
        strong = strong and len(self.lanes) > 1
        weight, tint = (BOLD, TEXT) if strong else (REGULAR, DIM)
        if self.has_names_beside:
            room = self.plot_left - 2 * s.pad
            note = note if text_width(note, s.small) <= room else _without_unit(note)
            first = round(len(row) / 2 - s.small * 0.18)
            draw_text(row, fit_text(title, s.small, room, weight=weight), s.pad, first, s.small, tint, weight=weight)
            draw_text(row, fit_text(note, s.small, room), s.pad, first + round(s.small * 1.15), s.small, DIM)
            return
        baseline = round(s.small * 1.12)
        if text_width(note, s.small) > self.width * 0.45:
            note = _without_unit(note)
        note_x = self.width - s.pad - text_width(note, s.small)
        if len(self.lanes) == 1 and text_width(title, s.small) > note_x - 2 * s.pad:
            title = "evidence/s"
        draw_text(row, fit_text(title, s.small, note_x - 2 * s.pad, weight=weight), s.pad, baseline, s.small, tint, weight=weight)
        draw_text(row, note, note_x, baseline, s.small, DIM)

    def _draw_plot(
        self, out: UInt8Array, top: int, plot: int, name: str, values: FloatArray, limits: tuple[float, float], *, strong: bool
    ) -> None:
        s = self.sizes
        low, high = limits
        pad, columns = self.plot_left, values.shape[0]
        out[top : top + plot, pad : pad + columns] = LANE
        zero = high / (high - low) * plot
        for segment in self.segments:
            if segment.label == name and segment.end_s > self.span[0] and segment.start_s < self.span[1]:
                left, right = self.x_of(segment.start_s), self.x_of(segment.end_s)
                pill(out, (top, left, top + plot, right), FOR, alpha=0.13, radius=0)
                pill(out, (top, left, top + 2 * s.line, right), FOR, alpha=0.9 if strong else 0.5, radius=0)
        y = zero - values / (high - low) * plot  # rows below the top of the plot; NaN where unseen
        strength = 1.0 if strong else 0.55
        blend(out, top, pad, 0.5 * strength * _area_coverage(y, zero, plot, above=True), FOR)
        blend(out, top, pad, 0.5 * strength * _area_coverage(y, zero, plot, above=False), AGAINST)
        at = round(top + zero - s.line / 2)
        out[at : at + s.line, pad : pad + columns] = RULE
        blind = np.isnan(y).all(1)
        middle = np.where(blind, np.nan, np.nanmean(np.where(blind[:, None], 0.0, y), axis=1))
        for start, end in find_runs(~blind):
            points = np.stack([np.arange(start, end) + pad, middle[start:end] + top - 0.5], -1)
            for positive, rgb in ((True, FOR), (False, AGAINST)):
                here = (middle[start:end] <= zero) == positive
                for a, b in find_runs(here):
                    tint = tuple(round(c * strength + LANE[i] * (1 - strength)) for i, c in enumerate(rgb))
                    joined = np.rint(points[max(0, a - 1) : b] * 16).astype(np.int32)
                    cv2.polylines(out, [joined], False, tint, s.line, cv2.LINE_AA, shift=4)
        for start, end in find_runs(blind):
            hatch(out, (top, pad + start, top + plot, pad + end), s)

    def _draw_axis(self, out: UInt8Array, top: int) -> None:
        s = self.sizes
        for left, _, mark, words in self._marks:
            x = self.x_of(mark + self.origin)
            pill(out, (top, x - s.line / 2, top + s.small * 0.3, x + s.line / 2), RULE, radius=0)
            draw_text(out, words, left, top + round(s.small * 1.35), s.small, DIM)

    @cached_property
    def _marks(self) -> list[tuple[int, int, float, str]]:
        """For each time mark the columns at which its words begin and end, its seconds from the origin, and the words."""
        s = self.sizes
        start, end = self.span[0] - self.origin, self.span[1] - self.origin
        widest = max(text_width(clock(t, decimals=1 if end - start < 3 else 0), s.small) for t in (start, end))
        marks = ticks(start, end, _STEPS, most=max(1, int((self.width - s.pad - self.plot_left) / (widest * 2.2))))
        decimals = 0 if all(mark == round(mark) for mark in marks) else 1
        out: list[tuple[int, int, float, str]] = []
        for mark in marks:
            words = clock(mark, decimals=decimals)
            wide = text_width(words, s.small)
            left = min(max(round(self.x_of(mark + self.origin) - wide / 2), s.pad), self.width - s.pad - wide)
            if not out or left > out[-1][1] + s.small // 2:
                out.append((left, left + wide, mark, words))
        return out


def _without_unit(note: str) -> str:
    return " ".join(note.split(" ")[:2])


def _area_coverage(y: FloatArray, zero: float, rows: int, *, above: bool) -> FloatArray:
    """Return the coverage ``(rows, columns)`` of the area between the curve ``y (columns, m)`` and zero, on one side."""
    edge: FloatArray = np.nan_to_num(np.minimum(y, zero) if above else np.maximum(y, zero), nan=zero)
    row = np.arange(rows)[:, None]
    out = np.zeros((rows, len(y)))
    for column in edge.T:  # one of the m curve samples within every pixel column at a time
        first, last = (column, zero) if above else (zero, column)
        out = out + np.clip(np.minimum(row + 1, last) - np.maximum(row, first), 0, 1)
    return np.asarray(out / y.shape[1])
