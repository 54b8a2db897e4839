"""The windows' evidence as one signal over the whole video: blended, smoothed in seconds, scaled once, cut into segments.

Everything stays in the method's raw unit and on the model's own grid. What no window looked at is NaN, and stays NaN: nothing
here invents evidence.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from vidcam import spool
from vidcam.errors import UsageError
from vidcam.spool import Spool
from vidcam.types import Box, Evidence, FloatArray, Segment, Track, UInt8Array

__all__ = ["NO_EVIDENCE", "FlowField", "RunningScale", "Smoothing", "Timeline", "peaks", "scale_of", "segments", "smooth"]

Smoothing = Literal["none", "gaussian", "exponential", "flow"]

NO_EVIDENCE = 1e-6
"""The scale where there is nothing to scale: maps of exact zeros divided by it stay zero."""

_FLOOR = 0.01  # weight of a window at its borders, 1 in its middle: small, so that it fades in; not 0, as it may be alone there
_BLOCK = 1 << 17  # bytes of maps that are kept together
_STRETCH = 512  # maps that are smoothed at once: what is needed meanwhile does not grow with the video
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
        out = spool.empty((count, *self._shape[1:]))
        for block, here, there in self._parts(first, first + count):
            out[there] = np.nan
            if block in self._weights:
                weight = self._weights[block][here]
                known = weight > 0
                out[there][known] = self._read(block)[here][known] / weight[known, None, None]
            spool.let_go(out)
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


def smooth(track: Track, *, kind: Smoothing, seconds: float, causal: bool = False, flow: FlowField | None = None) -> Track:
    """The track with its maps averaged over time; ``seconds`` is the averaging kernel's standard deviation, 0 switches it off.

    ``gaussian``: symmetric, so that a moment stays at its time. ``exponential``: symmetric too, ``exp(-|t| / tau)`` with tau =
    seconds / sqrt(2); where ``causal``, one-sided with tau = seconds: it looks at the past only and lags ``seconds`` behind.
    ``flow``: the Gaussian (where ``causal``, the one-sided exponential) of values that are first carried along the motion in
    ``flow``, so that heat follows what moves instead of smearing.

    Weights are renormalised where the kernel passes the ends, an unseen stretch or (``flow``) the border of the map: a constant
    stays what it is, and away from those the sum over time is kept. NaN stays NaN. UsageError where a Gaussian is to be causal.
    """
    if not (math.isfinite(seconds) and seconds >= 0):
        raise UsageError(f"smoothing must be 0 seconds or more, got {seconds}")
    if kind not in ("none", "gaussian", "exponential", "flow"):
        raise UsageError(f"smoothing must be none, gaussian, exponential or flow, got {kind!r}")
    if kind == "gaussian" and causal:
        raise UsageError("a Gaussian looks into the future; use exponential or flow where only the past is known")
    if kind == "flow" and flow is None:
        raise UsageError("smoothing along the motion needs the motion: pass flow, or use gaussian")
    if kind == "none" or seconds == 0 or len(track.times) < 2:
        return track

    exponential = causal or kind == "exponential"
    tau = seconds if causal else seconds / math.sqrt(2)
    reach = (7 * tau if exponential else 4 * seconds) * (1 + _EPSILON)  # what is beyond weighs less than 1/1000 of the middle
    directions: tuple[Literal[-1, 1], ...] = (-1,) if causal else (-1, 1)

    def kernel(apart: FloatArray) -> FloatArray:
        weights = np.exp(-apart / tau) if exponential else np.exp(-0.5 * (apart / seconds) ** 2)
        return np.where(apart <= reach, weights, 0.0)

    times, smoothed = track.times, spool.empty(track.maps.shape)
    for start in range(0, len(times), _STRETCH):
        stop = min(start + _STRETCH, len(times))
        # With all that reaches into the stretch, and a neighbour at least on either side.
        first = max(0, min(int(np.searchsorted(times, times[start] - reach)), start - 1))
        last = max(int(np.searchsorted(times, times[stop - 1] + reach, side="right")), stop + 1)
        part = replace(track, times=times[first:last], maps=track.maps[first:last])
        found = _averaged(part, kernel, reach, directions, flow if kind == "flow" else None)
        smoothed[start:stop] = found[start - first : stop - first]
        spool.let_go(track.maps, smoothed)
    return replace(track, maps=smoothed)


def _averaged(
    track: Track,
    kernel: Callable[[FloatArray], FloatArray],
    reach: float,
    directions: Sequence[Literal[-1, 1]],
    flow: FlowField | None,
) -> npt.NDArray[np.float32]:
    """The track's maps, each the mean of those at most ``reach`` seconds away, weighted by the ``kernel`` of their distance."""
    maps = np.nan_to_num(track.maps)
    seen = (~np.isnan(track.maps)).astype(np.float32)
    total, weight = maps.astype(np.float64), seen.astype(np.float64)
    for direction in directions:
        carried = carried_along(track, flow, direction)
        for offset in range(1, len(track.times)):
            here = slice(offset, None) if direction < 0 else slice(None, -offset)
            there = slice(None, -offset) if direction < 0 else slice(offset, None)
            apart = np.abs(track.times[there] - track.times[here])
            if apart.min() > reach:
                break
            share = kernel(apart)[:, None, None]
            values, present = carried(maps[there], seen[there])
            total[here] += share * values
            weight[here] += share * present
    with np.errstate(invalid="ignore", divide="ignore"):
        smoothed = (total / weight).astype(np.float32)
    smoothed[np.isnan(track.maps)] = np.nan
    return smoothed


