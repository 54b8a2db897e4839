"""Spurious correlations ("Clever Hans"): evidence in places where no action can be, against how much would be there by chance.

Three places are checked: the border of the picture, what never moves, and what is the same in every video of a class, such as a
logo. Evidence there is suspicious if its share is large, and much larger than the place's share of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.values import FloatArray, UInt8Array

__all__ = ["SpuriousCheck", "border_mask", "check_place", "overlay_mask", "static_mask"]

Bools = npt.NDArray[np.bool_]

SHARE, TIMES = 0.35, 2.5
"""Evidence in a place is suspicious from this share on, if it is this many times the place's share of the picture."""

RIM = 0.08
"""Width of the border, as a share of the picture's shorter side."""


@dataclass(frozen=True)
class SpuriousCheck:
    """The ``share`` of the positive evidence in a ``place``, the place's ``area`` as a share of the picture, and the result.

    ``raised``: is the evidence there suspicious?
    """

    place: str
    share: float
    area: float
    raised: bool


def check_place(place: str, heat: FloatArray, mask: Bools) -> SpuriousCheck:
    """Check the heat ``(N,H,W)`` or ``(H,W)``, not negative, in the ``mask (H,W)`` of a place."""
    total = float(heat.sum())
    share = float((heat * mask).sum()) / total if total else 0.0
    area = float(mask.mean())
    return SpuriousCheck(place, share, area, bool(area and share >= SHARE and share >= TIMES * area))


def border_mask(size: tuple[int, int]) -> Bools:
    """Return the rim of a picture of ``size`` (H, W)."""
    h, w = size
    width = max(1, round(RIM * min(h, w)))
    out = np.ones(size, bool)
    out[width : h - width, width : w - width] = False
    return out


def static_mask(frames: UInt8Array, *, change: float = 4.0) -> Bools:
    """Return where none of the frames ``(N,H,W,3)`` differs from their mean by ``change`` of 255, after a blur against noise."""
    calm = np.stack([cv2.GaussianBlur(f, (0, 0), 1.0) for f in frames]).astype(np.float32)
    return np.asarray(np.abs(calm - calm.mean(0)).max((0, 3)) < change)


def overlay_mask(pictures: Sequence[UInt8Array], *, same: float = 8.0, reach: int = 0) -> Bools:
    """Return what is the same ``(H,W)`` in all the ``pictures`` (H,W,3), one of each video, of which there are at least three.

    A pixel belongs to an overlay if its values over the videos deviate by less than ``same`` of 255 (standard deviation, worst
    colour), while most pixels deviate by at least three times that. Videos from one fixed camera are the same almost everywhere,
    so nothing in them is an overlay. The mask is widened by ``reach`` pixels: evidence for a thing lies within half a cell of it.
    """
    if len(pictures) < 3:
        return np.zeros(pictures[0].shape[:2], bool)
    stack = np.stack([cv2.GaussianBlur(p, (0, 0), 0.7) for p in pictures]).astype(np.float32)
    spread = stack.std(0).max(-1)
    if float(np.median(spread)) < 3 * same:
        return np.zeros(spread.shape, bool)
    mask = (spread < same).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)).astype(np.uint8)
    return np.asarray(cv2.dilate(mask, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0)
