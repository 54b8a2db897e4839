"""Maps that know nothing of the model, beside which every score must be read."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from vidcam.methods.cell_geometry import CellGeometry
from vidcam.values import FloatArray, UInt8Array

__all__ = ["CONTROLS", "centre", "motion", "noise", "smooth_noise"]


def noise(frames: UInt8Array, where: CellGeometry, rng: np.random.Generator) -> FloatArray:
    """Independent uniform values in every cell."""
    return rng.random(where.grid)


def smooth_noise(frames: UInt8Array, where: CellGeometry, rng: np.random.Generator) -> FloatArray:
    """Random values as smooth as maps usually are: a Gaussian of a cell and a half in space and in time, zero mean."""
    values = rng.standard_normal(where.grid, np.float64)
    for axis in range(3):
        lines = values.swapaxes(axis, -1)
        flat = np.ascontiguousarray(lines.reshape(-1, lines.shape[-1]))
        blurred = cv2.GaussianBlur(flat, (0, 0), sigmaX=1.5, sigmaY=1e-3, borderType=cv2.BORDER_REFLECT_101)
        values = np.asarray(blurred.reshape(lines.shape).swapaxes(axis, -1), np.float64)
    return np.asarray(values - values.mean())


def centre(frames: UInt8Array, where: CellGeometry, rng: np.random.Generator) -> FloatArray:
    """The prior that things happen in the middle of the picture: a Gaussian of a quarter of its size, always there."""
    h, w = frames.shape[1:3]
    y, x = ((axis.centres() - (n - 1) / 2) / (0.25 * n) for axis, n in ((where.y, h), (where.x, w)))
    still = np.exp(-0.5 * (y[:, None] ** 2 + x[None, :] ** 2))
    return np.repeat(still[None], where.time.count, axis=0)


def motion(frames: UInt8Array, where: CellGeometry, rng: np.random.Generator) -> FloatArray:
    """Where anything moves: the squared difference of neighbouring frames, blurred to a cell's size."""
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


CONTROLS: dict[str, Callable[[UInt8Array, CellGeometry, np.random.Generator], FloatArray]] = {
    "random": noise, "random, smoothed": smooth_noise, "centre of the picture": centre, "motion energy": motion,
}  # fmt: skip
"""Each makes a map ``(T',h,w)`` for the cells ``where`` of one clip ``(T,H,W,3)``, at random or from the pixels alone."""
