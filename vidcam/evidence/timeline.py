"""Join the evidence of clips that come in any order and may overlap into one signal over the whole video.

Everything stays in the method's raw unit and on the model's own grid. What no clip covers is NaN and stays NaN: nothing here
invents evidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.evidence.storage import Spool, empty
from vidcam.interpolation import interpolate, positions, taps
from vidcam.values import Box, Evidence, FloatArray, Track

__all__ = ["TOLERANCE", "Timeline"]

TOLERANCE = 1e-6
"""Times that are closer than this share of a step are equal: they may have been added up in different orders."""

_MIN_WEIGHT = 0.01  # of a clip at its borders, 1 in its middle: small, so that it fades in; not 0, as it may be alone there
_BLOCK_BYTES = 1 << 17


class _Crop(NamedTuple):
    """Where the cells of a map are: clips are blended only with clips of the same crop and grid."""

    ys: tuple[float, ...]
    xs: tuple[float, ...]
    seen: Box


class _Sums:
    """For one label and crop, the weighted sum of the clips' maps and the sum of their weights at each grid step.

    The sums are kept in blocks of as many steps as fill ``_BLOCK_BYTES``; all blocks but those that the next clip may need are
    written to the ``spool``.
    """

    def __init__(self, cell_s: float, shape: tuple[int, int], spool: Spool) -> None:
        self.cell_s, self._spool = cell_s, spool
        self._shape = (max(1, _BLOCK_BYTES // (4 * shape[0] * shape[1])), *shape)
        self._weights: dict[int, FloatArray] = {}
        self._in_memory: dict[int, npt.NDArray[np.float32]] = {}  # in the order in which they were used
        self._in_spool: dict[int, int] = {}  # the place of each

    def add(self, first: int, values: FloatArray, weights: FloatArray) -> None:
        """Add maps ``(N, h, w)`` with ``weights (N,)`` from the step ``first`` on."""
        parts = list(self._parts(first, first + len(values)))
        for block, here, there in parts:
            sums = self._take(block)
            sums[here] += weights[there, None, None] * values[there]
            self._weights.setdefault(block, np.zeros(self._shape[0]))[here] += weights[there]
        for block in list(self._in_memory)[: -2 * len(parts)]:
            place = self._spool.put(self._in_memory[block])
            if place is not None:
                self._in_spool[block] = place
                del self._in_memory[block]

    def means(self, first: int, count: int) -> npt.NDArray[np.float32]:
        """Return the maps ``(count, h, w)`` from the step ``first`` on; NaN where nothing was added."""
        out = empty((count, *self._shape[1:]))
        for block, here, there in self._parts(first, first + count):
            out[there] = np.nan
            if block in self._weights:
                weight = self._weights[block][here]
                known = weight > 0
                out[there][known] = self._read(block)[here][known] / weight[known, None, None]
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
        """Forget everything, and free its room in the spool."""
        for block in list(self._weights):
            self._drop(block)

    def extent(self) -> tuple[int, int] | None:
        """Return the first step that something was added to and the one after the last; None if there is none."""
        if not self._weights:
            return None
        low, high = min(self._weights), max(self._weights)
        first, last = (np.flatnonzero(self._weights[b]) for b in (low, high))
        return low * self._shape[0] + int(first[0]), high * self._shape[0] + int(last[-1]) + 1

    def _read(self, block: int) -> npt.NDArray[np.float32]:
        if block in self._in_memory:
            return self._in_memory[block]
        if block in self._in_spool:
            return self._spool.get(self._in_spool[block], self._shape)
        return np.zeros(self._shape, np.float32)

    def _take(self, block: int) -> npt.NDArray[np.float32]:
        """Return the block to be changed, and keep it in memory as the one used last."""
        sums = self._read(block)
        self._free(block)
        self._in_memory[block] = sums
        return sums

    def _drop(self, block: int) -> None:
        del self._weights[block]
        self._free(block)

    def _free(self, block: int) -> None:
        self._in_memory.pop(block, None)
        if block in self._in_spool:
            self._spool.free(self._in_spool.pop(block), self._shape)

    def _parts(self, first: int, stop: int) -> Iterator[tuple[int, slice, slice]]:
        """Yield the blocks that hold ``[first, stop)``: their index, the part of the block, and its part of ``[first, stop)``."""
        steps = self._shape[0]
        for block in range(first // steps, -(-stop // steps)):
            a, b = max(first, block * steps), min(stop, (block + 1) * steps)
            yield block, slice(a - block * steps, b - block * steps), slice(a - first, b - first)


class Timeline:
    """One evidence signal over the whole video, joined from the evidence of single clips.

    The time grid has a point every ``step_s`` seconds, counted from the start of the first clip. A clip counts at the points in
    its half-open span: its values are linear between its cells' times and held out to the ends of the span; its weight is a
    triangle over the span, so that it fades in and out. Clips are not kept, and what has been joined of a long video lies in a
    file.
    """

    def __init__(self, *, step_s: float) -> None:
        if not (math.isfinite(step_s) and step_s > 0):
            raise UsageError(f"the timeline's step must be positive seconds, got {step_s}")
        self.step_s = step_s
        self._start: float | None = None
        self._sums: dict[str, dict[_Crop, _Sums]] = {}
        self._spans: dict[str, dict[tuple[float, float], None]] = {}
        self._units: dict[str, tuple[str, str | None]] = {}
        self._spool = Spool()

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that evidence was added for, in the order in which they came."""
        return tuple(self._sums)

    def spans(self, label: str) -> list[tuple[float, float]]:
        """Return the spans of the clips that were added for ``label``, each once, in the order in which they came."""
        return list(self._spans.get(label, ()))

    def drop(self, label: str) -> None:
        """Forget all evidence for ``label``, and free its memory."""
        for sums in self._sums.get(label, {}).values():
            sums.close()
        for by_label in (self._sums, self._spans, self._units):
            by_label.pop(label, None)

    def forget(self, before: float) -> None:
        """Forget all evidence for times before ``before``, and labels that have no other: for a video without an end."""
        if self._start is None:
            return
        first = self._step_at(before)
        for crops in self._sums.values():
            for sums in crops.values():
                sums.forget(first)
        for spans in self._spans.values():
            for span in [s for s in spans if s[1] <= before]:
                del spans[span]
        for label in [name for name, crops in self._sums.items() if not any(s.extent() for s in crops.values())]:
            self.drop(label)

    def begin(self, start: float) -> None:
        """Count the grid from the second ``start``, as if a clip had begun there; without effect once there is a grid."""
        if self._start is None:
            self._start = start

    def add(self, evidence: Evidence) -> None:
        """Blend the evidence of one clip in.

        Raises UsageError if its values have another unit than what the label has already.
        """
        label = evidence.label
        unit = self._units.setdefault(label, (evidence.method, evidence.versus))
        if unit != (evidence.method, evidence.versus):
            raise UsageError(
                f"evidence for {label!r} by {evidence.method!r} versus {evidence.versus!r} cannot be blended with what is there "
                f"by {unit[0]!r} versus {unit[1]!r}; use a timeline for each"
            )
        start, end = evidence.span
        self.begin(start)
        self._spans.setdefault(label, {})[evidence.span] = None
        crop = _Crop(tuple(evidence.ys), tuple(evidence.xs), evidence.seen)
        sums = self._sums.setdefault(label, {}).setdefault(crop, _Sums(evidence.cell_s, evidence.values.shape[1:], self._spool))

        first, stop = self._step_at(start), self._step_at(end)
        times = self._times(first, stop)
        weights = _MIN_WEIGHT + (1 - _MIN_WEIGHT) * np.clip(1 - np.abs(2 * times - start - end) / (end - start), 0, 1)
        sums.add(first, _maps_at(evidence, times), weights)

    def tracks(self, label: str, *, until: float | None = None) -> tuple[Track, ...]:
        """Return the joined evidence for ``label``, one :class:`Track` for each crop, all on one grid; () for a new label.

        Maps are NaN at the points that no clip explained for this label. The grid ends with the last clip, or at the second
        ``until`` if that is later.
        """
        extents = [e for crops in self._sums.values() for sums in crops.values() if (e := sums.extent())]
        if not extents:
            return ()
        first, stop = min(a for a, _ in extents), max(b for _, b in extents)
        if until is not None:
            stop = max(stop, self._step_at(until))
        times = self._times(first, stop)
        return tuple(
            Track(label, times, sums.means(first, stop - first), np.array(crop.ys), np.array(crop.xs), crop.seen, sums.cell_s)
            for crop, sums in self._sums.get(label, {}).items()
        )

    def _step_at(self, time: float) -> int:
        """Return the first step of the grid that is not before ``time``."""
        assert self._start is not None
        return math.ceil((time - self._start) / self.step_s - TOLERANCE)

    def _times(self, first: int, stop: int) -> FloatArray:
        assert self._start is not None
        return self._start + np.arange(first, stop) * self.step_s


def _maps_at(evidence: Evidence, times: FloatArray) -> FloatArray:
    """Return a clip's maps ``(N, h, w)`` at ``times``: linear between cells, held past them, cells of equal time averaged."""
    values = evidence.values.astype(np.float64)
    cells, which = np.unique(evidence.times, return_inverse=True)
    if len(cells) < len(evidence.times):  # frames that had to be repeated
        sums = np.zeros((len(cells), *values.shape[1:]))
        np.add.at(sums, which, values)
        values = sums / np.bincount(which)[:, None, None]
    return interpolate(values, taps(positions(cells, times), len(cells)), axis=0)
