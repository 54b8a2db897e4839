"""Types and small conversions that all drawing modules share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rng = np.random.Generator
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Picture = npt.NDArray[np.uint8]
Colour = tuple[float, float, float]


def to_picture(values: npt.ArrayLike) -> Picture:
    """Return any numbers as pixels, clipped to 0..255."""
    out: Picture = np.clip(np.asarray(values), 0, 255).astype(np.uint8)
    return out


def unit(v: Floats) -> Floats:
    """Return the vectors with length one along the last axis."""
    n = np.sqrt((v * v).sum(-1, keepdims=True))
    out: Floats = v / np.maximum(n, 1e-9)
    return out
