"""Opens pictures that are in memory already: an array or a tensor ``(T, H, W, 3) uint8`` with a time for each."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from vidcam.errors import InputError, UsageError
from vidcam.io.reading import Needed, OpenedInput, Warn
from vidcam.values import FloatArray, Frame, SourceInfo, UInt8Array

__all__ = ["is_array", "open_array", "to_array"]

NAME = "array"


def is_array(source: object) -> bool:
    """Tell whether a source is pictures in memory, not the name of a file."""
    return hasattr(source, "__array__") or hasattr(source, "detach")


def to_array(source: Any) -> np.ndarray[Any, Any]:
    """Return an array, or a tensor on any device, as a numpy array."""
    return np.asarray(source.detach().cpu() if hasattr(source, "detach") else source)


def open_array(pictures: object, *, times: Sequence[float] | FloatArray | None, fps: float | None) -> OpenedInput:
    """Open pictures as a source.

    Args:
        pictures: ``(T, H, W, 3) uint8`` RGB.
        times: ``(T,)`` strictly increasing seconds, one for each picture.
        fps: Pictures per second, in place of ``times``.

    Raises:
        UsageError: The pictures or their times have another form, or both or neither of ``times`` and ``fps`` are given.
    """
    images = to_array(pictures)
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8 or 0 in images.shape:
        raise UsageError(
            f"pictures are uint8 RGB of shape (T, H, W, 3), got {images.dtype} {images.shape}: move the channels to the end, "
            "and scale numbers in [0, 1] by 255"
        )
    if (times is None) == (fps is None):
        raise UsageError("pictures in memory need either times, in seconds, or fps")
    if fps is not None and not (np.isfinite(fps) and fps > 0):
        raise UsageError(f"fps must be a positive number of pictures per second, got {fps}")
    seconds = np.arange(len(images)) / (fps or 1.0) if times is None else np.asarray(times, dtype=np.float64)
    if seconds.shape != (len(images),) or not np.isfinite(seconds).all() or (np.diff(seconds) <= 0).any():
        raise UsageError(f"there must be one time for each of the {len(images)} pictures, strictly increasing, got {seconds}")
    steps = np.diff(seconds)
    last = float(np.median(steps)) if len(steps) else 1 / (fps or 25.0)
    ends = np.append(seconds[1:], seconds[-1] + last)

    def read(start: float | None, end: float | None, warn: Warn, needed: Needed | None) -> Generator[Frame, None, None]:
        low = seconds[0] + (start or 0.0) - 0.0005
        high = np.inf if end is None else seconds[0] + end - 0.0005
        inside = np.flatnonzero((seconds >= low) & (seconds < high))
        if not len(inside):
            raise InputError(f"no picture lies between {start or 0.0:g} s and {'the end' if end is None else f'{end:g} s'}")
        for i in inside:
            image: UInt8Array = np.ascontiguousarray(images[i])
            yield Frame(image, float(seconds[i]), float(ends[i] - seconds[i]))

    height, width = images.shape[1:3]
    duration = float(ends[-1] - seconds[0])
    info = SourceInfo(
        path=NAME, width=width, height=height, rotation=0, fps=len(images) / duration, duration_s=duration, frames=len(images),
        audio=None, codec="raw", start_s=float(seconds[0]),
    )  # fmt: skip
    return OpenedInput(info, read)
