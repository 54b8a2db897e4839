"""The rank correlation of two maps."""

from __future__ import annotations

import math

import numpy as np

from vidcam.values import FloatArray

__all__ = ["rank_correlation"]


def rank_correlation(a: FloatArray, b: FloatArray) -> float:
    """Return Spearman's correlation of two maps of one shape; ties share their mean rank; NaN if one of them is constant."""
    from scipy import stats

    x, y = (np.asarray(m, np.float64).ravel() for m in (a, b))
    if not (np.ptp(x) and np.ptp(y)):
        return math.nan
    return float(stats.spearmanr(x, y).statistic)
