"""Take evidence away: which pixels belong to the cells of a map, and what replaces removed pixels.

Black patches make pictures that no network has ever met, and then random maps win. So removed pixels become something plausible:
the same place blurred, the same place in the clip's first frame, or what the neighbouring pixels suggest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.interpolation import nearest
from vidcam.methods.blur import blur_frames
from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry
from vidcam.values import FloatArray, UInt8Array

__all__ = ["IMPUTERS", "Fill", "blur", "check_imputers", "fade_out", "freeze", "inpaint", "make_remover", "pixels_of"]

Bools = npt.NDArray[np.bool_]

Fill = Callable[[Bools], UInt8Array]
"""A function of the removed pixels ``(T,H,W)`` that returns the clip ``(T,H,W,3)`` from which they are filled in."""


def pixels_of(cells: Bools, where: CellGeometry, clip: tuple[int, int, int]) -> Bools:
    """Return the pixels ``(T,H,W)`` whose nearest cell is one of the ``cells (T',h,w)``; every pixel has a nearest cell."""

    def nearest_cells(axis: AxisGeometry, length: int) -> npt.NDArray[np.intp]:
        return nearest(axis.positions(np.arange(length)), axis.count)

    t, y, x = (nearest_cells(axis, n) for axis, n in zip((where.time, where.y, where.x), clip, strict=True))
    return cells[np.ix_(t, y, x)]


def blur(frames: UInt8Array) -> Fill:
    """Fill in from each frame of ``(T,H,W,3)`` blurred in space (:mod:`vidcam.methods.blur`): only broad colours are left."""
    blurred = blur_frames(frames)
    return lambda removed: blurred


def freeze(frames: UInt8Array) -> Fill:
    """Fill in from the first frame: what is seen stays, but it does not move."""
    first = np.ascontiguousarray(np.broadcast_to(frames[:1], frames.shape))
    return lambda removed: first


def inpaint(frames: UInt8Array) -> Fill:
    """Fill in removed pixels of each frame from those around them, coarse to fine (Gortler et al. 1996, section 4.3).

    This follows the idea of the linear imputation of Rong et al. 2022 (ROAD): neighbours give the colour, and the outline of the
    removed part disappears. A frame that is removed entirely becomes the mean colour of the clip.
    """
    mean = frames.reshape(-1, 3).mean(0).astype(np.float32)
    images = frames.astype(np.float32)

    def fill(removed: Bools) -> UInt8Array:
        touched = zip(frames, images, removed, strict=True)
        return np.stack([_pull_push(image, ~gone, mean) if gone.any() else frame for frame, image, gone in touched])

    return fill


def _pull_push(image: npt.NDArray[np.float32], known: Bools, default: npt.NDArray[np.float32]) -> UInt8Array:
    weight = known.astype(np.float32)
    levels = [(image * weight[..., None], weight)]
    while min(levels[-1][1].shape) > 1:  # pull: means of the known pixels, at half the size each
        colour, weight = levels[-1]
        size = (weight.shape[1] + 1) // 2, (weight.shape[0] + 1) // 2
        smaller = (cv2.resize(a, size, interpolation=cv2.INTER_AREA) for a in (colour, weight))
        levels.append((np.asarray(next(smaller), np.float32), np.asarray(next(smaller), np.float32)))
    colour, weight = levels[-1]
    filled = np.where(weight[..., None] > 0, colour / np.maximum(weight, 1e-6)[..., None], default)
    for colour, weight in reversed(levels[:-1]):  # push: unknown pixels come from the coarser level
        up = cv2.resize(filled, weight.shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(colour.shape)
        filled = np.where(weight[..., None] > 0, colour / np.maximum(weight, 1e-6)[..., None], up)
    out: UInt8Array = np.clip(np.rint(filled), 0, 255).astype(np.uint8)
    return out


IMPUTERS: dict[str, Callable[[UInt8Array], Fill]] = {"blur": blur, "frozen": freeze, "inpaint": inpaint}
"""By the name that people type: a function that makes the :data:`Fill` of a clip ``(T,H,W,3)``."""


def check_imputers(names: Iterable[str]) -> None:
    """Raise UsageError if there is no imputer of one of these names."""
    if unknown := [name for name in names if name not in IMPUTERS]:
        raise UsageError(f"unknown baseline {unknown[0]!r}: known are {', '.join(IMPUTERS)}")


def make_remover(frames: UInt8Array, fill: Fill) -> Fill:
    """Return a function of the removed pixels ``(T,H,W)`` that returns the clip ``(T,H,W,3)`` with only those replaced."""
    tall = -1, frames.shape[2], 3  # all frames below each other, as one picture

    def remove(removed: Bools) -> UInt8Array:
        out = frames.copy()
        mask = np.ascontiguousarray(removed).view(np.uint8).reshape(tall[:2])
        cv2.copyTo(fill(removed).reshape(tall), mask, out.reshape(tall))  # takes a fifth of the time of numpy.where
        return out

    return remove


def fade_out(frames: UInt8Array, keep: FloatArray, fill: Fill) -> UInt8Array:
    """Return ``frames`` where ``keep (T,H,W)`` is 1, what ``fill`` gives where it is 0, and a blend between."""
    share = keep[..., None].astype(np.float32)
    mixed = frames * share + fill(keep < 0.5) * (1 - share)
    out: UInt8Array = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return out
