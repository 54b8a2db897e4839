"""The one scale of a video: how much evidence is drawn as full heat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.evidence.smoothing import _STRETCH
from vidcam.evidence.storage import release
from vidcam.values import FloatArray, Track

__all__ = ["NO_EVIDENCE", "RunningScale", "scale_of"]


NO_EVIDENCE = 1e-6
"""The scale where there is nothing to scale: maps of exact zeros divided by it stay zero."""


def scale_of(tracks: Iterable[Track], *, quantile: float = 0.995) -> float:
    """The raw evidence that is drawn as 1.0: one positive number for all tracks, labels and times.

    It is the strength above which the strongest cells hold the last ``1 - quantile`` of all evidence, for and against. So an
    outlier does not dim the video, a short action in a long one still sets the scale, and a label with little evidence, drawn on
    the scale of the others, looks like little evidence. NaN is ignored. Where all maps are zero it is :data:`NO_EVIDENCE`. It can
    not tell noise from evidence where there is nothing else to compare with: pass the tracks of all labels.
    """
    if not 0 < quantile <= 1:
        raise UsageError(f"the scale's quantile must lie in (0, 1], got {quantile}")

    def strengths() -> Iterator[npt.NDArray[np.float32]]:
        for track in kept:
            for start in range(0, len(track.maps), _STRETCH):
                part = track.maps[start : start + _STRETCH]
                yield np.abs(part[~np.isnan(part)]).astype(np.float32, copy=False)
                release(track.maps)

    # Sorted and added up, all maps of a long video would need their memory several times over. The upper halves of the numbers'
    # bits are in the order of the numbers: so first the sum of those with the same upper half, then the few that it hangs on.
    kept = list(tracks)
    sums = np.zeros(1 << 16)
    for part in strengths():
        sums += np.bincount(_upper(part), weights=part, minlength=len(sums))
    held = np.cumsum(sums)
    if held[-1] <= 0:
        return NO_EVIDENCE
    upper = int(np.searchsorted(held, quantile * held[-1]))
    last = np.sort(np.concatenate([part[_upper(part) == upper] for part in strengths()]))
    within = quantile * held[-1] - (held[upper - 1] if upper else 0.0)
    at = int(np.searchsorted(np.cumsum(last, dtype=np.float64), within))
    return max(float(last[min(at, len(last) - 1)]), NO_EVIDENCE)


def _upper(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    return (values.view(np.uint32) >> 16).astype(np.uint16)


class RunningScale:
    """The scale of a video that is still going on: rises at once, falls by half in ``half_life_s``, and never below ``floor``.

    Only the past is used; between two stronger maps the scale falls steadily, so that the picture does not pump.
    """

    def __init__(self, *, half_life_s: float = 10.0, floor: float = NO_EVIDENCE) -> None:
        if not (half_life_s > 0 and floor > 0):
            raise UsageError(f"a running scale needs a positive half-life and floor, got {half_life_s} s and {floor}")
        self._half_life_s, self._floor = half_life_s, floor
        self._scale = floor
        self._time: float | None = None

    def update(self, maps: FloatArray, *, time: float) -> float:
        """The scale at ``time``, after a look at the signed ``maps`` of that time; NaN is ignored."""
        if self._time is not None:
            self._scale *= 0.5 ** (max(0.0, time - self._time) / self._half_life_s)
        self._time = time
        strength = np.abs(maps[~np.isnan(maps)])
        self._scale = max(self._scale, float(strength.max()) if strength.size else 0.0, self._floor)
        return self._scale
