"""The values that pass between the stages: frozen, checked when made, numpy only.

Conventions that hold everywhere:

- images and clips are RGB, ``uint8``, ``(H, W, 3)`` and ``(T, H, W, 3)``;
- a time is in seconds on the source stream's own clock; a span is half-open, ``[start, end)``;
- a pixel coordinate counts pixel *centres*: the first pixel is at 0.0, its outer edge at -0.5;
- an evidence map has the axes ``(T', h, w)``: time cells, rows, columns, on the model's own grid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.yuv import Planes, UInt8Array

__all__ = [
    "Box",
    "Clip",
    "CropGeometry",
    "Evidence",
    "FloatArray",
    "Frame",
    "Heat",
    "Keyframe",
    "Prediction",
    "Segment",
    "SourceInfo",
    "Track",
    "UInt8Array",
]

FloatArray = npt.NDArray[np.floating]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UsageError(message)


def _short(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, tuple) and len(value) > 8:
        return f"({value[0]!r}, ... {len(value)} in all)"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k!r}: {_short(v)}" for k, v in value.items()) + "}"
    return repr(value)


class _Value:
    """Prints shapes, not contents."""

    __slots__ = ()

    def __repr__(self) -> str:
        parts = (f"{f.name}={_short(getattr(self, f.name))}" for f in fields(self))  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(parts)})"


def _check_rgb(image: UInt8Array, ndim: int, what: str) -> None:
    shape = "(H, W, 3)" if ndim == 3 else "(T, H, W, 3)"
    _require(
        isinstance(image, np.ndarray)
        and image.dtype == np.uint8
        and image.ndim == ndim
        and image.shape[-1] == 3
        and image.size > 0,
        f"{what} must be a non-empty uint8 RGB array of shape {shape}, got {_short(image)}",
    )


def _check_span(span: tuple[float, float]) -> None:
    start, end = span
    _require(
        math.isfinite(start) and math.isfinite(end) and end > start,
        f"a span is [start, end) in seconds with end > start, got [{start}, {end})",
    )


class Box(NamedTuple):
    """A half-open rectangle in pixel *edges* ``[y0, y1) x [x0, x1)``: the whole picture is ``(0, 0, H, W)``."""

    y0: float
    x0: float
    y1: float
    x1: float

    @property
    def area(self) -> float:
        return max(0.0, self.y1 - self.y0) * max(0.0, self.x1 - self.x0)


@dataclass(frozen=True, repr=False, eq=False)
class Frame(_Value):
    """One upright picture of the source with its own time.

    ``picture`` is ``(H, W, 3) uint8`` RGB or, as most video is coded, :class:`vidcam.yuv.Planes`, with square pixels; ``time``
    and ``duration`` are seconds on the stream's clock.
    """

    picture: UInt8Array | Planes
    time: float
    duration: float

    def __post_init__(self) -> None:
        if not isinstance(self.picture, Planes):
            _check_rgb(self.picture, 3, "a frame's picture")
        _require(math.isfinite(self.time), f"a frame's time must be finite seconds, got {self.time}")
        _require(
            math.isfinite(self.duration) and self.duration >= 0,
            f"a frame's duration must be non-negative seconds, got {self.duration}",
        )

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the picture."""
        return self.picture.size if isinstance(self.picture, Planes) else (self.picture.shape[0], self.picture.shape[1])

    @cached_property
    def image(self) -> UInt8Array:
        """The picture as ``(H, W, 3) uint8`` RGB; converted when it is first asked for."""
        from vidcam.yuv import to_rgb

        return to_rgb(self.picture) if isinstance(self.picture, Planes) else self.picture

    @cached_property
    def planes(self) -> Planes:
        """The picture as planes; converted when they are first asked for."""
        from vidcam.yuv import from_rgb

        return self.picture if isinstance(self.picture, Planes) else from_rgb(self.picture)

    @property
    def end(self) -> float:
        """The second at which the next frame takes over."""
        return self.time + self.duration


