"""The evidence strip: for each explained label a curve of its signed evidence per second over the whole video."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from vidcam.errors import UsageError
from vidcam.render import text as txt
from vidcam.render.colormap import AGAINST, FOR
from vidcam.render.paint import DIM, GROUND, LANE, MARK, RULE, TEXT, WHITE, Sizes, blend, disc, hatch, pill
from vidcam.values import FloatArray, Segment, UInt8Array

__all__ = ["Strip", "clock", "ticks"]

_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


def clock(seconds: float, *, decimals: int = 0) -> str:
    """``3.4 s`` below a minute, ``1:05.0`` and ``1:02:05`` from there."""
    seconds = round(seconds, decimals) + 0.0  # no minus zero
    if abs(seconds) < 60:
        return f"{seconds:.{decimals}f} s".replace("-", "−")
    minutes, rest = divmod(abs(seconds), 60)
    hours, minutes = divmod(int(minutes), 60)
    tail = f"{rest:0{3 + decimals if decimals else 2}.{decimals}f}"
    return ("−" if seconds < 0 else "") + (f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}")


def ticks(start: float, end: float, most: int) -> tuple[FloatArray, int]:
    """Round seconds within [start, end], at most about ``most`` of them, and how many decimals they need."""
    step = next((s for s in _STEPS if (end - start) / s <= most), 14400 * max(1, int((end - start) / 14400 / max(1, most)) + 1))
    return np.arange(np.ceil((start - 1e-9) / step), np.floor((end + 1e-9) / step) + 1) * step, 1 if step < 1 else 0


@dataclass(frozen=True)
class Strip:
    """The layout of the strip: made once, it draws itself and knows where a time is.

    ``curves`` maps a label to ``(times (N,) s, values (N,))``, NaN where no window looked; between two times it is linear, past
    the ends it is held. ``span`` is what the strip shows, on the same clock; ``origin`` is written as 0 s.
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

    def _shown(self, label: str) -> tuple[str, ...]:
        """The labels that have a lane while ``label`` is explained: it takes the last one if it has none of its own."""
        return self.lanes if label in self.lanes or label not in self.curves else (*self.lanes[:-1], label)

    @property
    def beside(self) -> bool:
        """Do the lanes' names stand beside them (in a wide picture), or above?"""
        return self.width >= 36 * self.sizes.text

    @property
    def lane(self) -> tuple[int, int]:
        """The heights of what stands above a lane's plot, and of the plot."""
        tall = round(self.sizes.text * (3.4, 2.7, 2.2, 2.0)[len(self.lanes) - 1])
        return (0, max(tall, round(self.sizes.small * 2.6))) if self.beside else (round(self.sizes.small * 1.55), tall)

    @cached_property
    def plot_left(self) -> int:
        """The first column of the plots."""
        pad = self.sizes.pad
        if not self.beside:
            return pad
        widest = max(txt.width(words, self.sizes.small, weight=txt.BOLD) for name in self.curves for words in self._words(name))
        return pad + min(widest, round(0.2 * self.width)) + pad

    @property
    def height(self) -> int:
        return len(self.lanes) * (sum(self.lane) + self.sizes.pad // 2) - self.sizes.pad // 2 + self.axis

    @property
    def axis(self) -> int:
        return round(self.sizes.small * 1.9)

    def x_of(self, time: float) -> float:
        """The pixel edge where ``time`` is, held within the plot."""
        start, end = self.span
        left, right = self.plot_left, self.width - self.sizes.pad
        return left + min(max((time - start) / (end - start), 0.0), 1.0) * (right - left)

    def draw(self, label: str) -> UInt8Array:
        """The strip ``(height, width, 3) uint8`` without its cursor; the lane of ``label`` is there and stands out."""
        s = self.sizes
        out = np.empty((self.height, self.width, 3), np.uint8)
        out[:] = GROUND
        values = {name: self._sampled(*self.curves[name]) for name in self._shown(label)}
        finite = np.concatenate([v[np.isfinite(v)] for v in values.values()])
        low, high = min(0.0, float(finite.min(initial=0))), max(0.0, float(finite.max(initial=0)))
        high = high if high > low else low + 1.0
        low, high = low - 0.04 * (high - low), high + 0.06 * (high - low)
        heading, plot = self.lane
        y = 0
        for name in values:
            self._heading(out[y : y + (heading or plot)], name, strong=name == label)
            self._plot(out, y + heading, plot, name, values[name], (low, high), strong=name == label)
            y += heading + plot + s.pad // 2
        self._axis(out, self.height - self.axis)
        return out

    def reach(self, time: float) -> tuple[int, int]:
        """The columns ``[left, right)`` that the cursor at ``time`` may change."""
        x, box = self.x_of(time), self._time_box(time)
        edges = [*box, x - self.sizes.line, x + self.sizes.line, *(e for a, b, *_ in self._hidden(box) for e in (a, b))]
        return max(0, math.floor(min(edges))), min(self.width, math.ceil(max(edges)))

    def cursor(self, band: UInt8Array, time: float, *, sampled: bool, left: int = 0) -> None:
        """Draw where ``time`` is into a copy of the strip, or of its columns from ``left`` on that are within :meth:`reach`.

        A dot says that the model was shown this very frame.
        """
        s = self.sizes
        bottom = self.height - self.axis
        line = max(0, round(self.x_of(time) - s.line / 2) - left)
        heading, plot = self.lane
        for y in range(heading, bottom, heading + plot + s.pad // 2):
            band[y : y + plot, line : line + s.line] = WHITE
        radius = s.small * 0.2
        box = self._time_box(time)
        pill_left, pill_right = box[0] - left, box[1] - left
        top = bottom + round(s.small * 0.2)
        tall = round(s.small * 1.5)
        for words_left, words_right, *_ in self._hidden(box):  # a half hidden number would be misread
            band[bottom + round(s.small * 0.35) :, words_left - left : words_right - left] = GROUND
        band[bottom : top + tall // 2, line : line + s.line] = WHITE
        pill(band, (top, pill_left, top + tall, pill_right), WHITE)
        start = round(pill_left + s.small * 0.55)
        if sampled:
            disc(band, top + tall / 2, start + radius, radius, MARK)
        baseline = top + round(tall / 2 + s.small * 0.34)
        txt.put(band, self._clock(time), round(start + radius * 3.8), baseline, s.small, GROUND, weight=txt.BOLD)

    def _clock(self, time: float) -> str:
        return clock(time - self.origin, decimals=2 if self.span[1] - self.span[0] < 60 else 1)

    def _time_box(self, time: float) -> tuple[int, int]:
        """The pixel edges ``[left, right)`` of the box with the time in it, which is of one width and moves by whole pixels."""
        s = self.sizes
        wide = round(self._widest + s.small * 2 * (0.55 + 0.2 * 1.9))
        left = min(max(round(self.x_of(time) - wide / 2), s.pad // 2), self.width - s.pad // 2 - wide)
        return left, left + wide

    @cached_property
    def _widest(self) -> int:
        """The width of the longest time that is written in the box."""
        ends = ("".join("0" if c.isdigit() else c for c in self._clock(t)) for t in self.span)
        return max(txt.width(words, self.sizes.small, weight=txt.BOLD) for words in ends)

    def _hidden(self, box: tuple[int, int]) -> list[tuple[int, int, float, str]]:
        """The time marks whose words the box would cover."""
        gap = self.sizes.small * 0.4
        return [mark for mark in self._marks if mark[1] > box[0] - gap and mark[0] < box[1] + gap]

    def _sampled(self, times: FloatArray, values: FloatArray) -> FloatArray:
        """The curve as ``(columns, m)`` values, m to a pixel column: enough that no sample of the curve falls between."""
        start, end = self.span
        columns = self.width - self.sizes.pad - self.plot_left
        m = int(np.clip(np.ceil(2 * len(times) / columns), 4, 64))
        at = start + (np.arange(columns * m) + 0.5) / (columns * m) * (end - start)
        return np.asarray(np.interp(at, times, values)).reshape(columns, m)

    def _words(self, name: str) -> tuple[str, str]:
        """What is written at the lane of ``name``: its title, and the highest value."""
        values = self.curves[name][1]
        seen = values[np.isfinite(values)]
        peak = f"peak {seen.max():.2g}".replace("-", "−") if seen.size else "peak –"
        title = "evidence per second" if len(self.lanes) == 1 else txt.clean(name)  # the heading names a single label already
        return title, f"{peak} {self.unit}/s" if self.unit else peak

    def _heading(self, row: UInt8Array, name: str, *, strong: bool) -> None:
        s = self.sizes
        title, note = self._words(name)
        strong = strong and len(self.lanes) > 1
        weight, tint = (txt.BOLD, TEXT) if strong else (txt.REGULAR, DIM)
        if self.beside:
            room = self.plot_left - 2 * s.pad
            note = note if txt.width(note, s.small) <= room else _without_unit(note)
            first = round(len(row) / 2 - s.small * 0.18)
            txt.put(row, txt.fit(title, s.small, room, weight=weight), s.pad, first, s.small, tint, weight=weight)
            txt.put(row, txt.fit(note, s.small, room), s.pad, first + round(s.small * 1.15), s.small, DIM)
            return
        baseline = round(s.small * 1.12)
        if txt.width(note, s.small) > self.width * 0.45:
            note = _without_unit(note)
        note_x = self.width - s.pad - txt.width(note, s.small)
        if len(self.lanes) == 1 and txt.width(title, s.small) > note_x - 2 * s.pad:
            title = "evidence/s"
        txt.put(row, txt.fit(title, s.small, note_x - 2 * s.pad, weight=weight), s.pad, baseline, s.small, tint, weight=weight)
        txt.put(row, note, note_x, baseline, s.small, DIM)

    def _plot(
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
        blend(out, top, pad, 0.5 * strength * _between(y, zero, plot, above=True), FOR)
        blend(out, top, pad, 0.5 * strength * _between(y, zero, plot, above=False), AGAINST)
        at = round(top + zero - s.line / 2)
        out[at : at + s.line, pad : pad + columns] = RULE
        blind = np.isnan(y).all(1)
        middle = np.where(blind, np.nan, np.nanmean(np.where(blind[:, None], 0.0, y), axis=1))
        for start, end in _runs(~blind):
            points = np.stack([np.arange(start, end) + pad, middle[start:end] + top - 0.5], -1)
            for positive, rgb in ((True, FOR), (False, AGAINST)):
                here = (middle[start:end] <= zero) == positive
                for a, b in _runs(here):
                    tint = tuple(round(c * strength + LANE[i] * (1 - strength)) for i, c in enumerate(rgb))
                    joined = np.rint(points[max(0, a - 1) : b] * 16).astype(np.int32)
                    cv2.polylines(out, [joined], False, tint, s.line, cv2.LINE_AA, shift=4)
        for start, end in _runs(blind):
            hatch(out, (top, pad + start, top + plot, pad + end), s)

    def _axis(self, out: UInt8Array, top: int) -> None:
        s = self.sizes
        for left, _, mark, words in self._marks:
            x = self.x_of(mark + self.origin)
            pill(out, (top, x - s.line / 2, top + s.small * 0.3, x + s.line / 2), RULE, radius=0)
            txt.put(out, words, left, top + round(s.small * 1.35), s.small, DIM)

    @cached_property
    def _marks(self) -> list[tuple[int, int, float, str]]:
        """Each time mark: where its words begin and end, its seconds from the origin, and the words."""
        s = self.sizes
        start, end = self.span[0] - self.origin, self.span[1] - self.origin
        widest = max(txt.width(clock(t, decimals=1 if end - start < 3 else 0), s.small) for t in (start, end))
        seconds, decimals = ticks(start, end, max(1, int((self.width - s.pad - self.plot_left) / (widest * 2.2))))
        out: list[tuple[int, int, float, str]] = []
        for mark in seconds.tolist():
            words = clock(mark, decimals=decimals)
            wide = txt.width(words, s.small)
            left = min(max(round(self.x_of(mark + self.origin) - wide / 2), s.pad), self.width - s.pad - wide)
            if not out or left > out[-1][1] + s.small // 2:
                out.append((left, left + wide, mark, words))
        return out


def _without_unit(note: str) -> str:
    return " ".join(note.split(" ")[:2])


def _between(y: FloatArray, zero: float, rows: int, *, above: bool) -> FloatArray:
    """How much of each pixel ``(rows, columns)`` lies between the curve ``y (columns, m)`` and the zero line, on one side."""
    edge: FloatArray = np.nan_to_num(np.minimum(y, zero) if above else np.maximum(y, zero), nan=zero)
    row = np.arange(rows)[:, None]
    out = np.zeros((rows, len(y)))
    for column in edge.T:  # one of the m curve samples within every pixel column at a time
        first, last = (column, zero) if above else (zero, column)
        out = out + np.clip(np.minimum(row + 1, last) - np.maximum(row, first), 0, 1)
    return np.asarray(out / y.shape[1])


def _runs(flags: FloatArray) -> list[tuple[int, int]]:
    """The half-open index ranges in which ``flags (N,)`` holds."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
