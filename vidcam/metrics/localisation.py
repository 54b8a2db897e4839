"""Does the evidence lie where and when the action is? Scores against exact masks, on the map's own cells.

The truth is a set of cells: those in which some pixel of the acting parts is seen while they act, which is their mask dilated by
half a cell (:func:`vidcam.methods.cell_geometry.covered`). Only evidence *for* the class counts; negative values count as zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.values import FloatArray

__all__ = ["SCORE_NAMES", "THRESHOLDS", "Scores", "best_threshold", "mean_scores", "score_map", "thresholds_of_others"]

Bools = npt.NDArray[np.bool_]

THRESHOLDS: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of a map's maximum above which a cell may be called hot."""


@dataclass(frozen=True)
class Scores:
    """How well one map finds one action, each 0 to 1, more is better.

    ``pointing`` is the share of the acting frames whose hottest cell is covered, or near enough (the pointing game of Zhang et
    al. 2018, for each frame). ``relevance_mass`` is the share of the evidence that lies in covered cells (the energy-based
    pointing game of Wang et al. 2020, section 4.3; relevance mass accuracy of Arras et al. 2022). With the cells above a
    threshold called hot, there is the intersection over union of the cells of each acting frame (``spatial``, their mean), of
    the frames that have such cells (``temporal``) and of all cells (``space_time``).
    """

    pointing: float
    relevance_mass: float
    spatial: float
    temporal: float
    space_time: float


SCORE_NAMES: tuple[str, ...] = tuple(f.name for f in fields(Scores))


def score_map(values: FloatArray, covered: Bools, *, threshold: float, near: Bools | None = None) -> Scores:
    """Return the scores of a map ``values (T',h,w)`` against the ``covered`` cells of the same shape; some must be covered.

    A cell is hot above ``threshold`` times the map's maximum. The cells ``near`` count as hit in the pointing game; None: the
    covered ones. A map without any positive value scores 0 everywhere. Raises UsageError for shapes that differ, values that are
    not finite and a truth without cells.
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
    acting: Bools = np.asarray(covered.reshape(len(heat), -1).any(axis=1))
    with_hot_cells: Bools = np.asarray(hot.reshape(len(heat), -1).any(axis=1))
    flat = heat.reshape(len(heat), -1)
    targets = covered if near is None else near
    hits = np.take_along_axis(targets.reshape(len(heat), -1), flat.argmax(1)[:, None], 1)[:, 0] & flat.any(1)
    return Scores(
        pointing=float(hits[acting].mean()),
        relevance_mass=float(heat[covered].sum() / heat.sum()),
        spatial=float(np.mean([_iou(a, b) for a, b in zip(hot[acting], covered[acting], strict=True)])),
        temporal=_iou(with_hot_cells, acting),
        space_time=_iou(hot, covered),
    )


def _iou(a: Bools, b: Bools) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """Return the mean of each score over at least one clip."""
    return Scores(*np.mean([astuple(s) for s in scores], axis=0).tolist())


def best_threshold(pairs: Iterable[tuple[FloatArray, Bools]]) -> float:
    """Return the one of :data:`THRESHOLDS` with the best mean ``space_time`` over pairs of map and truth.

    Choose it on other clips than those that are reported.
    """
    return THRESHOLDS[int(_space_time(pairs).mean(axis=0).argmax())]


def thresholds_of_others(pairs: Iterable[tuple[FloatArray, Bools]], *, alone: float = 0.5) -> list[float]:
    """Return for each pair of map and truth the :func:`best_threshold` of all other pairs; ``alone`` if there is no other."""
    scores = _space_time(pairs)
    if len(scores) < 2:
        return [alone] * len(scores)
    return [THRESHOLDS[int(np.delete(scores, i, axis=0).mean(axis=0).argmax())] for i in range(len(scores))]


def _space_time(pairs: Iterable[tuple[FloatArray, Bools]]) -> npt.NDArray[np.float64]:
    """Return ``space_time`` of each pair at each threshold, ``(pairs, thresholds)``."""
    return np.array([[score_map(v, c, threshold=at).space_time for at in THRESHOLDS] for v, c in pairs], np.float64)