Carry = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]


def carried_along(track: Track, flow: FlowField | None, direction: Literal[-1, 1]) -> Carry:
    """A function that takes the maps (and their weights) 1, 2, 3 ... steps away and brings them to where they belong now.

    Displacements are composed and each map is looked up once, so that nothing is blurred by being moved again and again.
    """
    if flow is None:
        return lambda values, present: (values, present)
    pairs = [(a, b) if direction > 0 else (b, a) for a, b in pairwise(track.times.tolist())]
    steps = np.stack([flow.between(start, end, ys=track.ys, xs=track.xs) for start, end in pairs])
    h, w = track.maps.shape[1:]
    size = np.array([h, w])
    cells = np.moveaxis(np.mgrid[:h, :w].astype(np.float64), 0, -1)
    positions: FloatArray = np.repeat(cells[None], len(track.times), axis=0)

    def carry(values: FloatArray, present: FloatArray) -> tuple[FloatArray, FloatArray]:
        nonlocal positions
        positions = positions[1:] if direction < 0 else positions[:-1]
        step = steps[: len(values)] if direction < 0 else steps[-len(values) :]
        positions = positions + _look_up(step, positions)
        inside = np.all((positions >= -0.5) & (positions <= size - 0.5), axis=-1, keepdims=True)
        found = _look_up(np.stack([values, present], axis=-1), positions) * inside
        return found[..., 0], found[..., 1]

    return carry


def _look_up(fields: FloatArray, positions: FloatArray) -> FloatArray:
    """``fields (N, h, w, C)`` at ``positions (N, a, b, 2)`` (row, column): ``(N, a, b, C)``, bilinear, held past the border."""
    n, h, w, channels = fields.shape
    rows, columns = np.clip(positions[..., 0], 0, h - 1), np.clip(positions[..., 1], 0, w - 1)
    top, left = rows.astype(np.intp), columns.astype(np.intp)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    flat = fields.reshape(-1, channels)
    corner = (np.arange(n).reshape(-1, 1, 1) * h + top) * w + left
    below, beside = np.where(top < h - 1, w, 0), np.where(left < w - 1, 1, 0)
    upper = flat[corner] * (1 - right) + flat[corner + beside] * right
    lower = flat[corner + below] * (1 - right) + flat[corner + below + beside] * right
    out: FloatArray = upper * (1 - down) + lower * down
    return out


