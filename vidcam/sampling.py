"""Cuts clips from frames by time in seconds, and resizes and crops them for a model."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.settings import Tail
from vidcam.values import Clip, CropGeometry, UInt8Array
from vidcam.yuv import Planes, scale, to_rgb

__all__ = ["TOLERANCE_S", "Sampler", "frames_sampled", "frames_shown", "resize", "spatial_crops"]

TOLERANCE_S = 0.0006
"""A frame counts as displayed at a sample's time if it comes at most this much later. This is just over the half millisecond by
which Matroska rounds times, so that the same frames give the same clips from every container."""

OVERLAP = 0.1  # neighbouring crops overlap by at least this share of a crop

MAX_STRETCH = 4 / 3
"""How much more one side of a picture may be shrunk than the other if all of it has to fit into the model's input."""


class _BufferedFrame:
    """One frame, kept until the last clip that shows it is complete."""

    def __init__(self, image: UInt8Array | Callable[[], UInt8Array], time: float, duration: float) -> None:
        self._image = image
        self.time = time
        self.duration = duration

    @property
    def image(self) -> UInt8Array:
        return self._image() if callable(self._image) else self._image

    def with_image(self) -> _BufferedFrame:
        """Return this frame, with its image computed once."""
        self._image = self.image
        return self


@dataclass
class _OpenClip:
    """A clip whose samples are not all known yet."""

    start: float
    frames: list[_BufferedFrame] = field(default_factory=list)


