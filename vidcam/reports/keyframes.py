"""The pictures of the moments with the strongest evidence."""

from __future__ import annotations

from collections.abc import Callable

from vidcam.analysis import Analysis
from vidcam.render.overlay import Style, thumb
from vidcam.reports.moments import find_moments
from vidcam.values import Frame, Heat, Keyframe

__all__ = ["Filmstrip"]

WIDTH = 480
"""Width of a picture in pixels."""


class Filmstrip:
    """Collects the pictures at the peaks of the evidence, as the frames of the video pass by."""

    def __init__(self, analysis: Analysis, *, heat: Callable[[str, float], Heat | None], style: Style, signed: bool) -> None:
        """``heat`` gives the heat of a label at a time; ``style`` and ``signed`` are as for the explained video."""
        self.moments: list[Keyframe] = []
        self._heat, self._style, self._signed = heat, style, signed
        self._peaks = find_moments(analysis)

    def offer(self, frame: Frame) -> None:
        """Take the frame's picture for every peak at which it is shown."""
        while self._peaks and frame.end > self._peaks[0][0]:
            time, label, score = self._peaks.pop(0)
            image = thumb(frame.image, self._heat(label, time), width=WIDTH, style=self._style, signed=self._signed)
            self.moments.append(Keyframe(time, label, score, image))