@dataclass(frozen=True, repr=False)
class Clip(_Value):
    """The sampled pictures of one clip, ``frames (T, H, W, 3) uint8``.

    ``times (T,)`` are the times of the frames that were really shown to the model, never decreasing; a frame that had to be
    repeated has its time repeated. ``span`` is the part of the video that the window answers for.
    """

    frames: UInt8Array
    times: FloatArray
    span: tuple[float, float]

    def __post_init__(self) -> None:
        _check_rgb(self.frames, 4, "a window's frames")
        times = np.asarray(self.times, dtype=np.float64)
        if times.shape != (len(self.frames),) or not np.isfinite(times).all() or (np.diff(times) < 0).any():
            raise UsageError(
                f"a window needs one finite, never decreasing time for each of its {len(self.frames)} frames, got {times}"
            )
        object.__setattr__(self, "times", times)
        _check_span(self.span)


@dataclass(frozen=True, repr=False)
class CropGeometry(_Value):
    """How source pixels become model pixels: a resize, then a crop; both exactly invertible.

    ``source`` and ``resized`` are ``(H, W)``; ``crop`` is ``(top, left, height, width)`` in resized pixels and lies inside
    ``resized``. What the crop leaves out was never seen by the model.
    """

    source: tuple[int, int]
    resized: tuple[int, int]
    crop: tuple[int, int, int, int]

    def __post_init__(self) -> None:
        for name in ("source", "resized"):
            h, w = getattr(self, name)
            _require(h >= 1 and w >= 1, f"geometry: {name} must be at least 1x1 pixels, got {h}x{w}")
        top, left, height, width = self.crop
        _require(
            height >= 1
            and width >= 1
            and top >= 0
            and left >= 0
            and top + height <= self.resized[0]
            and left + width <= self.resized[1],
            f"geometry: the crop {self.crop} (top, left, height, width) must lie inside the resized picture {self.resized}",
        )

    @property
    def scale(self) -> tuple[float, float]:
        """Source pixels per model pixel, (vertical, horizontal)."""
        return self.source[0] / self.resized[0], self.source[1] / self.resized[1]

    @property
    def seen(self) -> Box:
        """The rectangle of the source, in pixel edges, that the model sees."""
        top, left, height, width = self.crop
        sy, sx = self.scale
        return Box(top * sy, left * sx, (top + height) * sy, (left + width) * sx)

    def to_source(self, y: FloatArray | float, x: FloatArray | float) -> tuple[FloatArray, FloatArray]:
        """Source pixel coordinates of the model pixel coordinates (y, x); pixel centres on both sides."""
        sy, sx = self.scale
        top, left, _, _ = self.crop
        return (np.asarray(y, float) + top + 0.5) * sy - 0.5, (np.asarray(x, float) + left + 0.5) * sx - 0.5

    def to_model(self, y: FloatArray | float, x: FloatArray | float) -> tuple[FloatArray, FloatArray]:
        """Model pixel coordinates of the source pixel coordinates (y, x): the inverse of :meth:`to_source`."""
        sy, sx = self.scale
        top, left, _, _ = self.crop
        return (np.asarray(y, float) + 0.5) / sy - 0.5 - top, (np.asarray(x, float) + 0.5) / sx - 0.5 - left

    def cut(self, frames: UInt8Array) -> UInt8Array:
        """The model's pixels of resized frames ``(..., Hr, Wr, 3)``: ``(..., height, width, 3)``, a view."""
        top, left, height, width = self.crop
        return frames[..., top : top + height, left : left + width, :]


