"""Frames to windows by time in seconds, and source pixels to model pixels. Pure: no file, no model, no state but the buffer."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np

from vidcam.errors import UsageError
from vidcam.values import Clip, CropGeometry, UInt8Array
from vidcam.yuv import Planes, to_rgb

__all__ = ["TOLERANCE_S", "Sampler", "resize", "views"]

TOLERANCE_S = 0.0006
"""A frame counts as shown at a sample's time if it comes at most this much later: just over the half millisecond by which
Matroska rounds times, so that the same pictures give the same windows from every container."""

OVERLAP = 0.1  # neighbouring crops share at least this part of a crop


class _Shown:
    """One frame as it is kept until the last window that shows it is complete."""

    def __init__(self, image: UInt8Array | Callable[[], UInt8Array], time: float, duration: float) -> None:
        self._image = image
        self.time = time
        self.duration = duration

    @property
    def image(self) -> UInt8Array:
        return self._image() if callable(self._image) else self._image

    def made(self) -> _Shown:
        """This frame with its picture made, once."""
        self._image = self.image
        return self


@dataclass
class _Open:
    """A window whose samples are not all known yet."""

    start: float
    shown: list[_Shown] = field(default_factory=list)


class Sampler:
    """Cut clips of ``frames`` pictures from frames that are pushed in any rhythm.

    The pictures of a clip lie ``seconds_between_frames`` apart; a clip begins every ``seconds_between_clip_starts``. Clip k
    samples the times ``start_k + i * seconds_between_frames``, where ``start_k = t0 + k * seconds_between_clip_starts`` and
    ``t0`` is the time of the first frame. A sample shows the frame that is displayed then, the last one with
    ``frame.time <= sample`` (give or take ``TOLERANCE_S``). The clip answers for
    ``[start_k, start_k + frames * seconds_between_frames)`` and comes out as soon as a later frame has come.

    ``tail`` says what happens to the seconds at the end that no such clip answers for:

    - ``"shift"``: one more clip, of the last ``frames`` samples on the grid ``t0 + n * seconds_between_frames``;
    - ``"hold"``: the clip at the next regular start, with the last frame repeated; its span ends with the video;
    - ``"drop"``: nothing; they are not explained.

    A video shorter than one clip gives, under every policy, one clip with the last frame repeated whose span is the video. If
    clips begin no further apart than a clip is long, the spans of ``"shift"`` and ``"hold"`` together cover the video to its last
    second. If they begin further apart, the seconds between the clips stay unexplained, as asked.

    Images are kept by reference, at most those that the clips in progress and a shifted last one show: the buffer does not grow
    with the video. Push resized images if memory counts.
    """

    def __init__(
        self,
        *,
        frames: int,
        seconds_between_frames: float,
        seconds_between_clip_starts: float,
        tail: Literal["shift", "hold", "drop"] = "shift",
    ) -> None:
        if frames < 1:
            raise UsageError(f"a window needs at least 1 frame, got {frames}")
        for name, value in (("interval_s", seconds_between_frames), ("hop_s", seconds_between_clip_starts)):
            if not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} must be a positive number of seconds, got {value}")
        if tail not in ("shift", "hold", "drop"):
            raise UsageError(f"the tail policy must be 'shift', 'hold' or 'drop', got {tail!r}")
        self._frames, self._interval, self._hop, self._tail = frames, seconds_between_frames, seconds_between_clip_starts, tail
        self._t0 = 0.0
        self._current: _Shown | None = None
        self._next = 0  # the number of the next window to be opened
        self._open: deque[_Open] = deque()
        self._grid: deque[_Shown] = deque(maxlen=frames)  # the newest samples t0 + n * interval_s, for a shifted last window
        self._grid_count = 0
        self._covered = -math.inf  # the end of the last complete window's span
        self._closed = False

    def push(self, image: UInt8Array | Callable[[], UInt8Array], *, time: float, duration: float) -> list[Clip]:
        """The windows that this frame completes: their last sample lies before ``time``.

        ``image (H, W, 3) uint8``, or a function that makes it, which is called once where a window shows this frame and else
        never; ``time`` and ``duration`` in seconds. UsageError where time does not advance, the size of images that are given
        changes, or the sampler is closed.
        """
        last = self._current
        if self._closed:
            raise UsageError("this sampler is closed: make a new one for the next video")
        if not (math.isfinite(time) and math.isfinite(duration) and duration >= 0):
            raise UsageError(f"a frame needs finite seconds and a duration that is not negative, got {time} and {duration}")
        if last is not None and not time > last.time:
            raise UsageError(f"frames must come in order of time: {time} s came after {last.time} s")
        if last is not None and not callable(image) and image.shape != last.image.shape:
            raise UsageError(f"all frames must have one size: {image.shape} came after {last.image.shape}")
        if last is None:
            self._t0 = time
        windows = [] if last is None else self._settle(last, until=time)
        self._current = _Shown(image, time, duration)
        return windows

    def close(self) -> list[Clip]:
        """The windows that the last frame completes, and then the tail by the named policy. Nothing where no frame was pushed."""
        last, self._closed = self._current, True
        if last is None:
            return []
        end = last.time + last.duration
        windows = self._settle(last, until=end)
        if self._covered == -math.inf:
            first = self._open[0] if self._open else _Open(self._t0)
            windows.append(self._held(first, last.made(), end))
        elif end > self._covered + TOLERANCE_S:
            if self._tail == "shift":
                start = self._t0 + (self._grid_count - self._frames) * self._interval
                windows.append(self._window(start, list(self._grid), max(end, start + self._frames * self._interval)))
            elif self._tail == "hold" and self._open:
                windows.append(self._held(self._open[0], last.made(), end))
        self._open.clear()
        self._grid.clear()
        self._current = None
        return windows

    def _settle(self, current: _Shown, *, until: float) -> list[Clip]:
        """``current`` is displayed until ``until``: give it to every sample before that."""
        limit = until - TOLERANCE_S
        while self._t0 + self._next * self._hop < limit:
            self._open.append(_Open(self._t0 + self._next * self._hop))
            self._next += 1
        for window in self._open:
            while len(window.shown) < self._frames and window.start + len(window.shown) * self._interval < limit:
                window.shown.append(current.made())
        if self._tail == "shift":
            while self._t0 + self._grid_count * self._interval < limit:
                self._grid.append(current.made())
                self._grid_count += 1
        done = []
        while self._open and len(self._open[0].shown) == self._frames:
            window = self._open.popleft()
            self._covered = window.start + self._frames * self._interval
            done.append(self._window(window.start, window.shown, self._covered))
        return done

    def _held(self, window: _Open, last: _Shown, end: float) -> Clip:
        """``window`` with ``last`` repeated for the samples after the end of the video."""
        shown = window.shown + [last] * (self._frames - len(window.shown))
        return self._window(window.start, shown, end if end > window.start else window.start + self._interval)

    def _window(self, start: float, shown: list[_Shown], end: float) -> Clip:
        images = [s.image for s in shown]
        still = all(i is images[0] for i in images)  # in a long pause there are many such windows: they share their picture
        frames = np.broadcast_to(images[0], (len(images), *images[0].shape)) if still else np.stack(images)
        return Clip(frames, np.array([s.time for s in shown]), (start, end))


def resize(picture: UInt8Array | Planes, geometry: CropGeometry) -> UInt8Array:
    """``picture`` (RGB ``(H, W, 3) uint8``, or planes) as ``(Hr, Wr, 3) uint8`` RGB at ``geometry.resized``, before the crop.

    Bilinear between pixel centres, no antialiasing: that is what the models were trained on. UsageError where ``picture`` is not
    of the size ``geometry.source``.
    """
    size = picture.size if isinstance(picture, Planes) else picture.shape[:2]
    if size != geometry.source:
        raise UsageError(f"the picture is {size} (height, width), the geometry is for {geometry.source}")
    if isinstance(picture, Planes):
        return to_rgb(picture, geometry.resized)
    if geometry.resized == geometry.source:
        return picture
    height, width = geometry.resized
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def views(
    source_hw: tuple[int, int], *, resize: int | tuple[int, int], crop: tuple[int, int], cover: bool
) -> tuple[CropGeometry, ...]:
    """What a model with this ``resize`` and ``crop`` sees of pictures of ``source_hw``, all sizes as (height, width).

    One centre crop with torchvision's rounding (short side to ``resize``, or both sides to a fixed size), the picture enlarged
    where the crop would not fit. With ``cover``, one or more crops from the top left to the bottom right that together see
    the whole picture: it keeps its shape and just fits the crop along one axis; along the other, the fewest evenly spaced crops
    that overlap by at least a tenth.
    """
    height, width = source_hw
    if min(height, width, *crop) < 1 or (min(resize) if isinstance(resize, tuple) else resize) < 1:
        raise UsageError(f"sizes must be at least 1 pixel, got source {source_hw}, resize {resize}, crop {crop}")
    if cover:
        resized = _fit(source_hw, crop)
        return tuple(
            CropGeometry(source_hw, resized, (top, left, *crop))
            for top in _starts(resized[0], crop[0])
            for left in _starts(resized[1], crop[1])
        )
    if isinstance(resize, tuple):
        resized = resize
    elif height <= width:
        resized = (resize, int(resize * width / height))
    else:
        resized = (int(resize * height / width), resize)
    if resized[0] < crop[0] or resized[1] < crop[1]:
        resized = _fit(resized, crop)
    top, left = (round((resized[axis] - crop[axis]) / 2.0) for axis in (0, 1))
    return (CropGeometry(source_hw, resized, (top, left, *crop)),)


def _fit(size: tuple[int, int], crop: tuple[int, int]) -> tuple[int, int]:
    """``size`` scaled, in its shape, so that it is as large as ``crop`` along one axis and at least as large along the other."""
    scale = max(crop[0] / size[0], crop[1] / size[1])
    return max(crop[0], round(size[0] * scale)), max(crop[1], round(size[1] * scale))


def _starts(length: int, crop: int) -> list[int]:
    """Where the fewest evenly spaced crops begin that cover ``length``, one at least ``OVERLAP`` over the next."""
    if length == crop:
        return [0]
    shared = min(math.ceil(OVERLAP * crop), crop - 1)
    count = max(2, math.ceil((length - shared) / (crop - shared)))
    return [round(i * (length - crop) / (count - 1)) for i in range(count)]
