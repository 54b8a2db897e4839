"""Baseline maps that know nothing of the model: every score of an explanation must be read beside theirs."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from vidcam.methods.cell_geometry import CellGeometry
from vidcam.values import FloatArray, UInt8Array

__all__ = ["BASELINES", "centre_map", "motion_map", "random_map", "smooth_random_map"]


def random_map(frames: UInt8Array, where: CellGeometry, rng: np.random.Generator) -> FloatArray:
    """Return independent uniform values in [0, 1), one for each cell."""
    return rng.random(where.grid)


def smooth_random_map(frames: UInt8Array, where: CellGeometry, rng: np.random.Generator) -> FloatArray:
    """Return random values as smooth as maps usually are: Gaussian-blurred by 1.5 cells in space and time, with zero mean."""
    values = rng.standard_normal(where.grid, np.float64)
    for axis in range(3):
        lines = values.swapaxes(axis, -1)
        flat = np.ascontiguousarray(lines.reshape(-1, lines.shape[-1]))
        blurred = cv2.GaussianBlur(flat, (0, 0), sigmaX=1.5, sigmaY=1e-3, borderType=cv2.BORDER_REFLECT_101)
        values = np.asarray(blurred.reshape(lines.shape).swapaxes(axis, -1), np.float64)
    return np.asarray(values - values.mean())


def centre_map(frames: UInt8Array, where: CellGeometry, rng: np.random.Generator) -> FloatArray:
    """Return the prior that things happen in the middle of the picture: at all times a Gaussian of a quarter of its size."""
    h, w = frames.shape[1:3]
    y, x = ((axis.centres() - (n - 1) / 2) / (0.25 * n) for axis, n in ((where.y, h), (where.x, w)))
    still = np.exp(-0.5 * (y[:, None] ** 2 + x[None, :] ** 2))
    return np.repeat(still[None], where.time.count, axis=0)


def motion_map(frames: UInt8Array, where: CellGeometry, rng: np.random.Generator) -> FloatArray:
    """Return how much moves at each cell: the squared difference of neighbouring frames, blurred to a cell's size."""
    grey = frames.astype(np.float32).mean(-1)
    change = np.zeros_like(grey)
    step = (grey[1:] - grey[:-1]) ** 2
    change[:-1] += step
    change[1:] += step
    sigma = where.x.stride / 2, where.y.stride / 2
    rows, columns = (
        np.clip(np.rint(axis.centres()), 0, n - 1).astype(int) for axis, n in zip((where.y, where.x), grey.shape[1:], strict=True)
    )
    at = np.clip(np.rint(where.time.centres()), 0, len(grey) - 1).astype(int)
    blurred = [cv2.GaussianBlur(change[i], (0, 0), sigmaX=sigma[0], sigmaY=sigma[1])[np.ix_(rows, columns)] for i in at]
    return np.stack(blurred).astype(np.float64)


BASELINES: dict[str, Callable[[UInt8Array, CellGeometry, np.random.Generator], FloatArray]] = {
    "random": random_map, "random, smoothed": smooth_random_map, "centre of the picture": centre_map, "motion energy": motion_map,
}  # fmt: skip
"""Functions by title: each makes a map ``(T',h,w)`` for the cells ``where`` of a clip ``(T,H,W,3)``, at random or from pixels."""
