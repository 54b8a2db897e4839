"""Taking evidence away: which pixels belong to a cell of a map, and what is shown in the place of pixels that are removed.

Fading to black makes pictures that no network has ever met, and then random maps win. So what is removed becomes something
plausible: the same place blurred, the same place at the window's first moment, or what its neighbours suggest.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry
from vidcam.values import FloatArray, UInt8Array

__all__ = ["BASELINES", "Fill", "blurred", "faded", "frozen", "inpainted", "pixels_of", "replacing"]

Bools = npt.NDArray[np.bool_]

Fill = Callable[[Bools], UInt8Array]
"""What stands in for removed pixels: a clip ``(T,H,W,3)``, made knowing which pixels ``(T,H,W)`` are removed."""

BLUR = 0.1
"""Standard deviation of the blur as a share of the clip's height."""


def pixels_of(chosen: Bools, where: CellGeometry, clip: tuple[int, int, int]) -> Bools:
    """The pixels ``(T,H,W)`` whose nearest cell is among the ``chosen (T',h,w)``; every pixel has one."""

    def nearest(axis: AxisGeometry, length: int) -> npt.NDArray[np.intp]:
        at: npt.NDArray[np.intp] = np.rint((np.arange(length) - axis.offset) / axis.stride).astype(np.intp)
        return at.clip(0, axis.count - 1)

    t, y, x = (nearest(axis, n) for axis, n in zip((where.time, where.y, where.x), clip, strict=True))
    return chosen[np.ix_(t, y, x)]


def blurred(frames: UInt8Array) -> Fill:
    """Each frame of ``(T,H,W,3)`` blurred in space until only broad colours are left: where things were stays to be seen."""
    sigma = BLUR * frames.shape[1]
    broad = np.stack([cv2.GaussianBlur(f, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101) for f in frames]).astype(np.uint8)
    return lambda removed: broad


def frozen(frames: UInt8Array) -> Fill:
    """The first frame, held: what was to be seen stays, that it moved does not."""
    held = np.broadcast_to(frames[:1], frames.shape)
    return lambda removed: held


def inpainted(frames: UInt8Array) -> Fill:
    """Each frame with the removed pixels filled from those around them, coarse to fine (Gortler et al. 1996, section 4.3).

    In the spirit of the linear imputation of Rong et al. 2022 (ROAD): neighbours tell the colour, and nothing of the removed
    part's outline is left. A frame without any pixel left becomes the mean of the clip.
    """
    everywhere = frames.reshape(-1, 3).mean(0).astype(np.float32)
    images = frames.astype(np.float32)
    return lambda removed: np.stack([_fill(f, ~gone, everywhere) for f, gone in zip(images, removed, strict=True)])


def _fill(image: npt.NDArray[np.float32], known: Bools, default: npt.NDArray[np.float32]) -> UInt8Array:
    weight = known.astype(np.float32)
    levels = [(image * weight[..., None], weight)]
    while min(levels[-1][1].shape) > 1:  # pull: means of what is known, at half the size each
        colour, weight = levels[-1]
        size = (weight.shape[1] + 1) // 2, (weight.shape[0] + 1) // 2
        smaller = (cv2.resize(a, size, interpolation=cv2.INTER_AREA) for a in (colour, weight))
        levels.append((np.asarray(next(smaller), np.float32), np.asarray(next(smaller), np.float32)))
    colour, weight = levels[-1]
    filled = np.where(weight[..., None] > 0, colour / np.maximum(weight, 1e-6)[..., None], default)
    for colour, weight in reversed(levels[:-1]):  # push: what is not known comes from the coarser level
        up = cv2.resize(filled, weight.shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(colour.shape)
        filled = np.where(weight[..., None] > 0, colour / np.maximum(weight, 1e-6)[..., None], up)
    out: UInt8Array = np.clip(np.rint(filled), 0, 255).astype(np.uint8)
    return out


BASELINES: dict[str, Callable[[UInt8Array], Fill]] = {"blur": blurred, "frozen": frozen, "inpaint": inpainted}
"""By name, what makes a :data:`Fill` of a clip; what does not depend on the removed pixels is made once."""


def replacing(frames: UInt8Array, baseline: str) -> Fill:
    """A function of the pixels ``removed (T,H,W)``: the clip ``(T,H,W,3)`` with those as the baseline of this name has them."""
    fill = BASELINES[baseline](frames)
    return lambda removed: np.where(removed[..., None], fill(removed), frames)


def faded(frames: UInt8Array, keep: FloatArray, baseline: str) -> UInt8Array:
    """``frames`` where ``keep (T,H,W)`` is 1, the baseline where it is 0, a blend between."""
    share = keep[..., None].astype(np.float32)
    mixed = frames * share + BASELINES[baseline](frames)(keep < 0.5) * (1 - share)
    out: UInt8Array = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return out