class Sampler:
    """Cuts clips of a fixed number of frames from frames that are pushed in any rhythm.

    Clip k samples the times ``start_k + i * seconds_between_frames``, where ``start_k = t0 + k * seconds_between_clip_starts``
    and ``t0`` is the time of the first frame. A sample shows the frame that is displayed then: the last one with
    ``frame.time <= sample``, within ``TOLERANCE_S``. The clip's span is
    ``[start_k, start_k + frames * seconds_between_frames)``; the clip is returned as soon as a later frame has come.

    ``tail`` is the policy for the seconds at the end that no such clip covers:

    - ``"shift"``: one more clip, of the last ``frames`` samples on the grid ``t0 + n * seconds_between_frames``;
    - ``"hold"``: the clip at the next regular start, with the last frame repeated; its span ends with the video;
    - ``"drop"``: nothing; these seconds are not explained.

    A video shorter than one clip gives, under every policy, one clip whose span is the video, with the last frame repeated. If
    clips begin no further apart than a clip is long, the spans of ``"shift"`` and ``"hold"`` together cover the video to its last
    second. If they begin further apart, the seconds between clips stay unexplained.

    Images are kept by reference, at most those of the clips in progress and of a shifted last one, so that the buffer does not
    grow with the video. Push resized images if memory matters.

    Args:
        frames: Frames per clip, at least 1.
        seconds_between_frames: The distance between two samples of a clip.
        seconds_between_clip_starts: The distance between the starts of two clips.
        tail: The policy for the end of the video.

    Raises:
        UsageError: One of the numbers is not positive, or the policy is unknown.
    """

    def __init__(
        self,
        *,
        frames: int,
        seconds_between_frames: float,
        seconds_between_clip_starts: float,
        tail: Tail = "shift",
    ) -> None:
        if frames < 1:
            raise UsageError(f"a clip needs at least 1 frame, got {frames}")
        for name, value in (
            ("seconds_between_frames", seconds_between_frames),
            ("seconds_between_clip_starts", seconds_between_clip_starts),
        ):
            if not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} must be a positive number of seconds, got {value}")
        if tail not in ("shift", "hold", "drop"):
            raise UsageError(f"the tail policy must be 'shift', 'hold' or 'drop', got {tail!r}")
        self._frames, self._interval, self._hop, self._tail = frames, seconds_between_frames, seconds_between_clip_starts, tail
        self._t0 = 0.0
        self._current: _BufferedFrame | None = None
        self._next = 0  # the number of the next clip to be opened
        self._open: deque[_OpenClip] = deque()
        # The newest samples at t0 + n * seconds_between_frames, for a shifted last clip.
        self._grid: deque[_BufferedFrame] = deque(maxlen=frames)
        self._grid_count = 0
        self._covered = -math.inf  # the end of the last complete clip's span
        self._closed = False

    def push(self, image: UInt8Array | Callable[[], UInt8Array], *, time: float, duration: float) -> list[Clip]:
        """Take the next frame and return the clips that it completes: their last sample lies before ``time``.

        Args:
            image: RGB ``(H, W, 3) uint8``, or a function that returns it. The function is called at most once, and only if a clip
                shows this frame.
            time: Seconds; must increase.
            duration: Seconds, not negative.

        Returns:
            The clips, earliest first.

        Raises:
            UsageError: The time does not increase, the image has another size than the one before, or the sampler is closed.
        """
        last = self._current
        if self._closed:
            raise UsageError("this sampler is closed: make a new one for the next video")
        if not (math.isfinite(time) and math.isfinite(duration) and duration >= 0):
            raise UsageError(f"a frame needs a finite time and a duration of at least 0 s, got {time} and {duration}")
        if last is not None and not time > last.time:
            raise UsageError(f"frames must come in order of time: {time} s came after {last.time} s")
        if last is not None and not callable(image) and image.shape != last.image.shape:
            raise UsageError(f"all frames must have one size: {image.shape} came after {last.image.shape}")
        if last is None:
            self._t0 = time
        clips = [] if last is None else self._settle(last, until=time)
        self._current = _BufferedFrame(image, time, duration)
        return clips

    def close(self) -> list[Clip]:
        """End the video; return the clips that the last frame completes, and the tail."""
        last, self._closed = self._current, True
        if last is None:
            return []
        end = last.time + last.duration
        clips = self._settle(last, until=end)
        if self._covered == -math.inf:
            first = self._open[0] if self._open else _OpenClip(self._t0)
            clips.append(self._padded(first, last.with_image(), end))
        elif end > self._covered + TOLERANCE_S:
            if self._tail == "shift":
                start = self._t0 + (self._grid_count - self._frames) * self._interval
                clips.append(self._clip(start, list(self._grid), max(end, start + self._frames * self._interval)))
            elif self._tail == "hold" and self._open:
                clips.append(self._padded(self._open[0], last.with_image(), end))
        self._open.clear()
        self._grid.clear()
        self._current = None
        return clips

    def _settle(self, current: _BufferedFrame, *, until: float) -> list[Clip]:
        """Give ``current`` to every sample before ``until``, when it disappears; return complete clips."""
        limit = until - TOLERANCE_S
        while self._t0 + self._next * self._hop < limit:
            self._open.append(_OpenClip(self._t0 + self._next * self._hop))
            self._next += 1
        for clip in self._open:
            while len(clip.frames) < self._frames and clip.start + len(clip.frames) * self._interval < limit:
                clip.frames.append(current.with_image())
        if self._tail == "shift":
            while self._t0 + self._grid_count * self._interval < limit:
                self._grid.append(current.with_image())
                self._grid_count += 1
        complete = []
        while self._open and len(self._open[0].frames) == self._frames:
            clip = self._open.popleft()
            self._covered = clip.start + self._frames * self._interval
            complete.append(self._clip(clip.start, clip.frames, self._covered))
        return complete

    def _padded(self, clip: _OpenClip, last: _BufferedFrame, end: float) -> Clip:
        """Return an open clip with ``last`` repeated for the samples after the end of the video."""
        frames = clip.frames + [last] * (self._frames - len(clip.frames))
        return self._clip(clip.start, frames, end if end > clip.start else clip.start + self._interval)

    def _clip(self, start: float, frames: list[_BufferedFrame], end: float) -> Clip:
        images = [frame.image for frame in frames]
        is_still = all(image is images[0] for image in images)  # a long pause has many such clips: they share their image
        stack = np.broadcast_to(images[0], (len(images), *images[0].shape)) if is_still else np.stack(images)
        return Clip(stack, np.array([frame.time for frame in frames]), (start, end))


def frames_sampled(times: Sequence[float], sampler: Sampler) -> list[bool]:
    """Return for frames with these times (seconds, increasing) whether a new sampler asks for their pictures.

    The last frame counts as not asked for, because its end is not known.
    """
    sampled, nothing = [False] * len(times), np.zeros((1, 1, 3), np.uint8)

    def mark(i: int) -> UInt8Array:
        sampled[i] = True
        return nothing

    for i, time in enumerate(times):
        sampler.push(partial(mark, i), time=time, duration=0.0)
    return sampled


