"""The windows' evidence as one signal over the whole video: blended, smoothed in seconds, scaled once, cut into segments.

Everything stays in the method's raw unit and on the model's own grid. What no window looked at is NaN, and stays NaN: nothing
here invents evidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.evidence.storage import Spool, empty, release
from vidcam.values import Box, Evidence, FloatArray, Track

__all__ = ["Timeline"]


_FLOOR = 0.01  # weight of a window at its borders, 1 in its middle: small, so that it fades in; not 0, as it may be alone there
_BLOCK = 1 << 17  # bytes of maps that are kept together
_EPSILON = 1e-6  # steps: times that were added up in different orders still fall on the same grid point


class _Crop(NamedTuple):
    """Where the cells of a map are: windows are blended only with windows of the same crop and grid."""

    ys: tuple[float, ...]
    xs: tuple[float, ...]
    seen: Box


class _Sums:
    """Of one label and crop: for each grid step the weighted sum of the windows' maps and the sum of their weights.

    They are kept in blocks of as many steps as fill ``_BLOCK`` bytes; all but those that the next window may need are put away in
    the ``spool``.
    """

    def __init__(self, cell_s: float, shape: tuple[int, int], spool: Spool) -> None:
        self.cell_s, self._spool = cell_s, spool
        self._shape = (max(1, _BLOCK // (4 * shape[0] * shape[1])), *shape)
        self._weights: dict[int, FloatArray] = {}
        self._here: dict[int, npt.NDArray[np.float32]] = {}  # in the order in which they were used
        self._away: dict[int, int] = {}

    def add(self, first: int, values: FloatArray, weights: FloatArray) -> None:
        """Add maps ``(N, h, w)`` with ``weights (N,)`` from the step ``first`` on."""
        parts = list(self._parts(first, first + len(values)))
        for block, here, there in parts:
            sums = self._take(block)
            sums[here] += weights[there, None, None] * values[there]
            self._weights.setdefault(block, np.zeros(self._shape[0]))[here] += weights[there]
        for block in list(self._here)[: -2 * len(parts)]:
            place = self._spool.put(self._here[block])
            if place is not None:
                self._away[block] = place
                del self._here[block]

    def means(self, first: int, count: int) -> npt.NDArray[np.float32]:
        """The maps ``(count, h, w)`` from the step ``first`` on; NaN where nothing was added."""
        out = empty((count, *self._shape[1:]))
        for block, here, there in self._parts(first, first + count):
            out[there] = np.nan
            if block in self._weights:
                weight = self._weights[block][here]
                known = weight > 0
                out[there][known] = self._read(block)[here][known] / weight[known, None, None]
            release(out)
        return out

    def forget(self, before: int) -> None:
        """Forget the steps before ``before``."""
        for block in [b for b in self._weights if b * self._shape[0] < before]:
            gone = min(before - block * self._shape[0], self._shape[0])
            self._weights[block][:gone] = 0
            if not self._weights[block].any():
                self._drop(block)
            else:
                self._take(block)[:gone] = 0

    def close(self) -> None:
        """Forget everything."""
        for block in list(self._weights):
            self._drop(block)

    def reach(self) -> tuple[int, int] | None:
        """The first step and the one after the last that something was added to; None where there is none."""
        if not self._weights:
            return None
        low, high = min(self._weights), max(self._weights)
        first, last = (np.flatnonzero(self._weights[b]) for b in (low, high))
        return low * self._shape[0] + int(first[0]), high * self._shape[0] + int(last[-1]) + 1

    def _read(self, block: int) -> npt.NDArray[np.float32]:
        if block in self._here:
            return self._here[block]
        return self._spool.get(self._away[block], self._shape) if block in self._away else np.zeros(self._shape, np.float32)

    def _take(self, block: int) -> npt.NDArray[np.float32]:
        """The block, to be changed, as the one used last."""
        sums = self._read(block)
        self._release(block)
        self._here[block] = sums
        return sums

    def _drop(self, block: int) -> None:
        del self._weights[block]
        self._release(block)

    def _release(self, block: int) -> None:
        self._here.pop(block, None)
        if block in self._away:
            self._spool.free(self._away.pop(block), self._shape)

    def _parts(self, first: int, stop: int) -> Iterator[tuple[int, slice, slice]]:
        """The blocks that hold ``[first, stop)``: which, where in it, and where in an array that begins at ``first``."""
        steps = self._shape[0]
        for block in range(first // steps, -(-stop // steps)):
            a, b = max(first, block * steps), min(stop, (block + 1) * steps)
            yield block, slice(a - block * steps, b - block * steps), slice(a - first, b - first)


class Timeline:
    """One evidence signal over the whole video, from windows that come in any order and may overlap.

    The time grid has a point every ``step_s`` seconds, counted from the start of the first window. A window counts at the points
    in its half-open span: its values linear between its cells' times and held out to the ends of the span, its weight a triangle
    over the span, so that it fades in and out. The windows are not kept; what has been joined of a long video lies in a file.
    """

    def __init__(self, *, step_s: float) -> None:
        if not (math.isfinite(step_s) and step_s > 0):
            raise UsageError(f"the timeline's step must be positive seconds, got {step_s}")
        self.step_s = step_s
        self._anchor: float | None = None
        self._sums: dict[str, dict[_Crop, _Sums]] = {}
        self._spans: dict[str, dict[tuple[float, float], None]] = {}
        self._units: dict[str, tuple[str, str | None]] = {}
        self._spool = Spool()

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that evidence was added for, in the order in which they came."""
        return tuple(self._sums)

    def explained(self, label: str) -> list[tuple[float, float]]:
        """The spans of the windows that were added for ``label``, each once, in the order in which they came."""
        return list(self._spans.get(label, ()))

    def drop(self, label: str) -> None:
        """Forget all evidence for ``label``, and the memory that it took."""
        for sums in self._sums.get(label, {}).values():
            sums.close()
        for kept in (self._sums, self._spans, self._units):
            kept.pop(label, None)

    def forget(self, before: float) -> None:
        """Forget all evidence for times before ``before``, and labels that have no other: for a video without an end."""
        if self._anchor is None:
            return
        first = math.ceil((before - self._anchor) / self.step_s - _EPSILON)
        for crops in self._sums.values():
            for sums in crops.values():
                sums.forget(first)
        for spans in self._spans.values():
            for span in [s for s in spans if s[1] <= before]:
                del spans[span]
        for label in [name for name, crops in self._sums.items() if not any(s.reach() for s in crops.values())]:
            self.drop(label)

    def begin(self, start: float) -> None:
        """Count the grid from the second ``start``, as if a window had begun there; without effect once there is a grid."""
        if self._anchor is None:
            self._anchor = start

    def add(self, evidence: Evidence) -> None:
        """Blend one window in. UsageError where its values have another unit than what the label has already."""
        label = evidence.label
        unit = self._units.setdefault(label, (evidence.method, evidence.versus))
        if unit != (evidence.method, evidence.versus):
            raise UsageError(
                f"evidence for {label!r} by {evidence.method!r} versus {evidence.versus!r} cannot be blended with what is there "
                f"by {unit[0]!r} versus {unit[1]!r}; use a timeline for each"
            )
        start, end = evidence.span
        self.begin(start)
        assert self._anchor is not None
        self._spans.setdefault(label, {})[evidence.span] = None
        crop = _Crop(tuple(evidence.ys), tuple(evidence.xs), evidence.seen)
        sums = self._sums.setdefault(label, {}).setdefault(crop, _Sums(evidence.cell_s, evidence.values.shape[1:], self._spool))

        first, stop = (math.ceil((t - self._anchor) / self.step_s - _EPSILON) for t in (start, end))
        times = self._anchor + np.arange(first, stop) * self.step_s
        weights = _FLOOR + (1 - _FLOOR) * np.clip(1 - np.abs(2 * times - start - end) / (end - start), 0, 1)
        sums.add(first, _at(evidence, times), weights)

    def tracks(self, label: str, *, until: float | None = None) -> tuple[Track, ...]:
        """The joined evidence for ``label``, one :class:`Track` for each crop, all of a timeline on one grid; () for a new label.

        NaN at the points that no window explained for this label. The grid ends with the last window, or at the second ``until``
        where that is later.
        """
        reaches = [r for crops in self._sums.values() for sums in crops.values() if (r := sums.reach())]
        if not reaches or self._anchor is None:
            return ()
        first, stop = min(a for a, _ in reaches), max(b for _, b in reaches)
        if until is not None:
            stop = max(stop, math.ceil((until - self._anchor) / self.step_s - _EPSILON))
        times = self._anchor + np.arange(first, stop) * self.step_s
        return tuple(
            Track(label, times, sums.means(first, stop - first), np.array(crop.ys), np.array(crop.xs), crop.seen, sums.cell_s)
            for crop, sums in self._sums.get(label, {}).items()
        )


def _at(evidence: Evidence, times: FloatArray) -> npt.NDArray[np.float64]:
    """The window's maps ``(N, h, w)`` at ``times``: linear between cells, held past them, cells of equal time averaged."""
    values = evidence.values.astype(np.float64)
    cells, which = np.unique(evidence.times, return_inverse=True)
    if len(cells) < len(evidence.times):  # frames that had to be repeated
        sums = np.zeros((len(cells), *values.shape[1:]))
        np.add.at(sums, which, values)
        values = sums / np.bincount(which)[:, None, None]
    position = np.interp(times, cells, np.arange(len(cells)))
    low = position.astype(int)
    share = (position - low)[:, None, None]
    out: npt.NDArray[np.float64] = (1 - share) * values[low] + share * values[np.minimum(low + 1, len(cells) - 1)]
    return out


# ----------------------------------------------------------------------------------------------------------- smoothing


# --------------------------------------------------------------------------------------------- scale, segments, moments
