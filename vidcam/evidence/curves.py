"""Curves over time: where a condition holds, and fewer points for a screen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vidcam.values import FloatArray

__all__ = ["find_runs", "thin_curves"]


def find_runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the half-open index ranges in which ``mask (N,)`` is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def thin_curves(times: FloatArray, curves: Sequence[FloatArray], *, columns: int) -> tuple[FloatArray, list[FloatArray]]:
    """Return the ``times`` and ``curves`` at the points that a drawing of ``columns`` columns needs.

    Every curve keeps the lowest and the highest point of each column, so no peak is lost. Curves with at most twice as many
    points as columns stay as they are.
    """
    if len(times) <= 2 * columns:
        return times, list(curves)
    chosen = {0, len(times) - 1}
    for column in np.array_split(np.arange(len(times)), columns):
        for curve in curves:
            chosen.add(int(column[np.argmin(np.nan_to_num(curve[column], nan=np.inf))]))
            chosen.add(int(column[np.argmax(np.nan_to_num(curve[column], nan=-np.inf))]))
    points = np.array(sorted(chosen))
    return times[points], [curve[points] for curve in curves]
