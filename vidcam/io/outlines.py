"""Outlines of the people who act in a clip, frame by frame: the values, and the question "which pixels, at this frame?".

:mod:`vidcam.io.outline_files` reads and writes them, :mod:`vidcam.io.outline_datasets` converts those of public data sets.
"""

from __future__ import annotations

import bisect
import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vidcam.errors import UsageError
from vidcam.io.outline_shapes import ABSENT, Absent, Bools, Runs, Shape, between

__all__ = ["Actor", "Between", "ClipOutlines", "Keyframe"]

Between = Literal["linear", "hold", "none"]
"""What is known between two keyframes: the corners move on straight lines, the earlier outline holds, or nothing."""

TICK_S = 5e-4
"""Times that differ by less than half a millisecond are the same."""


@dataclass(frozen=True)
class Keyframe:
    """An actor's outline at one moment.

    Attributes:
        at: The number of the frame, counted from 0, or the seconds since the clip's first frame; see :attr:`Actor.unit`.
        shape: The outline, or that the actor is absent.
    """

    at: float
    shape: Shape


@dataclass(frozen=True)
class Actor:
    """Where one actor is.

    An absent actor stays absent until the next keyframe, whatever ``between`` says.

    Attributes:
        name: For readers, such as "rider".
        unit: What ``Keyframe.at`` counts: ``"frame"`` or ``"time"``.
        between: What is known between two keyframes.
        keyframes: At least one, at strictly increasing places.
    """

    name: str
    unit: Literal["frame", "time"]
    between: Between
    keyframes: tuple[Keyframe, ...]

    def __post_init__(self) -> None:
        places = [k.at for k in self.keyframes]
        if not places or any(b <= a for a, b in itertools.pairwise(places)):
            raise UsageError(f"keyframes must come in the order of time, each {self.unit} once, and at least one")
        if self.between == "linear":
            for n, (a, b) in enumerate(itertools.pairwise(self.keyframes)):
                _check_pair(a, b, n)

    def shape_at(self, frame: int, time: float) -> Shape | None:
        """Return the outline at a frame; None if it is not known: before the first keyframe, after the last, or between them."""
        at, tolerance = (float(frame), 0.0) if self.unit == "frame" else (time, TICK_S)
        index = bisect.bisect_right([k.at for k in self.keyframes], at + tolerance) - 1
        if index < 0:
            return None
        before = self.keyframes[index]
        if abs(before.at - at) <= tolerance:
            return before.shape
        if index + 1 == len(self.keyframes):
            return None
        after = self.keyframes[index + 1]
        if isinstance(before.shape, Absent):
            return ABSENT
        if self.between == "none":
            return None
        if self.between == "hold" or isinstance(after.shape, Absent):
            return before.shape
        return between(before.shape, after.shape, (at - before.at) / (after.at - before.at))


@dataclass(frozen=True)
class ClipOutlines:
    """The outlines of one clip.

    Attributes:
        clip: The path of the clip, relative to a folder of clips: a video or a folder of images.
        size: (height, width) of the upright picture, in whose pixels the outlines are.
        labels: Names of what is done, the preferred one first; several, because data sets name the same thing differently.
        actors: At least one.
        spans: The half-open spans ``[start, end)`` in seconds in which it is done; empty: whenever an actor is in the picture.
        fps: The images per second of a folder of images; None for a video.
        sha256: The checksum of the clip's file; empty if it is not known.
        note: For readers: who drew the outlines, and how.
    """

    clip: str
    size: tuple[int, int]
    labels: tuple[str, ...]
    actors: tuple[Actor, ...]
    spans: tuple[tuple[float, float], ...] = ()
    fps: float | None = None
    sha256: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if not self.actors:
            raise UsageError("outlines need at least one actor")

    def mask_at(self, frame: int, time: float) -> Bools | None:
        """Return the pixels ``(H, W)`` of all who act in a frame; None if that is not known.

        Args:
            frame: The number of the frame, counted from 0.
            time: Its seconds since the clip's first frame.
        """
        shapes = [actor.shape_at(frame, time) for actor in self.actors]
        known = [shape for shape in shapes if shape is not None]
        if not known:
            return None
        out = np.zeros(self.size, np.bool_)
        if self.is_active(time):
            for shape in known:
                out |= shape.mask(self.size)
        return out

    def is_known(self, frame: int, time: float) -> bool:
        """Return whether :meth:`mask_at` knows the outline of a frame."""
        return any(actor.shape_at(frame, time) is not None for actor in self.actors)

    def is_active(self, time: float) -> bool:
        """Return whether it is done at this second, as far as the spans say."""
        return not self.spans or any(start - TICK_S <= time < end - TICK_S for start, end in self.spans)


def _check_pair(before: Keyframe, after: Keyframe, number: int) -> None:
    """Raise UsageError if two neighbouring keyframes cannot be interpolated."""
    if isinstance(before.shape, Absent) or isinstance(after.shape, Absent):
        return
    if isinstance(before.shape, Runs) or isinstance(after.shape, Runs):
        raise UsageError(f'keyframes {number} and {number + 1} are masks, which cannot be interpolated: use "between": "hold"')
    try:
        between(before.shape, after.shape, 0.5)
    except UsageError as error:
        raise UsageError(f'keyframes {number} and {number + 1}: {error}, or use "between": "hold"') from error
