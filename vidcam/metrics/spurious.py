"""Reasons to distrust a model: evidence where no action can be, measured against how much there is by chance.

Three places are looked at: the border of the picture, what never moves, and what is the same in every video of a class, such as a
logo. Evidence there is suspicious when its share is large, and much larger than the share of the picture that the place is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.values import FloatArray, UInt8Array

__all__ = ["Suspicion", "border", "overlay", "static", "suspicion"]

Bools = npt.NDArray[np.bool_]

SHARE, TIMES = 0.35, 2.5
"""Evidence in a place is suspicious from this share on, if that is this many times what the place's area would make it."""

RIM = 0.08
"""Width of the border, as a share of the picture's shorter side."""


@dataclass(frozen=True)
class Suspicion:
    """How much of the positive evidence lies in a place, how much of the picture the place is, and whether that is suspicious."""

    place: str
    share: float
    area: float
    raised: bool


def suspicion(place: str, heat: FloatArray, mask: Bools) -> Suspicion:
    """Judge the heat ``(N,H,W)`` or ``(H,W)``, not negative, against the ``mask`` of a place."""
    total = float(heat.sum())
    share = float((heat * mask).sum()) / total if total else 0.0
    area = float(mask.mean())
    return Suspicion(place, share, area, bool(area and share >= SHARE and share >= TIMES * area))


def border(size: tuple[int, int]) -> Bools:
    """The rim of a picture (H, W)."""
    h, w = size
    width = max(1, round(RIM * min(h, w)))
    out = np.ones(size, bool)
    out[width : h - width, width : w - width] = False
    return out


def static(frames: UInt8Array, *, change: float = 4.0) -> Bools:
    """Where none of the frames ``(N,H,W,3)`` differs from the mean by ``change`` of 255, after a blur against noise."""
    calm = np.stack([cv2.GaussianBlur(f, (0, 0), 1.0) for f in frames]).astype(np.float32)
    return np.asarray(np.abs(calm - calm.mean(0)).max((0, 3)) < change)


def overlay(pictures: Sequence[UInt8Array], *, same: float = 8.0, reach: int = 0) -> Bools:
    """What is the same in all the ``pictures`` (H,W,3), one of each video, of which there are at least three: ``(H,W)``.

    A pixel whose values over the videos deviate by less than ``same`` of 255 (standard deviation, worst colour), while pixels
    usually deviate by at least three times that. Videos from one fixed camera are the same almost everywhere: then nothing is an
    overlay. What is found is widened by ``reach`` pixels: evidence for a thing lies within half a cell of it.
    """
    if len(pictures) < 3:
        return np.zeros(pictures[0].shape[:2], bool)
    stack = np.stack([cv2.GaussianBlur(p, (0, 0), 0.7) for p in pictures]).astype(np.float32)
    spread = stack.std(0).max(-1)
    if float(np.median(spread)) < 3 * same:
        return np.zeros(spread.shape, bool)
    found = (spread < same).astype(np.uint8)
    found = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)).astype(np.uint8)
    return np.asarray(cv2.dilate(found, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0)
