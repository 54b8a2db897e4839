"""Fits images of another size: scaled in their own shape, centred on black."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from vidcam.values import UInt8Array

__all__ = ["SIZE_CHANGE", "center_on_black", "fitting_size", "has_same_shape", "resize_onto_black"]

SIZE_CHANGE = "{} changes its size from {}x{} to {}x{}: those pictures are scaled to fit, on black"


def has_same_shape(size: Sequence[int], target: Sequence[int]) -> bool:
    """Return whether an image of ``size`` (H, W), when scaled, fills ``target`` to within one pixel."""
    height, width = fitting_size(size, target)
    return max(abs(height - target[0]), abs(width - target[1])) <= 1


def fitting_size(size: Sequence[int], target: Sequence[int]) -> tuple[int, int]:
    """Return the largest size (H, W) inside ``target`` that has the aspect ratio of ``size``."""
    scale = min(target[0] / size[0], target[1] / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize_onto_black(image: UInt8Array, target: tuple[int, int]) -> UInt8Array:
    """Scale an image to fit ``target`` (H, W) in its own shape, and centre it on black."""
    height, width = target if has_same_shape(image.shape, target) else fitting_size(image.shape, target)
    shrinks = height * width < image.shape[0] * image.shape[1]
    scaled: Any = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return center_on_black(scaled, target)


def center_on_black(image: UInt8Array, target: tuple[int, int]) -> UInt8Array:
    """Put an image into the middle of a black one of ``target`` (H, W), which must not be smaller."""
    if image.shape[:2] == target:
        return image
    out = np.zeros((*target, 3), np.uint8)
    y, x = (target[0] - image.shape[0]) // 2, (target[1] - image.shape[1]) // 2
    out[y : y + image.shape[0], x : x + image.shape[1]] = image
    return out
