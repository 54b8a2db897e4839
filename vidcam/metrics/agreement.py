"""How alike are two explanations of one video? They are compared on one lattice of places and seconds.

Methods have grids of their own, from the 7x7 cells of a last layer to blocks of a few pixels. Every map is drawn where its cells
are, over the part of the picture that the model saw (:func:`vidcam.evidence.heat.render_heat`), and averaged over the points of
the lattice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from vidcam.evidence.heat import render_heat
from vidcam.methods.cell_geometry import Bools
from vidcam.metrics.ranks import rank_correlation
from vidcam.values import Box, FloatArray, Track

__all__ = [
    "HOTTEST", "MAX_TIMES", "PLACES", "SAME_MAP", "Agreement", "LatticeMaps", "box_around",
    "class_correlation", "correlation", "crop_track", "largest_difference", "lay_on_lattice", "measure_agreement", "overlap",
    "shared_times",
]  # fmt: skip

PLACES, MAX_TIMES = 24, 60
"""Rows and columns of the lattice over what the model saw, and the largest number of its times."""

HOTTEST = 0.1
"""The share of the points whose overlap is compared."""

SAME_MAP = 1e-4
"""Maps that differ by less, as a share of the largest value, count as one map."""

_FINE = 4  # a point stands for its area: the mean of so many places along each axis


@dataclass(frozen=True)
class LatticeMaps:
    """Evidence on the lattice: ``for_ (N, PLACES, PLACES) float32 >= 0`` and ``against`` likewise, in the method's own unit."""

    for_: FloatArray
    against: FloatArray

    @property
    def signed(self) -> FloatArray:
        """Evidence for the class less evidence against it."""
        out: FloatArray = self.for_ - self.against
        return out


@dataclass(frozen=True)
class Agreement:
    """How alike the evidence of the methods ``names`` for one class is: two symmetric matrices, NaN if a method has no evidence.

    ``correlation`` is Spearman's, in [-1, 1]; ``overlap`` is the intersection over union of the hottest tenth of the points, in
    [0, 1]. By chance they are 0 and 0.05.
    """

    names: tuple[str, ...]
    correlation: FloatArray
    overlap: FloatArray


def crop_track(track: Track, box: Box, size: tuple[int, int]) -> Track:
    """Return the track as it lies over the part ``box`` of the picture (in pixel edges), scaled to a ``size`` (H, W)."""
    fy, fx = size[0] / (box.y1 - box.y0), size[1] / (box.x1 - box.x0)
    s = track.seen
    return replace(
        track,
        ys=(track.ys + 0.5 - box.y0) * fy - 0.5,
        xs=(track.xs + 0.5 - box.x0) * fx - 0.5,
        seen=Box((s.y0 - box.y0) * fy, (s.x0 - box.x0) * fx, (s.y1 - box.y0) * fy, (s.x1 - box.x0) * fx),
    )


def box_around(tracks: Sequence[Track]) -> Box:
    """Return the smallest rectangle around what the crops see."""
    boxes = [t.seen for t in tracks]
    return Box(min(b.y0 for b in boxes), min(b.x0 for b in boxes), max(b.y1 for b in boxes), max(b.x1 for b in boxes))


def shared_times(tracks: Sequence[Track], most: int = MAX_TIMES) -> FloatArray:
    """Return at most ``most`` seconds, evenly spread over those at which every crop has evidence."""
    present = np.logical_and.reduce([~np.isnan(t.maps[:, 0, 0]) for t in tracks])
    times: FloatArray = tracks[0].times[present]
    chosen: FloatArray = times[np.unique(np.linspace(0, len(times) - 1, min(most, len(times))).round().astype(int))]
    return chosen


