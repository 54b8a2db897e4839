"""Find the one scale of a video: how much evidence is drawn as full heat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.values import FloatArray, Track

__all__ = ["NO_EVIDENCE", "RunningScale", "scale_of"]

NO_EVIDENCE = 1e-6
"""The scale if there is no evidence at all: maps of exact zeros divided by it stay zero."""


def scale_of(tracks: Iterable[Track], *, quantile: float = 0.995) -> float:
    """Return the raw evidence that is drawn as 1.0: one positive number for all tracks, labels and times.

    Sort all cells by the strength of their evidence, for and against, and add it up from the weakest: the scale is the strength
    at which the sum reaches ``quantile`` of the total. With 0.995, the cells that are stronger hold 0.5 % of all evidence. So an
    outlier does not dim the video, a short action in a long one still sets the scale, and a label with little evidence, drawn on
    the scale of the others, looks like little evidence. NaN is ignored.

    Args:
        tracks: The tracks of all labels: noise can be told from evidence only by comparison.
        quantile: The share of all evidence below the scale, in (0, 1].

    Returns:
        The scale in the unit of the maps; :data:`NO_EVIDENCE` if all maps are zero.

    Raises:
        UsageError: The quantile is out of range.
    """
    if not 0 < quantile <= 1:
        raise UsageError(f"the scale's quantile must lie in (0, 1], got {quantile}")

    def strengths() -> Iterator[npt.NDArray[np.float32]]:
        for track in every:
            for part in track.blocks():
                yield np.abs(part[~np.isnan(part)]).astype(np.float32, copy=False)

    # Sorting all maps of a long video would need their memory several times over. Positive floats are in the order of the upper
    # halves of their bits: so first add up those with the same upper half, then sort only the half in which the quantile lies.
    every = list(tracks)
    sums = np.zeros(1 << 16)
    for part in strengths():
        sums += np.bincount(_upper(part), weights=part, minlength=len(sums))
    below = np.cumsum(sums)
    if below[-1] <= 0:
        return NO_EVIDENCE
    upper = int(np.searchsorted(below, quantile * below[-1]))
    last = np.sort(np.concatenate([part[_upper(part) == upper] for part in strengths()]))
    within = quantile * below[-1] - (below[upper - 1] if upper else 0.0)
    at = int(np.searchsorted(np.cumsum(last, dtype=np.float64), within))
    return max(float(last[min(at, len(last) - 1)]), NO_EVIDENCE)


def _upper(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    return (values.view(np.uint32) >> 16).astype(np.uint16)


class RunningScale:
    """The scale of a video without an end: it rises at once, falls by half in ``half_life_s``, and never below ``floor``.

    Only the past is used; between two stronger maps the scale falls steadily, so that the picture does not pump.
    """

    def __init__(self, *, half_life_s: float = 10.0, floor: float = NO_EVIDENCE) -> None:
        if not (half_life_s > 0 and floor > 0):
            raise UsageError(f"a running scale needs a positive half-life and floor, got {half_life_s} s and {floor}")
        self._half_life_s, self._floor = half_life_s, floor
        self._scale = floor
        self._time: float | None = None

    def update(self, maps: FloatArray, *, time: float) -> float:
        """Return the scale at ``time``, given the signed ``maps`` of that time; NaN is ignored."""
        if self._time is not None:
            self._scale *= 0.5 ** (max(0.0, time - self._time) / self._half_life_s)
        self._time = time
        strength = np.abs(maps[~np.isnan(maps)])
        self._scale = max(self._scale, float(strength.max()) if strength.size else 0.0, self._floor)
        return self._scale
