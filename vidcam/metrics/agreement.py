"""Do two explanations of one video say the same? Any two maps on one lattice of places and seconds, and how alike they are.

Methods have grids of their own, from 7x7 cells of a last layer to blocks of a few pixels. They are compared where their cells
really are: every map is laid over the part of the picture that the model saw (:func:`vidcam.evidence.heat.render_heat`) and
averaged there over the points of one lattice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from vidcam.evidence.heat import render_heat
from vidcam.methods.cell_geometry import Bools
from vidcam.metrics.sanity import rank_correlation
from vidcam.values import Box, FloatArray, Track

__all__ = [
    "HOTTEST", "MOMENTS", "PLACES", "SAME", "Agreement", "Laid",
    "agreement", "correlation", "difference", "laid", "moments", "onto", "overlap", "sensitivity",
]  # fmt: skip

PLACES, MOMENTS = 24, 60
"""The lattice: so many rows and columns over what the model saw, at so many moments at most."""

HOTTEST = 0.1
"""The share of the points whose overlap is compared."""

SAME = 1e-4
"""Maps that differ by less, as a share of the largest value, are one map."""

_FINE = 4  # a point stands for its area: the mean of so many places along each axis


@dataclass(frozen=True)
class Laid:
    """Evidence on the lattice: ``for_ (N, PLACES, PLACES) float32 >= 0`` and ``against`` likewise, in the method's own unit."""

    for_: FloatArray
    against: FloatArray

    @property
    def signed(self) -> FloatArray:
        out: FloatArray = self.for_ - self.against
        return out


@dataclass(frozen=True)
class Agreement:
    """How alike the evidence of ``names`` for one class is: two symmetric matrices, NaN where a method has no such evidence.

    ``correlation`` is Spearman's, in [-1, 1]; ``overlap`` the intersection over union of the hottest tenth of the points, in
    [0, 1]; by chance they are 0 and 0.05.
    """

    names: tuple[str, ...]
    correlation: FloatArray
    overlap: FloatArray


def onto(track: Track, box: Box, size: tuple[int, int]) -> Track:
    """The track as it lies over the part ``box`` of the picture (in pixel edges), drawn as a picture of ``size`` (H, W)."""
    fy, fx = size[0] / (box.y1 - box.y0), size[1] / (box.x1 - box.x0)
    s = track.seen
    return replace(
        track,
        ys=(track.ys + 0.5 - box.y0) * fy - 0.5,
        xs=(track.xs + 0.5 - box.x0) * fx - 0.5,
        seen=Box((s.y0 - box.y0) * fy, (s.x0 - box.x0) * fx, (s.y1 - box.y0) * fy, (s.x1 - box.x0) * fx),
    )


def _seen_by(tracks: Sequence[Track]) -> Box:
    """The smallest rectangle around what the crops see."""
    boxes = [t.seen for t in tracks]
    return Box(min(b.y0 for b in boxes), min(b.x0 for b in boxes), max(b.y1 for b in boxes), max(b.x1 for b in boxes))


def moments(tracks: Sequence[Track], most: int = MOMENTS) -> FloatArray:
    """At most ``most`` seconds, evenly spread over those at which every crop was looked at."""
    looked = np.logical_and.reduce([~np.isnan(t.maps[:, 0, 0]) for t in tracks])
    times: FloatArray = tracks[0].times[looked]
    chosen: FloatArray = times[np.unique(np.linspace(0, len(times) - 1, min(most, len(times))).round().astype(int))]
    return chosen


def laid(tracks: Sequence[Track], times: FloatArray) -> Laid:
    """One label's crops on the lattice over what they see, at ``times`` at which a window looked."""
    box, side = _seen_by(tracks), PLACES * _FINE
    peak = max(float(np.nanmax(np.abs(t.maps))) for t in tracks) or 1.0  # so that nothing is cut off
    moved = [onto(t, box, (side, side)) for t in tracks]
    out = np.zeros((2, len(times), PLACES, PLACES), np.float32)
    for n, time in enumerate(times.tolist()):
        heat = render_heat(moved, time=time, scale=peak, size=(side, side), against=True)
        assert heat is not None
        assert heat.against is not None
        for sign, values in enumerate((heat.values, heat.against)):
            out[sign, n] = peak * values.reshape(PLACES, _FINE, PLACES, _FINE).mean(axis=(1, 3))
    return Laid(out[0], out[1])


def correlation(a: FloatArray, b: FloatArray) -> float:
    """Spearman's rank correlation of two maps of one shape; NaN where one of them is the same everywhere."""
    return rank_correlation(_steps(a), _steps(b))


def overlap(a: FloatArray, b: FloatArray, share: float = HOTTEST) -> float:
    """Intersection over union of the hottest ``share`` of the points of two maps; NaN where neither has anything positive.

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
    """The values in whole steps of a ten-thousandth of the largest, so that rounding errors on a plateau are no order."""
    peak = float(np.abs(values).max())
    out: FloatArray = np.rint(values / (SAME * peak)) if peak > 0 else np.zeros(values.shape)
    return out


def agreement(maps: Mapping[str, FloatArray]) -> Agreement:
    """How alike the maps by method name are, each with each."""
    names = tuple(maps)
    found = np.ones((2, len(names), len(names)))
    for i, name in enumerate(names):
        if not maps[name].any():
            found[:, i, i] = np.nan
    for i, j in combinations(range(len(names)), 2):
        a, b = maps[names[i]], maps[names[j]]
        found[0, i, j] = found[0, j, i] = correlation(a, b)
        found[1, i, j] = found[1, j, i] = overlap(a, b) if a.any() and b.any() else math.nan
    return Agreement(names, found[0], found[1])


def sensitivity(maps: Sequence[FloatArray]) -> float:
    """The mean rank correlation of one method's signed maps for several classes, each with each; NaN where there is none.

    1: the map shows what is salient, whatever the class; at 0 or below each class has its own.
    """
    found = [correlation(a, b) for a, b in combinations(maps, 2)]
    known = [r for r in found if math.isfinite(r)]
    return float(np.mean(known)) if known else math.nan


def difference(a: Sequence[Track], b: Sequence[Track]) -> float:
    """The largest difference of two explanations' maps, each divided by its own largest value; infinite where grids differ.

    ``a`` and ``b`` hold the same labels and crops in the same order. Infinite too where one of them is zero everywhere.
    """
    for t, u in zip(a, b, strict=True):
        if t.maps.shape != u.maps.shape or not (np.allclose(t.ys, u.ys) and np.allclose(t.xs, u.xs)):
            return math.inf
    first, second = (np.nan_to_num(np.concatenate([t.maps.ravel() for t in tracks])) for tracks in (a, b))
    peaks = [float(np.abs(m).max()) for m in (first, second)]
    return float(np.abs(first / peaks[0] - second / peaks[1]).max()) if min(peaks) > 0 else math.inf
