"""RGB to planes and back, as Rec. ITU-R BT.601 and BT.709 say, by OpenCV."""

from __future__ import annotations

from functools import cache
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.planes import Matrix, Planes, UInt8Array

__all__ = ["from_rgb", "half", "rgb_to_yuv", "to_rgb"]

_RED_BLUE = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}  # the shares of red and blue in the brightness


def half(plane: UInt8Array) -> UInt8Array:
    """The means of 2x2 pixels, ``(ceil(H/2), ceil(W/2)) uint8``; the last row and column are repeated where there is no pair."""
    height, width = plane.shape
    if height % 2 or width % 2:
        plane = cast("UInt8Array", cv2.copyMakeBorder(plane, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE))
    small = (plane.shape[1] // 2, plane.shape[0] // 2)
    return cast("UInt8Array", cv2.resize(plane, small, interpolation=cv2.INTER_AREA))


def from_rgb(image: UInt8Array, matrix: Matrix = "bt709") -> Planes:
    """The planes of ``image (H, W, 3) uint8`` RGB; colour is the mean of 2x2 pixels."""
    yuv = cv2.transform(image, rgb_to_yuv(matrix))
    y, u, v = (cast("UInt8Array", cv2.extractChannel(yuv, i)) for i in range(3))
    return Planes(y, half(u), half(v), matrix)


def to_rgb(planes: Planes, size: tuple[int, int] | None = None) -> UInt8Array:
    """The picture as ``(H, W, 3) uint8`` RGB, scaled to ``size`` (H, W) where given.

    Brightness and colour are brought to that size by bilinear interpolation between pixel centres, without antialiasing, and then
    converted: the same, but for rounding and clipping, as converting first, and cheaper the smaller the size.
    """
    height, width = planes.size if size is None else size
    full = [
        plane if plane.shape == (height, width) else cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
        for plane in (planes.y, planes.u, planes.v)
    ]
    return cast("UInt8Array", cv2.transform(cv2.merge(full), _yuv_to_rgb(planes.matrix)))


@cache
def rgb_to_yuv(matrix: Matrix) -> npt.NDArray[np.float64]:
    """``(3, 4)``: takes (R, G, B, 1) in [0, 255] to (Y, U, V) in limited range."""
    red, blue = _RED_BLUE[matrix]
    bright = np.array([red, 1 - red - blue, blue])
    rows = np.stack([219 * bright, 112 * (np.eye(3)[2] - bright) / (1 - blue), 112 * (np.eye(3)[0] - bright) / (1 - red)]) / 255
    return np.column_stack([rows, [16, 128, 128]])


@cache
def _yuv_to_rgb(matrix: Matrix) -> npt.NDArray[np.float64]:
    forward = rgb_to_yuv(matrix)
    back = np.linalg.inv(forward[:, :3])
    return np.column_stack([back, -back @ forward[:, 3]])