@dataclass(frozen=True, repr=False)
class Prediction(_Value):
    """What the model says about one window: ``logits (K,)`` and ``probs (K,)`` float32, in the order of ``labels``."""

    logits: FloatArray
    probs: FloatArray
    labels: tuple[str, ...]
    span: tuple[float, float]

    def __post_init__(self) -> None:
        k = len(self.labels)
        _require(k >= 1, "a prediction needs at least one label")
        for name in ("logits", "probs"):
            value = getattr(self, name)
            _require(
                isinstance(value, np.ndarray) and value.shape == (k,) and bool(np.isfinite(value).all()),
                f"prediction: {name} must be {k} finite numbers, one for each label, got {_short(value)}",
            )
        _require(
            bool((self.probs >= 0).all() and (self.probs <= 1.0 + 1e-5).all()),
            f"prediction: probs must lie in [0, 1], got [{self.probs.min()}, {self.probs.max()}]",
        )
        _check_span(self.span)

    def top(self, k: int) -> tuple[tuple[str, float], ...]:
        """The ``k`` most probable (label, probability) pairs, most probable first."""
        order = np.argsort(-self.probs, kind="stable")[:k]
        return tuple((self.labels[i], float(self.probs[i])) for i in order)

    def prob(self, label: str) -> float:
        return float(self.probs[self.labels.index(label)])

    def logit(self, label: str) -> float:
        return float(self.logits[self.labels.index(label)])


@dataclass(frozen=True, repr=False)
class Evidence(_Value):
    """Signed raw evidence of one window for one label, on the model's own grid, with where and when each cell really is.

    ``values (T', h, w) float32`` in the method's own unit (logits where it gives them; negative speaks against the label);
    ``times (T',)`` seconds; ``ys (h,)`` and ``xs (w,)`` cell centres in source pixels; ``seen`` the part of the source picture
    that the model saw; ``cell_s`` the seconds that one time cell stands for; ``span`` the window's. Where ``complete``, the
    values should sum to ``total`` (the logit less its bias, of the label or of label minus versus).
    """

    values: FloatArray
    times: FloatArray
    ys: FloatArray
    xs: FloatArray
    seen: Box
    span: tuple[float, float]
    cell_s: float
    label: str
    versus: str | None
    method: str
    complete: bool
    total: float = math.nan

    def __post_init__(self) -> None:
        v = self.values
        if not (isinstance(v, np.ndarray) and v.ndim == 3 and v.size > 0 and v.dtype == np.float32):
            raise UsageError(f"evidence: values must be float32 of shape (T', h, w), got {_short(v)}")
        _require(bool(np.isfinite(v).all()), f"evidence for {self.label!r} has non-finite values")
        for name, n in (("times", v.shape[0]), ("ys", v.shape[1]), ("xs", v.shape[2])):
            a = np.asarray(getattr(self, name), dtype=np.float64)
            # Of numbers that never decrease, which NaN is not among, the outermost two tell of all that they are finite.
            if a.shape != (n,) or not (math.isfinite(a[0]) and math.isfinite(a[-1]) and (a[1:] >= a[:-1]).all()):
                raise UsageError(f"evidence: {name} must be {n} finite, never decreasing numbers, got {a}")
            object.__setattr__(self, name, a)
        _check_span(self.span)
        _require(self.cell_s > 0, f"evidence: cell_s must be positive seconds, got {self.cell_s}")
        _require(not self.complete or math.isfinite(self.total), "complete evidence needs the total that it should sum to")

    @property
    def completeness_error(self) -> float:
        """``|sum(values) - total| / max(|total|, 1)``; nan where the method does not claim completeness."""
        if not self.complete:
            return math.nan
        return abs(float(self.values.sum(dtype=np.float64)) - self.total) / max(abs(self.total), 1.0)


