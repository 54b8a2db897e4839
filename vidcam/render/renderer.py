"""Draw the frames of a video: layout and look are fixed at the start, so each picture only blends, moves the cursor and copies.

The renderer draws in the planes of the codec. Words and curves are drawn in RGB, once, and kept as planes until they change.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import accumulate
from typing import TypeVar, cast, get_args

import numpy as np

from vidcam.errors import UnknownNameError, UsageError
from vidcam.render.compositing import Layer
from vidcam.render.legend import Legend
from vidcam.render.overlay import STYLES, Style, draw_over
from vidcam.render.paint import GROUND, Sizes, pill
from vidcam.render.panel import draw_footer, draw_heading, draw_labels, footer_rows, heading_rows, translucent
from vidcam.render.timeline_strip import Strip
from vidcam.settings import Panel
from vidcam.values import FloatArray, Heat, Segment, UInt8Array
from vidcam.yuv import Matrix, Planes, from_rgb

__all__ = ["Renderer"]

T = TypeVar("T")
PANELS: tuple[Panel, ...] = get_args(Panel)
COVER = 0.8
"""The opacity of a panel over the picture: its words stay readable on any ground."""

NARROWEST = 96
"""A picture narrower than this many pixels has no room for words: only its heat is drawn."""


class Renderer:
    """Draws every frame of one video: the heat over the picture, the labels, and a panel with the evidence strip.

    It must not be used by several threads at once.

    Args:
        source_size: (H, W) of the frames.
        legend: The facts around the picture.
        style: One of :data:`~vidcam.render.overlay.STYLES`.
        opacity: The opacity of the strongest evidence, in (0, 1].
        signed: Draw the evidence against the label too.
        threshold: Evidence below this share of the scale is not drawn.
        panel: ``below`` the picture, ``over`` at most its lower half, with what has room there, or ``none``: there are no
            words at all.
        curves: For each explained label ``(times (N,) s, values (N,))``, signed evidence per second, NaN where no clip covers the
            time. Without any (a live stream) there is no strip.
        span: The [start, end) that the strip shows, in seconds; by default what the curves cover.
        origin: The time that is written as 0 s, by default the span's start.
        segments: Marked in the strip.
        allocate: Gives the planes to draw into, for a size (H, W) and a matrix.
        top: The number of labels with probability bars, 0 to 5. A small picture shows fewer, and under the picture instead of
            over it; one narrower than 96 pixels has no words at all.

    Attributes:
        size: (H, W) of the drawn pictures, always even: a picture of odd size has its last row and column repeated.

    Raises:
        UnknownNameError: There is no such style.
        UsageError: ``opacity``, ``threshold`` or ``top`` is out of range.
    """

    def __init__(
        self,
        *,
        source_size: tuple[int, int],
        legend: Legend,
        style: Style = "heat",
        opacity: float = 0.62,
        signed: bool = False,
        threshold: float = 0.0,
        panel: Panel = "below",
        curves: Mapping[str, tuple[FloatArray, FloatArray]] | None = None,
        span: tuple[float, float] | None = None,
        origin: float | None = None,
        segments: Sequence[Segment] = (),
        top: int = 3,
        allocate: Callable[[tuple[int, int], Matrix], Planes] = Planes.empty,
    ) -> None:
        if style not in STYLES:
            raise UnknownNameError("style", style, STYLES)
        if panel not in PANELS:
            raise UnknownNameError("panel", panel, PANELS)
        if not 0 < opacity <= 1:
            raise UsageError(f"opacity must be above 0 and at most 1, got {opacity}")
        if not 0 <= threshold <= 1:
            raise UsageError(f"threshold is a share of the scale, 0 to 1, got {threshold}")
        if not 0 <= top <= 5:
            raise UsageError(f"top is how many labels are listed, 0 to 5, got {top}")
        self.source_size, self._allocate = source_size, allocate
        self.legend, self.style, self.opacity, self.signed = legend, style, opacity, signed
        self.threshold = threshold
        height, width = source_size
        self._under, self._half = height + height % 2, width + width % 2
        full = self._half * (2 if style == "side-by-side" else 1)
        s = self._sizes = Sizes.for_picture(height, width)
        self._strip: Strip | None = None
        self._wordless = full < NARROWEST or panel == "none"
        if curves and not self._wordless:
            if span is None:
                at = np.concatenate([times for times, _ in curves.values()])
                span = (float(at.min(initial=np.inf)), float(at.max(initial=-np.inf)))
            zero = span[0] if origin is None else origin
            self._strip = Strip(full, s, dict(curves), span, zero, tuple(segments), legend.unit)
        # Over the picture the labels may take at most a seventh of it; else they go under it, in as many columns as fit.
        box = (top * 2 * s.small + s.pad, max(11 * s.text, min(round(0.26 * width), 16 * s.text)))
        self._over = top > 0 and 7 * box[0] * box[1] <= height * width
        self._columns = 1 if self._over else min(3, max(1, full // (11 * s.text)))
        self._count = top if self._over else min(top, max(2, self._columns))
        self._label_box = box if self._over else (-(-self._count // self._columns) * 2 * s.small + s.pad // 2, full)
        self._footer = draw_footer(full, s, footer_rows(full, s, legend, strip=self._strip is not None))
        rows = {
            "labels": 0 if self._over or not top else self._label_box[0],
            "heading": heading_rows(full, s) * round(s.text * 1.75),
            "strip": self._strip.height + s.pad // 2 if self._strip else 0,
            "footer": len(self._footer),
        }
        if panel == "over":
            rows = _fitting(rows, height // 2 - s.pad // 2)
            self._strip = self._strip if rows["strip"] else None
            self._footer = self._footer[: rows["footer"]]
            self._wordless |= not rows["heading"]
        tops = accumulate(rows.values(), initial=s.pad // 2)
        self._tops: dict[str, int] = dict(zip([*rows, "end"], tops, strict=True))
        y = self._tops["end"]
        self._lies_over = panel == "over"
        self._panel_rows = 0 if self._wordless else y + y % 2
        self._panel_top = self._under - (self._panel_rows if self._lies_over else 0)
        self.size: tuple[int, int] = (self._panel_top + self._panel_rows, full)
        self._cache: dict[Hashable, tuple[Hashable, object]] = {}

    def draw(
        self,
        picture: Planes,
        *,
        heat: Heat | None,
        time: float,
        top: Sequence[tuple[str, float]],
        label: str,
        sampled: bool = False,
    ) -> Planes:
        """Return one picture of the annotated video, of ``size``; ``picture`` itself is not changed.

        Args:
            picture: A frame of ``source_size``.
            heat: The evidence; None if no clip covers ``time``.
            time: Seconds on the curves' clock.
            top: (label, probability) pairs, most probable first.
            label: The label that ``heat`` explains.
            sampled: Whether the model was shown this very frame.
        """
        if picture.size != self.source_size:
            raise UsageError(f"this renderer draws pictures of {self.source_size} (H, W), got {picture.size}")
        height, width = self.source_size
        out = self._allocate(self.size, picture.matrix)
        lefts = range(0, self.size[1], self._half)
        for left in lefts:
            out.part(0, left, height, left + width).paste(picture)
        overlaid = out.part(0, lefts[-1], height, lefts[-1] + width)
        draw_over(overlaid, heat, style=self.style, opacity=self.opacity, signed=self.signed, threshold=self.threshold)
        for left in lefts:  # colour has no odd column or row to fill
            out.y[:height, left + width : left + self._half] = out.y[:height, left + width - 1 : left + width]
        out.y[height : self._under] = out.y[height - 1 : height]
        if self._wordless:
            return out
        top = tuple(top[: self._count])
        if self._over and top:
            self._make_label_layer(top, label, out.matrix).composite_onto(out)
        scale = self.legend.scale if self.legend.scale is not None or heat is None else heat.scale
        shown = None if self._over else top
        panel = self._cached("panel", (label, scale, shown), lambda: self._draw_panel(label, scale, top))
        key = label, scale, shown, out.matrix
        if self._lies_over:
            self._cached("planes", key, lambda: self._make_panel_layer(panel, out.matrix)).composite_onto(out)
        else:
            out.paste(self._cached("planes", key, lambda: from_rgb(panel, out.matrix)), y=self._panel_top)
        if self._strip is not None:
            self._draw_cursor(out, panel, self._strip, time, sampled)
        return out

    def _make_panel_layer(self, panel: UInt8Array, matrix: Matrix) -> Layer:
        """Return the panel as a layer that the picture shines through."""
        transparency = np.full(panel.shape, round(255 * (1 - COVER)), np.uint8)
        return Layer.from_rgb(transparency, (panel * COVER).astype(np.uint8), (self._panel_top, 0), matrix)

    @property
    def _margin(self) -> int:
        return self._sizes.pad + self._sizes.pad % 2

    def _make_label_layer(self, top: tuple[tuple[str, float], ...], label: str, matrix: Matrix) -> Layer:
        """Return the labels that lie over the picture."""

        def make() -> Layer:
            height, width = (n + n % 2 for n in self._label_box)
            transparency, premultiplied = translucent(height, width, lambda canvas: self._draw_labels(canvas, top, label))
            return Layer.from_rgb(transparency, premultiplied, (self._margin, self._margin), matrix)

        return self._cached("labels", (top, label, matrix), make)

    def _draw_labels(self, canvas: UInt8Array, top: tuple[tuple[str, float], ...], label: str) -> None:
        height, width = self._label_box
        height -= (self._count - len(top)) * 2 * self._sizes.small
        pill(canvas, (0, 0, height, width), GROUND, alpha=0.68, radius=self._sizes.text * 0.45)
        draw_labels(canvas[:height, :width], top, label, self._sizes)

    def _draw_panel(self, label: str, scale: float | None, top: tuple[tuple[str, float], ...]) -> UInt8Array:
        """Return all that is under the picture, without the cursor, in RGB."""
        out = np.empty((self._panel_rows, self.size[1], 3), np.uint8)
        out[:] = GROUND
        if not self._over and top:
            y = self._tops["labels"]
            draw_labels(out[y : y + self._label_box[0]], top, label, self._sizes, columns=self._columns)
        parts = [("footer", self._footer)]
        heading = draw_heading(
            self.size[1], self._sizes, label=label, scale=scale, legend=self.legend, style=self.style, signed=self.signed
        )
        parts.append(("heading", heading))
        if self._strip is not None:
            parts.append(("strip", self._strip.draw(label)))
        for name, band in parts:
            out[self._tops[name] : self._tops[name] + len(band)] = band
        return out

    def _draw_cursor(self, out: Planes, panel: UInt8Array, strip: Strip, time: float, sampled: bool) -> None:
        """Draw the cursor of the strip: only the columns that it touches are converted anew."""
        top = self._tops["strip"]
        left, right = strip.cursor_columns(time)
        left, right = left - left % 2, min(right + right % 2, self.size[1])
        rows = slice(top - top % 2, min(top + strip.height + 1, self._panel_rows))
        if self._lies_over:

            def draw(canvas: UInt8Array) -> None:
                strip.draw_cursor(canvas[top % 2 :], time, sampled=sampled, left=left)

            cursor = translucent(rows.stop - rows.start, right - left, draw)
            Layer.from_rgb(*cursor, (self._panel_top + rows.start, left), out.matrix).composite_onto(out)
            return
        patch = panel[rows, left:right].copy()
        strip.draw_cursor(patch[top % 2 :], time, sampled=sampled, left=left)
        out.paste(from_rgb(patch, out.matrix), y=self._panel_top + rows.start, x=left)

    def _cached(self, name: str, key: Hashable, make: Callable[[], T]) -> T:
        """Return what ``make`` draws, cached until the key changes: labels change with each clip, the rest hardly ever."""
        entry = self._cache.get(name)
        if entry is None or entry[0] != key:
            entry = self._cache[name] = (key, make())
        return cast("T", entry[1])


def _fitting(rows: dict[str, int], room: int) -> dict[str, int]:
    """Return the rows of each part of a panel, none for parts that must go so that the rest fits into the room."""
    rows = dict(rows)
    for part in ("footer", "strip", "heading"):
        if sum(rows.values()) > room:
            rows[part] = 0
    return rows
