"""The film strip of a report: small pictures of the strongest moments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vidcam.analysis import Analysis
from vidcam.evidence.segments import find_peaks
from vidcam.render.overlay import Style, thumb
from vidcam.values import Frame, Heat, Keyframe

if TYPE_CHECKING:
    pass

__all__ = []


FILM = 6  # pictures in the film strip of a report


FILM_WIDTH = 480  # pixels


class Filmstrip:
    """The film strip of a report: small pictures of the strongest moments, taken as the frames pass by."""

    def __init__(self, analysis: Analysis, *, heat: Callable[[str, float], Heat | None], style: Style, signed: bool) -> None:
        self.moments: list[Keyframe] = []
        self._heat, self._style, self._signed = heat, style, signed
        times = analysis.times_s
        each = max(1, FILM // len(analysis.curves))
        gap = (times[-1] - times[0]) / (2 * FILM)
        found = [
            (float(times[i]), label, float(curve[i]))
            for label, curve in analysis.curves.items()
            for i in find_peaks(times, curve, n=each, min_gap_s=gap)
            if curve[i] > 0
        ]
        self._wanted = sorted(found)

    def offer(self, frame: Frame) -> None:
        """Take the frame's picture for every moment that it shows."""
        while self._wanted and frame.end > self._wanted[0][0]:
            second, label, score = self._wanted.pop(0)
            heat = self._heat(label, second)
            image = thumb(frame.image, heat, width=FILM_WIDTH, style=self._style, signed=self._signed)
            self.moments.append(Keyframe(second, label, score, image))
