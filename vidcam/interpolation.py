"""Linear interpolation of values that belong to cells: the only one in the package.

A place between cells is a *position*, a fractional index: 2.25 lies a quarter of the way from cell 2 to cell 3. Positions come
from the cells' centres (:func:`positions`) or from a linear law, (place - offset) / stride. Beyond the outermost cells their
value is held. Torch code multiplies by a :func:`weight_matrix`; numpy code reads the two neighbours of each place (:func:`taps`,
:func:`interpolate`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Taps", "bilinear", "interpolate", "nearest", "positions", "taps", "weight_matrix"]

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.intp]


class Taps(NamedTuple):
    """The two cells next to each of n places, ``(n,) intp``, and the weight of each, ``(n,)`` floats."""

    low: Indices
    high: Indices
    low_weight: Floats
    high_weight: Floats


def positions(centres: Sequence[float] | Floats, at: Floats | float) -> Floats:
    """Return the positions of the places ``at`` among cells at the increasing ``centres``, from 0 to their number less 1."""
    return np.asarray(np.interp(at, centres, np.arange(len(centres))))


def taps(position: Floats, count: int, *, gain: Floats | float = 1.0, dtype: npt.DTypeLike = np.float64) -> Taps:
    """Return the neighbours of each position among ``count`` cells; the weights, as ``dtype``, add up to ``gain``."""
    held = np.clip(position, 0, count - 1)
    low = np.minimum(held.astype(np.intp), max(count - 2, 0))
    share = held - low
    low_weight, high_weight = ((w * gain).astype(dtype) for w in (1 - share, share))
    return Taps(low, np.minimum(low + 1, count - 1), low_weight, high_weight)


def weight_matrix(position: Floats, count: int) -> npt.NDArray[np.float64]:
    """Return the matrix ``(n, count)`` that interpolates the values of ``count`` cells at n positions; rows sum to 1."""
    held = np.clip(position, 0, count - 1)
    return np.asarray(np.maximum(0.0, 1.0 - np.abs(held[:, None] - np.arange(count))))


def nearest(position: Floats, count: int) -> Indices:
    """Return the index of the cell nearest to each position."""
    return np.rint(position).astype(np.intp).clip(0, count - 1)


def interpolate(values: Floats, at: Taps, axis: int) -> Floats:
    """Return ``values`` with the cells along ``axis`` replaced by the n places of ``at``, in the dtype of ``values``.

    This is no product with a matrix, although that would be as fast: the threads of BLAS keep spinning for a while after each
    product and slow down the decoder and the encoder.
    """
    along = tuple(-1 if i == axis else 1 for i in range(values.ndim))
    out = values.take(at.low, axis=axis)
    out *= at.low_weight.reshape(along)
    high = values.take(at.high, axis=axis)
    high *= at.high_weight.reshape(along)
    out += high
    return out


def bilinear(fields: Floats, rows: Floats, columns: Floats) -> Floats:
    """Return ``fields (N, h, w, C)`` at positions of their own, ``rows`` and ``columns (N, a, b)``: ``(N, a, b, C)``."""
    n, h, w, channels = fields.shape
    down, across = taps(rows, h), taps(columns, w)
    flat, first = fields.reshape(-1, channels), np.arange(n).reshape(-1, 1, 1) * h
    upper, lower = (
        flat[(first + row) * w + across.low] * across.low_weight[..., None]
        + flat[(first + row) * w + across.high] * across.high_weight[..., None]
        for row in (down.low, down.high)
    )
    out: Floats = upper * down.low_weight[..., None] + lower * down.high_weight[..., None]
    return out
