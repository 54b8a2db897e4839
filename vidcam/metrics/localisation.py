"""Does the evidence lie where and when the action is? Scores against exact masks, on the map's own cells.

The truth is a set of cells: those in which some pixel of the acting parts is seen while they act, which is their mask dilated by
half a cell (:func:`vidcam.methods.cell_geometry.covered`). Only evidence *for* the class counts, so negative values are nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.values import FloatArray

__all__ = ["THRESHOLDS", "Scores", "best_threshold", "mean", "scores"]

Bools = npt.NDArray[np.bool_]

THRESHOLDS: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of a map's maximum above which a cell may be called hot."""


@dataclass(frozen=True)
class Scores:
    """How well one map finds one action, each 0 to 1, more is better.

    ``pointing``: the share of the acting frames whose hottest cell is covered (the pointing game of Zhang et al. 2018, for each
    frame); ``energy``: the share of the evidence in covered cells (Wang et al. 2020, section 4.3). With the cells above a
    threshold called hot, the intersection over union of the cells of each acting frame (``spatial``, their mean), of the frames
    that have such cells (``temporal``) and of all cells (``space_time``).
    """

    pointing: float
    energy: float
    spatial: float
    temporal: float
    space_time: float


def scores(values: FloatArray, covered: Bools, *, threshold: float) -> Scores:
    """The scores of a map ``values (T',h,w)`` against the ``covered`` cells of the same shape, of which there must be some.

    A cell is hot above ``threshold`` times the map's maximum. A map without any positive value scores 0 everywhere. Raises
    UsageError for shapes that differ, values that are not finite and a truth without cells.
    """
    if values.shape != covered.shape or values.ndim != 3:
        raise UsageError(f"a map and its truth need one shape (T', h, w), got {values.shape} and {covered.shape}")
    if not np.isfinite(values).all():
        raise UsageError("the map holds values that are not finite")
    if not covered.any():
        raise UsageError("nothing acts in this clip, so there is nothing to find")
    heat = np.maximum(values.astype(np.float64), 0.0)
    if not heat.any():
        return Scores(0.0, 0.0, 0.0, 0.0, 0.0)
    hot = heat > threshold * heat.max()
    when: Bools = np.asarray(covered.reshape(len(heat), -1).any(axis=1))
    warm: Bools = np.asarray(hot.reshape(len(heat), -1).any(axis=1))
    flat = heat.reshape(len(heat), -1)
    hits = np.take_along_axis(covered.reshape(len(heat), -1), flat.argmax(1)[:, None], 1)[:, 0] & flat.any(1)
    return Scores(
        pointing=float(hits[when].mean()),
        energy=float(heat[covered].sum() / heat.sum()),
        spatial=float(np.mean([_iou(a, b) for a, b in zip(hot[when], covered[when], strict=True)])),
        temporal=_iou(warm, when),
        space_time=_iou(hot, covered),
    )


def _iou(a: Bools, b: Bools) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def mean(found: Sequence[Scores]) -> Scores:
    """The mean of each score over at least one clip."""
    return Scores(*np.mean([astuple(s) for s in found], axis=0).tolist())


def best_threshold(pairs: Iterable[tuple[FloatArray, Bools]]) -> float:
    """The one of ``THRESHOLDS`` under which these maps score best in ``space_time``. Not to be chosen on clips of the report."""
    pairs = list(pairs)
    found = [np.mean([scores(v, c, threshold=at).space_time for v, c in pairs]) for at in THRESHOLDS]
    return THRESHOLDS[int(np.argmax(found))]


NAMES: tuple[str, ...] = tuple(f.name for f in fields(Scores))
