"""Remove by blur: what perturbation methods and faithfulness measures show in the place of removed pixels.

Black is evidence of its own. A strong blur leaves broad colours only, and no new edges. Its standard deviation is :data:`SIGMA`
of the shorter side: on real clips, half of that left several times as much of the answer's probability and made the network
surer of other classes, and more did not remove more.
"""

from __future__ import annotations

import numpy as np

from vidcam.values import FloatArray, UInt8Array

__all__ = ["SIGMA", "blur_frames", "blur_weights"]

SIGMA = 0.2
"""The standard deviation of the blur as a share of the picture's shorter side: enough for a person's limbs to vanish."""


def blur_weights(height: int, width: int) -> tuple[FloatArray, FloatArray]:
    """Return matrices ``rows (H, H)`` and ``columns (W, W)``, float64: ``rows @ picture @ columns.T`` is the blurred picture.

    The blur is Gaussian. Near the border the weights of the pixels inside add up to 1: nothing comes in from outside.
    """
    sigma = SIGMA * min(height, width)

    def weights(length: int) -> FloatArray:
        at = np.arange(length, dtype=np.float64)
        gaussian = np.exp(-0.5 * ((at[:, None] - at) / sigma) ** 2)
        out: FloatArray = gaussian / gaussian.sum(1, keepdims=True)
        return out

    return weights(height), weights(width)


def blur_frames(frames: UInt8Array) -> UInt8Array:
    """Return frames ``(T,H,W,3)`` blurred in space, each by itself."""
    rows, columns = (w.astype(np.float32) for w in blur_weights(*frames.shape[1:3]))
    planes = frames.transpose(0, 3, 1, 2).astype(np.float32)
    blurred = (rows @ planes @ columns.T).transpose(0, 2, 3, 1)
    out: UInt8Array = np.rint(blurred).clip(0, 255).astype(np.uint8)
    return out