@dataclass(frozen=True, repr=False)
class Track(_Value):
    """One label's evidence over the whole video, seen through one crop: the windows' evidence joined in raw units.

    ``times (N,)`` strictly increasing seconds; ``maps (N, h, w) float32`` signed, NaN where no window looked; ``ys``, ``xs``,
    ``seen``, ``cell_s`` as in :class:`Evidence`.
    """

    label: str
    times: FloatArray
    maps: FloatArray
    ys: FloatArray
    xs: FloatArray
    seen: Box
    cell_s: float

    def __post_init__(self) -> None:
        n = len(self.times)
        _require(
            self.maps.ndim == 3 and self.maps.shape == (n, len(self.ys), len(self.xs)) and n >= 1,
            f"track: maps must be (N, h, w) for {n} times, {len(self.ys)} rows, {len(self.xs)} columns, got {_short(self.maps)}",
        )
        _require(bool((np.diff(self.times) > 0).all()), "track: times must strictly increase")

    @property
    def curve(self) -> FloatArray:
        """``(N,)`` signed evidence per second: the maps summed over space, divided by ``cell_s``; NaN where unseen."""
        out: FloatArray = self.maps.sum(axis=(1, 2), dtype=np.float64) / self.cell_s
        return out

    def at(self, time: float) -> FloatArray | None:
        """The map ``(h, w)`` at ``time``: linear between neighbours, held past the ends, None where no window looked."""
        i = int(np.searchsorted(self.times, time, side="right")) - 1
        if i < 0:
            m = self.maps[0]
        elif i >= len(self.times) - 1:
            m = self.maps[-1]
        else:
            t0, t1 = self.times[i], self.times[i + 1]
            a = np.float32((time - t0) / (t1 - t0))
            m = self.maps[i] if a == 0 else (1 - a) * self.maps[i] + a * self.maps[i + 1]
        return None if np.isnan(m[0, 0]) else m


@dataclass(frozen=True, repr=False)
class Heat(_Value):
    """What is drawn over one frame: ``values (H, W) float32`` in [0, 1], the strength of the evidence *for* the label.

    ``against`` is the same for the evidence against it (None where it is not shown); ``scale`` is the raw evidence that draws
    as 1.0; ``seen`` are the rectangles of the picture that the model looked at. ``size`` (H, W) is the picture's: by default that
    of ``values``, which may be coarser, with its outer edges those of the picture; then what lies outside ``seen`` means nothing.
    """

    values: FloatArray
    against: FloatArray | None
    scale: float
    seen: tuple[Box, ...]
    label: str
    size: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if self.size == (0, 0):
            object.__setattr__(self, "size", self.values.shape)
        for name in ("values", "against"):
            v = getattr(self, name)
            if v is None and name == "against":
                continue
            _require(
                isinstance(v, np.ndarray) and v.ndim == 2 and v.dtype == np.float32 and v.size > 0,
                f"heat: {name} must be float32 (H, W), got {_short(v)}",
            )
            low, high = float(v.min()), float(v.max())
            _require(low >= 0.0 and high <= 1.0, f"heat: {name} must lie in [0, 1], got [{low}, {high}]")
        _require(math.isfinite(self.scale) and self.scale > 0, f"heat: the scale must be positive, got {self.scale}")


@dataclass(frozen=True, repr=False)
class SourceInfo(_Value):
    """Facts of an opened source. ``width`` and ``height`` are those of the upright, square-pixel frames that are delivered.

    ``duration_s``, ``frames`` and ``fps`` are what the container says, None where it does not; ``rotation`` is the clockwise turn
    in degrees that was needed to make the picture upright; ``audio`` names the audio codec, None without sound.
    """

    path: str
    width: int
    height: int
    rotation: int
    fps: float | None
    duration_s: float | None
    frames: int | None
    audio: str | None
    codec: str
    start_s: float = 0.0


@dataclass(frozen=True, repr=False)
class Segment(_Value):
    """A stretch ``[start_s, end_s)`` in which the evidence for ``label`` holds; ``score`` is its mean evidence per second."""

    label: str
    start_s: float
    end_s: float
    score: float

    def __post_init__(self) -> None:
        _check_span((self.start_s, self.end_s))


@dataclass(frozen=True, repr=False)
class Keyframe(_Value):
    """A frame worth showing in a report: a peak of ``label``'s evidence, as annotated RGB picture ``(H, W, 3) uint8``."""

    time: float
    label: str
    score: float
    image: UInt8Array