def frames_shown(times: npt.NDArray[np.float64], samples: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Return the index of the frame that is displayed at each of the ``samples`` (seconds).

    This is the choice of :class:`Sampler`. ``times (N,)`` are the increasing times of the frames. Before the first frame it is
    the first one, after the end the last one.
    """
    return np.clip(np.searchsorted(times, samples + TOLERANCE_S, "right") - 1, 0, len(times) - 1)


def resize(picture: UInt8Array | Planes, geometry: CropGeometry) -> UInt8Array:
    """Return a picture as RGB ``(Hr, Wr, 3) uint8`` at ``geometry.resized``, before the crop.

    Interpolation is bilinear between pixel centres without antialiasing, as in the models' training. If ``geometry.antialias`` is
    set, it is the mean of the pixels.

    Args:
        picture: RGB ``(H, W, 3) uint8``, or planes.
        geometry: Its ``source`` must be (H, W).

    Raises:
        UsageError: The picture has another size than ``geometry.source``.
    """
    size = picture.size if isinstance(picture, Planes) else picture.shape[:2]
    if size != geometry.source:
        raise UsageError(f"the picture is {size} (height, width), the geometry is for {geometry.source}")
    if isinstance(picture, Planes):
        return to_rgb(picture, geometry.resized, antialias=geometry.antialias)
    return scale(picture, geometry.resized, antialias=geometry.antialias)


def spatial_crops(
    source_hw: tuple[int, int], *, resize: int | tuple[int, int] | Literal["fit"], crop: tuple[int, int], cover: bool
) -> tuple[CropGeometry, ...]:
    """Return the crops of a picture that a model gets, with the resize before them.

    All sizes are (height, width). By default there is one centre crop with torchvision's rounding; the picture is enlarged if it
    is smaller than the crop.

    Args:
        source_hw: The size of the source's pictures.
        resize: The length of the short side in pixels, or both sides; or "fit": the whole picture in the crop, with antialiasing,
            one side shrunk by at most ``MAX_STRETCH`` more than the other, and the rest of the crop filled.
        crop: The size of the model's input.
        cover: If true, as many crops as are needed to cover the whole picture, from the top left to the bottom right. The picture
            keeps its shape and just fits the crop along one axis; along the other lie the fewest evenly spaced crops that overlap
            by at least a tenth.

    Raises:
        UsageError: A size is below 1 pixel.
    """
    height, width = source_hw
    sizes = (resize,) if isinstance(resize, int) else crop if resize == "fit" else resize
    if min(height, width, *crop, *sizes) < 1:
        raise UsageError(f"sizes must be at least 1 pixel, got source {source_hw}, resize {resize}, crop {crop}")
    if cover:
        resized = _cover_size(source_hw, crop)
        return tuple(
            CropGeometry(source_hw, resized, (top, left, *crop), antialias=resize == "fit")
            for top in _starts(resized[0], crop[0])
            for left in _starts(resized[1], crop[1])
        )
    if resize == "fit":
        resized = _fit_size(source_hw, crop)
        top, left = (resized[0] - crop[0]) // 2, (resized[1] - crop[1]) // 2
        return (CropGeometry(source_hw, resized, (top, left, *crop), antialias=True),)
    if isinstance(resize, tuple):
        resized = resize
    elif height <= width:
        resized = (resize, int(resize * width / height))
    else:
        resized = (int(resize * height / width), resize)
    if resized[0] < crop[0] or resized[1] < crop[1]:
        resized = _cover_size(resized, crop)
    top, left = (round((resized[axis] - crop[axis]) / 2.0) for axis in (0, 1))
    return (CropGeometry(source_hw, resized, (top, left, *crop)),)


def _fit_size(size: tuple[int, int], crop: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size inside ``crop`` that shrinks one side by at most ``MAX_STRETCH`` more than the other."""
    scale = min(crop[0] / size[0], crop[1] / size[1])
    height, width = (max(1, min(crop[a], round(size[a] * scale * MAX_STRETCH))) for a in (0, 1))
    return height, width


def _cover_size(size: tuple[int, int], crop: tuple[int, int]) -> tuple[int, int]:
    """Return the smallest size of the shape of ``size`` that is at least as large as ``crop``."""
    scale = max(crop[0] / size[0], crop[1] / size[1])
    return max(crop[0], round(size[0] * scale)), max(crop[1], round(size[1] * scale))


def _starts(length: int, crop: int) -> list[int]:
    """Return the starts of the fewest even crops that cover ``length`` and overlap by ``OVERLAP``."""
    if length == crop:
        return [0]
    shared = min(math.ceil(OVERLAP * crop), crop - 1)
    count = max(2, math.ceil((length - shared) / (crop - shared)))
    return [round(i * (length - crop) / (count - 1)) for i in range(count)]
