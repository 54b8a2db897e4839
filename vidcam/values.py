"""The values that pass between the stages.

They are frozen dataclasses of numpy arrays, and check themselves when created.

Conventions:

- images and clips are RGB, ``uint8``, ``(H, W, 3)`` and ``(T, H, W, 3)``;
- a time is in seconds on the source stream's own clock; a span is half-open, ``[start, end)``;
- a pixel coordinate counts pixel *centres*: the first pixel is at 0.0, its outer edge at -0.5;
- an evidence map has the axes ``(T', h, w)``: time cells, rows, columns, on the model's own grid.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.interpolation import positions, taps
from vidcam.yuv import Planes, UInt8Array

__all__ = [
    "BareFrame",
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
    """The base of the values; prints the shapes of arrays, not their contents."""

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
    """A rectangle ``[y0, y1) x [x0, x1)`` in pixel *edges*: the whole picture is ``(0, 0, H, W)``."""

    y0: float
    x0: float
    y1: float
    x1: float

    @property
    def area(self) -> float:
        """Square pixels."""
        return max(0.0, self.y1 - self.y0) * max(0.0, self.x1 - self.x0)


@dataclass(frozen=True, repr=False, eq=False)
class Frame(_Value):
    """One upright picture of the source, with square pixels, at its own time.

    Attributes:
        picture: RGB ``(H, W, 3) uint8`` or, as most video is coded, :class:`vidcam.yuv.Planes`.
        time: Seconds on the stream's clock.
        duration: Seconds until the next frame.

    Example:
        >>> import vidcam
        >>> with vidcam.open_source("clips/walking.mp4") as source:
        ...     frame = next(source.frames())
        >>> frame.size, frame.time
        ((360, 480), 0.0)
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
        """The picture as RGB ``(H, W, 3) uint8``, converted at the first access."""
        from vidcam.yuv import to_rgb

        return to_rgb(self.picture) if isinstance(self.picture, Planes) else self.picture

    @cached_property
    def planes(self) -> Planes:
        """The picture as planes, converted at the first access."""
        from vidcam.yuv import from_rgb

        return self.picture if isinstance(self.picture, Planes) else from_rgb(self.picture)

    @property
    def end(self) -> float:
        """The second at which the next frame is shown."""
        return self.time + self.duration


class BareFrame(Frame):
    """A frame without its picture, because whoever reads the source said that this is not needed.

    Its time, duration and size are known. Asking for its picture raises UsageError.
    """

    _size: tuple[int, int]

    def __init__(self, size: tuple[int, int], time: float, duration: float) -> None:
        for name, value in (("_size", size), ("time", time), ("duration", duration)):
            object.__setattr__(self, name, value)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the picture."""
        return self._size

    @property
    def picture(self) -> UInt8Array | Planes:
        """Raises UsageError."""
        raise UsageError(f"the frame at {self.time:.3f} s comes without its picture, which was said not to be needed")

    def __repr__(self) -> str:
        return f"BareFrame(size={self.size}, time={self.time}, duration={self.duration})"


@dataclass(frozen=True, repr=False)
class Clip(_Value):
    """The sampled frames of one input of the model.

    Attributes:
        frames: ``(T, H, W, 3) uint8`` RGB.
        times: ``(T,)`` seconds of these frames, never decreasing; a repeated frame has its time repeated.
        span: The part of the video that the clip stands for, ``[start, end)`` in seconds.

    Example:
        >>> import numpy as np
        >>> from vidcam import Clip
        >>> Clip(np.zeros((3, 8, 8, 3), np.uint8), times=[0.0, 0.2, 0.4], span=(0.0, 0.6)).times.tolist()
        [0.0, 0.2, 0.4]
    """

    frames: UInt8Array
    times: FloatArray
    span: tuple[float, float]

    def __post_init__(self) -> None:
        _check_rgb(self.frames, 4, "a clip's frames")
        times = np.asarray(self.times, dtype=np.float64)
        if times.shape != (len(self.frames),) or not np.isfinite(times).all() or (np.diff(times) < 0).any():
            raise UsageError(
                f"a clip needs one finite, never decreasing time for each of its {len(self.frames)} frames, got {times}"
            )
        object.__setattr__(self, "times", times)
        _check_span(self.span)


PADDING = 115
"""The grey beside a picture that is smaller than the model's input: 0.45 of 255, about the mean of all videos."""


