"""The renderer: a whole video's look is fixed when it is made, so that each picture only blends, moves the cursor and copies."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar, cast

import cv2
import numpy as np

from vidcam.errors import UnknownNameError, UsageError
from vidcam.render.overlay import STYLES, Style, overlay
from vidcam.render.paint import GROUND, Sizes, pill
from vidcam.render.panel import Legend, draw_footer, draw_heading, draw_labels, footer_rows, heading_rows, translucent
from vidcam.render.strip import Strip
from vidcam.types import FloatArray, Heat, Segment, UInt8Array

__all__ = ["Renderer"]

T = TypeVar("T")
NARROWEST = 96
"""A picture narrower than this many pixels has no room for words: it comes out with its heat alone."""


class Renderer:
    """Draws every frame of one video: the heat over the picture, the labels, and a panel with the evidence strip under it.

    ``source_size`` is (H, W) of the frames that will come; ``size`` is (H, W) of the pictures that go out, always even.
    ``curves`` maps each explained label to ``(times (N,) s, values (N,))``, signed evidence per second, NaN where no window
    looked; without any (a live stream) there is no strip. ``span`` is the [start, end) that the strip shows, by default what the
    curves cover; ``origin`` is the time that is written as 0 s, by default the span's start. ``top`` is the number of labels
    with probability bars; a small picture shows fewer, and under the picture instead of over it; one narrower than 96 pixels
    comes out without any words. Not for several threads at once.
    """

    def __init__(
        self,
        *,
        source_size: tuple[int, int],
        legend: Legend,
        style: Style = "heat",
        opacity: float = 0.62,
        signed: bool = False,
        curves: Mapping[str, tuple[FloatArray, FloatArray]] | None = None,
        span: tuple[float, float] | None = None,
        origin: float | None = None,
        segments: Sequence[Segment] = (),
        top: int = 3,
    ) -> None:
        if style not in STYLES:
            raise UnknownNameError("style", style, STYLES)
        if not 0 < opacity <= 1:
            raise UsageError(f"opacity must be above 0 and at most 1, got {opacity}")
        if not 0 <= top <= 5:
            raise UsageError(f"top is how many labels are listed, 0 to 5, got {top}")
        self.source_size = source_size
        self.legend, self.style, self.opacity, self.signed = legend, style, opacity, signed
        height, width = source_size
        self._shown = width * (2 if style == "side-by-side" else 1)
        full = self._shown + self._shown % 2
        s = self._sizes = Sizes.of(height, width)
        self._strip: Strip | None = None
        self._wordless = full < NARROWEST
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
        self._tops: dict[str, int] = {}
        y = height + s.pad // 2
        for name, rows in (
            ("labels", 0 if self._over or not top else self._label_box[0]),
            ("heading", heading_rows(full, s) * round(s.text * 1.75)),
            ("strip", self._strip.height + s.pad // 2 if self._strip else 0),
            ("footer", len(self._footer)),
        ):
            self._tops[name] = y
            y += rows
        y = height if self._wordless else y
        self.size: tuple[int, int] = (y + y % 2, full)
        self._cache: dict[Hashable, tuple[Hashable, object]] = {}

    def draw(
        self,
        image: UInt8Array,
        *,
        heat: Heat | None,
        time: float,
        top: Sequence[tuple[str, float]],
        label: str,
        sampled: bool = False,
    ) -> UInt8Array:
        """One picture of the annotated video, ``size + (3,) uint8`` RGB, in an array of its own.

        ``image (H, W, 3) uint8`` RGB of ``source_size``; ``heat`` None where no window looked at ``time`` (seconds on the curves'
        clock); ``top`` the (label, probability) pairs, most probable first; ``label`` what ``heat`` explains; ``sampled``: was
        the model shown this very frame? The image is not changed.
        """
        height, width = self.source_size
        if image.shape != (height, width, 3) or image.dtype != np.uint8:
            raise UsageError(f"this renderer draws uint8 pictures of {(height, width, 3)}, got {image.dtype} {image.shape}")
        out = np.empty((*self.size, 3), np.uint8)
        picture = out[:height, : self._shown]
        picture[:] = overlay(image, heat, style=self.style, opacity=self.opacity, signed=self.signed)
        out[:height, self._shown :] = out[:height, self._shown - 1 : self._shown]
        if self._wordless:
            out[height:] = out[height - 1 : height]
            return out
        out[height:] = GROUND
        self._labels(out, tuple(top[: self._count]), label)
        self._heading(out, label, heat)
        if self._strip is not None:
            self._evidence(out, self._strip, time, label, sampled)
        out[self._tops["footer"] : self._tops["footer"] + len(self._footer)] = self._footer
        return out

    def _labels(self, out: UInt8Array, top: tuple[tuple[str, float], ...], label: str) -> None:
        if not top:
            return
        height, width = self._label_box
        if not self._over:
            y = self._tops["labels"]
            out[y : y + height] = self._once("labels", (top, label), lambda: self._labels_below(top, label))
            return
        keep, add = self._once("labels", (top, label), lambda: self._labels_over(top, label))
        margin = self._sizes.pad
        part = out[margin : margin + len(keep), margin : margin + width]
        part[:] = cv2.add(cv2.multiply(part, keep, scale=1 / 255), add)

    def _labels_below(self, top: tuple[tuple[str, float], ...], label: str) -> UInt8Array:
        canvas = np.empty((*self._label_box, 3), np.uint8)
        canvas[:] = GROUND
        draw_labels(canvas, top, label, self._sizes, columns=self._columns)
        return canvas

    def _labels_over(self, top: tuple[tuple[str, float], ...], label: str) -> tuple[UInt8Array, UInt8Array]:
        height, width = self._label_box
        height -= (self._count - len(top)) * 2 * self._sizes.small

        def draw(canvas: UInt8Array) -> None:
            pill(canvas, (0, 0, height, width), GROUND, alpha=0.68, radius=self._sizes.text * 0.45)
            draw_labels(canvas, top, label, self._sizes)

        return translucent(height, width, draw)

    def _heading(self, out: UInt8Array, label: str, heat: Heat | None) -> None:
        scale = self.legend.scale if self.legend.scale is not None or heat is None else heat.scale

        def draw() -> UInt8Array:
            return draw_heading(
                self.size[1],
                self._sizes,
                label=label,
                scale=scale,
                legend=self.legend,
                style=self.style,
                signed=self.signed,
            )

        band = self._once("heading", (label, scale), draw)
        out[self._tops["heading"] : self._tops["heading"] + len(band)] = band

    def _evidence(self, out: UInt8Array, strip: Strip, time: float, label: str, sampled: bool) -> None:
        band = out[self._tops["strip"] : self._tops["strip"] + strip.height]
        band[:] = self._once("strip", label, lambda: strip.draw(label))
        strip.cursor(band, time, sampled=sampled)

    def _once(self, name: str, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` draws, kept until the key changes: labels change with the window, the rest hardly ever."""
        held = self._cache.get(name)
        if held is None or held[0] != key:
            held = self._cache[name] = (key, make())
        return cast("T", held[1])