class FlowField:
    """How the picture moves, as optical flow on a coarse lattice over the whole source picture.

    Pictures are pushed with their times; about every ``step_s`` the flow between two of them is measured, forward and backward,
    by Dense Inverse Search (Kroeger et al. 2016) on gray pictures of at most 160 pixels. The step is the flow's own: much longer
    ones than the default lose sight of a quick hand. ``size`` is the source's (H, W). Memory: a few hundred numbers a step.
    """

    _LONG_SIDE, _LATTICE = 160, 16

    def __init__(self, *, size: tuple[int, int], step_s: float = 0.08) -> None:
        self._size, self._step_s = size, step_s
        self._times: list[float] = []
        self._motion: list[npt.NDArray[np.float16]] = []  # (2, lh, lw, 2): forward, backward; (dy, dx) in source pixels
        self._last: UInt8Array | None = None
        self._dis = cv2.DISOpticalFlow.create(
            cv2.DISOpticalFlow_PRESET_MEDIUM
        )  # FAST misses what moves before a background at rest

    def push(self, image: UInt8Array, *, time: float) -> None:
        """Take the next picture, ``(h, w, 3)`` RGB or ``(h, w)`` gray uint8 of any size, showing the whole source picture."""
        if self._times and time < self._times[-1] + self._step_s * (1 - _EPSILON):
            return
        # At least 32 pixels either way: the search begins on a picture several times smaller, which must have room for a patch.
        shrink = self._LONG_SIDE / max(image.shape[:2])
        width, height = (max(32, round(n * min(shrink, 1))) for n in (image.shape[1], image.shape[0]))
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        gray = np.asarray(small if image.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        if self._last is not None:
            pair = ((self._last, gray), (gray, self._last))
            flows = [self._dis.calc(a, b, None) for a, b in pair]  # type: ignore[call-overload]
            self._motion.append(np.stack([self._pooled(flow) for flow in flows]).astype(np.float16))
        self._times.append(time)
        self._last = gray

    def _pooled(self, flow: FloatArray) -> FloatArray:
        """The flow ``(h, w, 2)`` as (dy, dx) in source pixels on the lattice.

        The mean of each cell is weighted by speed: where something moves over a resting background, heat belongs to what moves.
        """
        h, w = flow.shape[:2]
        shrink = min(self._LATTICE / max(h, w), 1)
        lattice = max(1, round(w * shrink)), max(1, round(h * shrink))
        pixels = flow[..., ::-1] * np.array([self._size[0] / h, self._size[1] / w], np.float32)
        speed = np.hypot(pixels[..., 0], pixels[..., 1]) + np.float32(1e-6)
        summed = cv2.resize(np.ascontiguousarray(pixels * speed[..., None]), lattice, interpolation=cv2.INTER_AREA)
        out = summed / cv2.resize(speed, lattice, interpolation=cv2.INTER_AREA)[..., None]
        return np.asarray(out, dtype=np.float32)

    def between(self, start: float, end: float, *, ys: FloatArray, xs: FloatArray) -> FloatArray:
        """How far what is at each cell at ``start`` has moved at ``end``, which may be earlier: ``(h, w, 2)`` (dy, dx) in cells.

        ``ys`` and ``xs`` are the cells' centres in source pixels. Before the first picture and after the last nothing moves.
        """
        origin = np.empty((len(ys), len(xs), 2))
        origin[..., 0], origin[..., 1] = ys[:, None], xs
        positions: FloatArray = origin
        early, late = min(start, end), max(start, end)
        first = max(0, bisect_right(self._times, early) - 1)
        last = min(len(self._motion), bisect_left(self._times, late))
        for i in range(first, last) if end > start else range(last - 1, first - 1, -1):
            a, b = self._times[i], self._times[i + 1]
            share = max(0.0, min(late, b) - max(early, a)) / (b - a)
            field = self._motion[i][0 if end > start else 1].astype(np.float64)
            cells: FloatArray = (positions + 0.5) / np.array(self._size) * field.shape[:2] - 0.5
            positions = positions + share * _look_up(field[None], cells[None])[0]
        spacing = [(c[-1] - c[0]) / (len(c) - 1) if len(c) > 1 else n for c, n in zip((ys, xs), self._size, strict=True)]
        out: FloatArray = (positions - origin) / np.array(spacing)
        return out


# --------------------------------------------------------------------------------------------- scale, segments, moments


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
                spool.let_go(track.maps)

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


def segments(
    label: str, times: FloatArray, curve: FloatArray, *, high: float, low: float, min_s: float = 0.0
) -> tuple[Segment, ...]:
    """The stretches in which ``curve`` stays at or above ``low`` and reaches ``high`` at least once, at least ``min_s`` long.

    Two thresholds, so that a curve that wavers around one of them is not cut to pieces. Point i of the grid ``times`` stands for
    [times[i], times[i + 1]), so segments are half-open and end at the grid's edges; the last point is as long as the one before.
    NaN ends a segment. () where there are fewer than two points, whose length nobody knows. The score is the mean of the curve.
    """
    if low > high:
        raise UsageError(f"the lower threshold must not lie above the upper one, got low={low} and high={high}")
    if len(times) < 2:
        return ()
    edges = np.append(times, 2 * times[-1] - times[-2])
    out = []
    for first, stop in _runs(curve >= low):
        part = curve[first:stop]
        if part.max() >= high and edges[stop] - edges[first] >= min_s * (1 - _EPSILON):
            out.append(Segment(label, float(edges[first]), float(edges[stop]), float(part.mean())))
    return tuple(out)


def peaks(times: FloatArray, curve: FloatArray, *, n: int, min_gap_s: float) -> tuple[int, ...]:
    """The indices, in order of time, of the ``n`` highest local maxima of ``curve`` that are at least ``min_gap_s`` apart.

    The highest is always among them. A plateau counts once, at its middle. NaN is no maximum; fewer than ``n`` where there are no
    more.
    """
    values = np.where(np.isnan(curve), -np.inf, curve)
    padded = np.concatenate([[-np.inf], values, [-np.inf]])
    found: list[int] = []
    for first, stop in _levels(values):
        if np.isfinite(values[first]) and padded[first] < values[first] > padded[stop + 1]:
            found.append((first + stop - 1) // 2)
    chosen: list[int] = []
    for i in sorted(found, key=lambda i: -values[i]):
        if len(chosen) < n and all(abs(times[i] - times[j]) >= min_gap_s * (1 - _EPSILON) for j in chosen):
            chosen.append(i)
    return tuple(sorted(chosen))


def _runs(inside: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """The half-open index ranges over which ``inside`` is true."""
    change = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(np.int8)))
    return zip(change[::2].tolist(), change[1::2].tolist(), strict=True)


def _levels(values: FloatArray) -> Iterator[tuple[int, int]]:
    """The half-open index ranges over which ``values`` stays the same."""
    edges = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
    return pairwise(edges)