@dataclass(frozen=True, repr=False)
class CropGeometry(_Value):
    """How source pixels become model pixels: a resize, then a crop; both are exactly invertible.

    Attributes:
        source: (H, W) of the source's pictures.
        resized: (H, W) after the resize.
        crop: (top, left, height, width) in resized pixels. The model never sees what lies outside. Along each axis it lies inside
            ``resized``, or around all of it: then the rest of it is filled with the grey ``PADDING``.
        antialias: Whether a shrunken pixel is the mean of those that it stands for, instead of bilinear interpolation.

    Example:
        >>> from vidcam import CropGeometry
        >>> geometry = CropGeometry(source=(360, 640), resized=(112, 199), crop=(0, 43, 112, 112))
        >>> [round(edge) for edge in geometry.seen]
        [0, 138, 360, 498]
    """

    source: tuple[int, int]
    resized: tuple[int, int]
    crop: tuple[int, int, int, int]
    antialias: bool = False

    def __post_init__(self) -> None:
        for name in ("source", "resized"):
            h, w = getattr(self, name)
            _require(h >= 1 and w >= 1, f"geometry: {name} must be at least 1x1 pixels, got {h}x{w}")
        top, left, height, width = self.crop
        for start, length, whole in ((top, height, self.resized[0]), (left, width, self.resized[1])):
            inside, around = start >= 0 and start + length <= whole, start <= 0 and start + length >= whole
            _require(
                length >= 1 and (inside or around),
                f"geometry: the crop {self.crop} (top, left, height, width) must lie inside the resized picture {self.resized} "
                "or around it",
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
        bottom, right = min(top + height, self.resized[0]), min(left + width, self.resized[1])
        return Box(max(top, 0) * sy, max(left, 0) * sx, bottom * sy, right * sx)

    def to_source(self, y: FloatArray | float, x: FloatArray | float) -> tuple[FloatArray, FloatArray]:
        """Return the source coordinates of the model coordinates (y, x); both count pixel centres."""
        sy, sx = self.scale
        top, left, _, _ = self.crop
        return (np.asarray(y, float) + top + 0.5) * sy - 0.5, (np.asarray(x, float) + left + 0.5) * sx - 0.5

    def cut(self, frames: UInt8Array) -> UInt8Array:
        """Return the crop ``(..., height, width, 3)`` of resized frames ``(..., Hr, Wr, 3)``, as a view if nothing is filled."""
        top, left, height, width = self.crop
        if top >= 0 and left >= 0 and top + height <= frames.shape[-3] and left + width <= frames.shape[-2]:
            return frames[..., top : top + height, left : left + width, :]
        out = np.full((*frames.shape[:-3], height, width, 3), PADDING, np.uint8)
        y, x = max(top, 0), max(left, 0)
        part = frames[..., y : top + height, x : left + width, :]
        out[..., y - top : y - top + part.shape[-3], x - left : x - left + part.shape[-2], :] = part
        return out


@dataclass(frozen=True, repr=False)
class Prediction(_Value):
    """The model's answer to one clip.

    Attributes:
        logits: ``(K,)`` float32, in the order of ``labels``.
        probs: ``(K,)`` float32 in [0, 1], in the order of ``labels``.
        labels: The K classes of the model.
        span: The part of the video that the clip stands for, ``[start, end)`` in seconds.

    Example:
        >>> import vidcam
        >>> analysis = vidcam.explain("clips/walking.mp4", engine=vidcam.open_engine("mini"))
        >>> analysis.windows[0].top(1)[0][0]
        'walking'
    """

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
        """Return the ``k`` most probable (label, probability) pairs, most probable first."""
        order = np.argsort(-self.probs, kind="stable")[:k]
        return tuple((self.labels[i], float(self.probs[i])) for i in order)

    def prob(self, label: str) -> float:
        """Return the probability of a label."""
        return float(self.probs[self.labels.index(label)])


@dataclass(frozen=True, repr=False)
class Evidence(_Value):
    """The attribution of one clip to one label, on the model's own grid, placed in the video.

    It is signed and raw, and carries the place and time of each cell.

    Attributes:
        values: ``(T', h, w) float32`` in the method's own unit (logits if it gives them); negative speaks against the label.
        times: ``(T',)`` seconds of the cells.
        ys: ``(h,)`` cell centres in source pixels.
        xs: ``(w,)`` cell centres in source pixels.
        seen: The part of the source's picture that the model saw.
        span: The part of the video that the clip stands for, ``[start, end)`` in seconds.
        cell_s: The seconds that one time cell stands for.
        label: The label.
        versus: The label with which it is compared; None if there is none.
        method: The name of the method.
        complete: Whether the values should sum to ``total``.
        total: The logit less its bias, of the label, or of the label less that of ``versus``.

    Example:
        >>> import vidcam
        >>> session = vidcam.Session(vidcam.open_engine("mini"), vidcam.Settings(classes=("walking",)))
        >>> with vidcam.open_source("clips/walking.mp4") as source:
        ...     evidence = [e.evidence[0] for frame in source.frames() for e in session.push(frame)]
        >>> evidence[0].values.shape, evidence[0].completeness_error < 1e-4
        ((16, 14, 14), True)
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
            # NaN fails the comparison, and in a sequence that never decreases all numbers are finite if both ends are.
            if a.shape != (n,) or not (math.isfinite(a[0]) and math.isfinite(a[-1]) and (a[1:] >= a[:-1]).all()):
                raise UsageError(f"evidence: {name} must be {n} finite, never decreasing numbers, got {a}")
            object.__setattr__(self, name, a)
        _check_span(self.span)
        _require(self.cell_s > 0, f"evidence: cell_s must be positive seconds, got {self.cell_s}")
        _require(not self.complete or math.isfinite(self.total), "complete evidence needs the total that it should sum to")

    @property
    def completeness_error(self) -> float:
        """``|sum(values) - total| / max(|total|, 1)``; nan if the method does not claim completeness."""
        if not self.complete:
            return math.nan
        return abs(float(self.values.sum(dtype=np.float64)) - self.total) / max(abs(self.total), 1.0)


@dataclass(frozen=True, repr=False)
class Track(_Value):
    """One label's evidence over the whole video for one crop.

    It joins the evidence of all clips in raw units. ``ys``, ``xs``, ``seen`` and ``cell_s`` are as in :class:`Evidence`.

    Attributes:
        label: The label.
        times: ``(N,)`` strictly increasing seconds.
        maps: ``(N, h, w) float32``, signed; NaN where no clip covers the time.
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
        """``(N,)`` signed evidence per second: the sums of the maps over ``cell_s``; NaN without a clip."""
        sums = [part.sum(axis=(1, 2), dtype=np.float64) for part in self.blocks()]
        out: FloatArray = np.concatenate(sums) / self.cell_s
        return out

    def blocks(self, count: int = 512) -> Iterator[FloatArray]:
        """Yield the maps ``count`` at a time.

        Those of a long video are stored in a file, and only these few need memory.
        """
        for start in range(0, len(self.maps), count):
            yield self.maps[start : start + count]

    def at(self, time: float) -> FloatArray | None:
        """Return the map ``(h, w)`` at ``time``; None if no clip covers it.

        It is interpolated linearly between neighbours, and held past the ends.
        """
        near = taps(positions(self.times, time), len(self.times), dtype=np.float32)
        low, high, share = int(near.low), int(near.high), near.high_weight
        low, high = (high if share == 1 else low), (low if share == 0 else high)  # NaN times 0 would be NaN
        m = (1 - share) * self.maps[low] + share * self.maps[high]
        return None if np.isnan(m[0, 0]) else m


@dataclass(frozen=True, repr=False)
class Heat(_Value):
    """The evidence for one frame, scaled to be drawn over it.

    Attributes:
        values: ``(H, W) float32`` in [0, 1], the strength of the evidence *for* the label. They may be coarser than the picture,
            with the same outer edges; then values outside ``seen`` mean nothing.
        against: The same for the evidence against the label; None if it is not shown.
        scale: The raw evidence that is drawn as 1.0.
        seen: The rectangles of the picture that the model saw.
        label: The label.
        size: (H, W) of the picture, by default that of ``values``.

    Example:
        >>> import numpy as np
        >>> from vidcam import Heat
        >>> Heat(np.eye(4, dtype=np.float32), against=None, scale=2.5, seen=(), label="walking").size
        (4, 4)
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
    """The facts of an opened source.

    Attributes:
        path: The file, folder, pattern or address.
        width: Pixels of the upright, square-pixel frames.
        height: Pixels of the upright, square-pixel frames.
        rotation: The clockwise turn in degrees that makes the coded pictures upright.
        fps: Frames per second, as the file states them; None if it does not.
        duration_s: Seconds, as the file states them; None if it does not.
        frames: The number of frames, as the file states it; None if it does not.
        audio: The audio codec; None without audio.
        codec: The video codec.
        start_s: The time of the first frame on the stream's clock.
        sha256: The SHA-256 of the file, in hexadecimal digits; None if it is no single file, or is not known yet.
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
    sha256: str | None = None


@dataclass(frozen=True, repr=False)
class Segment(_Value):
    """A stretch ``[start_s, end_s)`` of evidence for ``label``; ``score`` is its mean evidence per second."""

    label: str
    start_s: float
    end_s: float
    score: float

    def __post_init__(self) -> None:
        _check_span((self.start_s, self.end_s))


@dataclass(frozen=True, repr=False)
class Keyframe(_Value):
    """A frame at a peak of a label's evidence; ``image`` is annotated, RGB ``(H, W, 3) uint8``."""

    time: float
    label: str
    score: float
    image: UInt8Array