def lay_on_lattice(tracks: Sequence[Track], times: FloatArray, *, box: Box | None = None) -> LatticeMaps:
    """Return one label's evidence, of all crops, on the lattice over what they see, at ``times`` at which there is evidence.

    ``box`` is the rectangle that the lattice covers, if it is not all that they see.
    """
    box, side = box or box_around(tracks), PLACES * _FINE
    peak = max(float(np.nanmax(np.abs(t.maps))) for t in tracks) or 1.0  # so that nothing is cut off
    moved = [crop_track(t, box, (side, side)) for t in tracks]
    out = np.zeros((2, len(times), PLACES, PLACES), np.float32)
    for n, time in enumerate(times.tolist()):
        heat = render_heat(moved, time=time, scale=peak, size=(side, side), against=True)
        assert heat is not None
        assert heat.against is not None
        for sign, values in enumerate((heat.values, heat.against)):
            out[sign, n] = peak * values.reshape(PLACES, _FINE, PLACES, _FINE).mean(axis=(1, 3))
    return LatticeMaps(out[0], out[1])


def correlation(a: FloatArray, b: FloatArray) -> float:
    """Return Spearman's rank correlation of two maps of one shape; NaN if one of them is constant."""
    return rank_correlation(_steps(a), _steps(b))


def overlap(a: FloatArray, b: FloatArray, share: float = HOTTEST) -> float:
    """Return intersection over union of the hottest ``share`` of the points of two maps; NaN if neither is positive anywhere.

    Points as hot as the last one that belongs count too; points without evidence never do.
    """
    first, second = _hottest(a, share), _hottest(b, share)
    union = int((first | second).sum())
    return float((first & second).sum()) / union if union else math.nan


def _hottest(values: FloatArray, share: float) -> Bools:
    flat = _steps(values).ravel()
    count = math.ceil(share * len(flat))
    out: Bools = flat >= max(float(np.partition(flat, -count)[-count]), 1.0)
    return out


def _steps(values: FloatArray) -> FloatArray:
    """Return the values in whole steps of a ten-thousandth of the largest, so that rounding errors do not order a plateau."""
    peak = float(np.abs(values).max())
    out: FloatArray = np.rint(values / (SAME_MAP * peak)) if peak > 0 else np.zeros(values.shape)
    return out


def measure_agreement(maps: Mapping[str, FloatArray]) -> Agreement:
    """Return how alike the maps are, each with each; ``maps`` is by method name."""
    names = tuple(maps)
    values = np.ones((2, len(names), len(names)))
    for i, name in enumerate(names):
        if not maps[name].any():
            values[:, i, i] = np.nan
    for i, j in combinations(range(len(names)), 2):
        a, b = maps[names[i]], maps[names[j]]
        values[0, i, j] = values[0, j, i] = correlation(a, b)
        values[1, i, j] = values[1, j, i] = overlap(a, b) if a.any() and b.any() else math.nan
    return Agreement(names, values[0], values[1])


def class_correlation(maps: Sequence[FloatArray]) -> float:
    """Return the mean rank correlation of one method's signed maps for several classes, each with each; NaN if there is none.

    At 1 the map shows what is salient whatever the class; at 0 or below, each class has its own map.
    """
    correlations = [correlation(a, b) for a, b in combinations(maps, 2)]
    known = [r for r in correlations if math.isfinite(r)]
    return float(np.mean(known)) if known else math.nan


def largest_difference(a: Sequence[Track], b: Sequence[Track]) -> float:
    """Return the largest difference of two explanations' maps, each divided by its own largest value.

    ``a`` and ``b`` hold the same labels and crops in the same order. Infinite if their grids differ or one is zero everywhere.
    """
    for t, u in zip(a, b, strict=True):
        if t.maps.shape != u.maps.shape or not (np.allclose(t.ys, u.ys) and np.allclose(t.xs, u.xs)):
            return math.inf
    first, second = (np.nan_to_num(np.concatenate([t.maps.ravel() for t in tracks])) for tracks in (a, b))
    peaks = [float(np.abs(m).max()) for m in (first, second)]
    return float(np.abs(first / peaks[0] - second / peaks[1]).max()) if min(peaks) > 0 else math.inf
