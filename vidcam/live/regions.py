"""Named regions of the picture, which rules can ask for: ``falling down > 0.8 in door``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vidcam.errors import UsageError
from vidcam.values import Track

if TYPE_CHECKING:
    from vidcam.live.state import Update

__all__ = ["Peak", "Places", "Region", "find_peak", "parse_region"]


@dataclass(frozen=True)
class Region:
    """A rectangle of the picture, in shares of its width and height: 0, 0 is the upper left corner and 1, 1 the lower right one.

    Raises:
        UsageError: The name is empty or contains signs that rules use, or the rectangle is empty or leaves the picture.
    """

    name: str
    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[^\W_](?:[\w .\-]{0,38}[\w.\-])?", self.name):
            raise UsageError(
                f"a region's name is up to 40 letters, digits, spaces, dots, hyphens and underscores, got {self.name!r}"
            )
        if not (0 <= self.x0 < self.x1 <= 1 and 0 <= self.y0 < self.y1 <= 1):
            raise UsageError(
                f"the region {self.name} must lie within the picture: left < right and top < bottom, all between 0 and 1, "
                f"got {self.x0:g},{self.y0:g},{self.x1:g},{self.y1:g}"
            )

    def __str__(self) -> str:
        return f"{self.name}={self.x0:.4g},{self.y0:.4g},{self.x1:.4g},{self.y1:.4g}"

    def contains(self, x: float, y: float) -> bool:
        """Return whether a place, in shares of the picture's width and height, lies in the region."""
        return self.x0 <= x <= self.x1 and self.y0 <= y <= self.y1


def parse_region(words: str) -> Region:
    """Read ``NAME=LEFT,TOP,RIGHT,BOTTOM`` in shares of the picture, as in ``door=0.1,0.2,0.4,1``. UsageError if not valid."""
    name, _, numbers = words.partition("=")
    try:
        x0, y0, x1, y1 = (float(number) for number in numbers.split(","))
    except ValueError as error:
        raise UsageError(
            f"a region is NAME=LEFT,TOP,RIGHT,BOTTOM in shares of the picture, such as door=0.1,0.2,0.4,1; got {words!r}"
        ) from error
    return Region(" ".join(name.split()), x0, y0, x1, y1)


class Peak(NamedTuple):
    """The centre of a cell in shares of the picture's width and height, and the raw evidence in it."""

    x: float
    y: float
    strength: float


def find_peak(tracks: Sequence[Track], size: tuple[int, int]) -> Peak | None:
    """Return the cell with the strongest evidence at the last time, in a picture of ``size`` (H, W).

    None if nothing speaks for the label.
    """
    track = max(tracks, key=lambda t: float(t.maps[-1].max()), default=None)
    if track is None or not float(track.maps[-1].max()) > 0:
        return None
    values = track.maps[-1]
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return Peak(
        float(track.xs[column] + 0.5) / size[1], float(track.ys[row] + 0.5) / size[0], strength=float(values[row, column])
    )


class Places:
    """Remembers for each label where its evidence was strong within the last clip.

    The newest map need not show it. Somebody who has fallen lies still, and hardly any evidence is left for that moment; but the
    clip that is answered as a fall still contains the fall.

    Args:
        clip_s: The length of a clip in seconds.
    """

    SHARE = 0.25
    """A peak counts if it is at least this share of the strongest one within the clip."""

    def __init__(self, *, clip_s: float) -> None:
        self._clip_s = clip_s
        self._peaks: dict[str, list[tuple[float, Peak]]] = {}

    def update(self, update: Update, size: tuple[int, int]) -> None:
        """Take the newest evidence, in a picture of ``size`` (H, W), and forget what lies before its clip."""
        for label, tracks in update.tracks.items():
            peak = find_peak(tracks, size)
            if peak is not None:
                self._peaks.setdefault(label, []).append((update.time, peak))
        for label, peaks in list(self._peaks.items()):
            self._peaks[label] = [(time, peak) for time, peak in peaks if time > update.time - self._clip_s]

    def clear(self) -> None:
        """Forget everything, because a new clip of the stream begins."""
        self._peaks.clear()

    def find(self, label: str) -> Peak | None:
        """Return the newest place with strong evidence for the label; None if there is none."""
        peaks = [peak for _, peak in self._peaks.get(label, ())]
        least = self.SHARE * max((peak.strength for peak in peaks), default=0.0)
        return next((peak for peak in reversed(peaks) if peak.strength >= least), None)
