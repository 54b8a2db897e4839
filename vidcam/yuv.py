"""YUV planes, as video codecs use them, and their conversion from and to RGB.

The conversion follows Rec. ITU-R BT.601 and BT.709. The planes hold luma at full and chroma at half resolution (8 bits, 4:2:0,
limited range). Most video is decoded to them and encoded from them. Drawing in the planes saves a conversion and keeps every
pixel that is not drawn over.

OpenCV is imported by the functions that need it, so that reading a report does not load it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError

__all__ = ["Matrix", "Planes", "UInt8Array", "from_rgb", "half", "rgb_to_yuv", "scale", "to_rgb"]

UInt8Array = npt.NDArray[np.uint8]
Matrix = Literal["bt601", "bt709"]


@dataclass(frozen=True, eq=False)
class Planes:
    """The planes of one picture, uint8 in limited range.

    Attributes:
        y: Luma ``(H, W)``.
        u: Chroma ``(ceil(H/2), ceil(W/2))``.
        v: Chroma ``(ceil(H/2), ceil(W/2))``.
        matrix: The matrix by which RGB was converted.

    Raises:
        UsageError: A plane has another type or shape.
    """

    y: UInt8Array
    u: UInt8Array
    v: UInt8Array
    matrix: Matrix = "bt709"

    def __post_init__(self) -> None:
        height, width = self.y.shape
        chroma = (height + 1) // 2, (width + 1) // 2
        for name, plane, shape in (("y", self.y, (height, width)), ("u", self.u, chroma), ("v", self.v, chroma)):
            if plane.dtype != np.uint8 or plane.shape != shape or plane.size == 0:
                raise UsageError(f"plane {name} must be uint8 {shape}, got {plane.dtype} {plane.shape}")

    def __repr__(self) -> str:
        return f"Planes({self.size[0]}x{self.size[1]}, {self.matrix})"

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the picture."""
        return self.y.shape[0], self.y.shape[1]

    @classmethod
    def empty(cls, size: tuple[int, int], matrix: Matrix = "bt709") -> Planes:
        """Return uninitialised planes for a picture of ``size`` (H, W)."""
        y, u, v = (np.empty(shape, np.uint8) for shape in (size, *2 * [((size[0] + 1) // 2, (size[1] + 1) // 2)]))
        return cls(y, u, v, matrix)

    def part(self, y0: int, x0: int, y1: int, x1: int) -> Planes:
        """Return rows ``y0:y1`` and columns ``x0:x1`` as a view; ``y0`` and ``x0`` must be even."""
        if y0 % 2 or x0 % 2:
            raise UsageError(f"a part of 4:2:0 planes begins at an even row and column, got {y0}, {x0}")
        rows, columns = slice(y0 // 2, (y1 + 1) // 2), slice(x0 // 2, (x1 + 1) // 2)
        return Planes(self.y[y0:y1, x0:x1], self.u[rows, columns], self.v[rows, columns], self.matrix)

    def paste(self, other: Planes, y: int = 0, x: int = 0) -> None:
        """Copy ``other`` to row ``y`` and column ``x``, both even; it must have the same matrix."""
        if other.matrix != self.matrix:
            raise UsageError(f"planes of {other.matrix} cannot be pasted into planes of {self.matrix}")
        part = self.part(y, x, y + other.size[0], x + other.size[1])
        part.y[:], part.u[:], part.v[:] = other.y, other.u, other.v


_RED_BLUE = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}  # the weights of red and blue in luma


def half(plane: UInt8Array) -> UInt8Array:
    """Return the means of 2x2 pixels, ``(ceil(H/2), ceil(W/2))``; an odd last row or column counts twice."""
    import cv2

    height, width = plane.shape
    if height % 2 or width % 2:
        plane = cast("UInt8Array", cv2.copyMakeBorder(plane, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE))
    small = (plane.shape[1] // 2, plane.shape[0] // 2)
    return cast("UInt8Array", cv2.resize(plane, small, interpolation=cv2.INTER_AREA))


def from_rgb(image: UInt8Array, matrix: Matrix = "bt709") -> Planes:
    """Return the planes of an RGB image ``(H, W, 3) uint8``; chroma is the mean of 2x2 pixels."""
    import cv2

    yuv = cv2.transform(image, rgb_to_yuv(matrix))
    y, u, v = (cast("UInt8Array", cv2.extractChannel(yuv, i)) for i in range(3))
    return Planes(y, half(u), half(v), matrix)


def to_rgb(planes: Planes, size: tuple[int, int] | None = None, *, antialias: bool = False) -> UInt8Array:
    """Return the picture as RGB ``(H, W, 3) uint8``, scaled to ``size`` (H, W) if it is given.

    Luma and chroma are scaled by bilinear interpolation between pixel centres (with ``antialias``, to the mean of the pixels) and
    then converted. Except for rounding and clipping this equals converting first, and it costs less for small sizes.
    """
    import cv2

    size = planes.size if size is None else size
    full = [scale(plane, size, antialias=antialias) for plane in (planes.y, planes.u, planes.v)]
    return cast("UInt8Array", cv2.transform(cv2.merge(full), _yuv_to_rgb(planes.matrix)))


def scale(image: UInt8Array, size: tuple[int, int], *, antialias: bool = False) -> UInt8Array:
    """Return an image ``(H, W)`` or ``(H, W, C)`` at ``size`` (H, W): bilinear, or with ``antialias`` the mean of the pixels."""
    import cv2

    if image.shape[:2] == size:
        return image
    if antialias and size[0] <= image.shape[0] and size[1] <= image.shape[1]:
        return _means(image, size)
    interpolation = cv2.INTER_AREA if antialias else cv2.INTER_LINEAR
    return cast("UInt8Array", cv2.resize(image, size[::-1], interpolation=interpolation))


def _means(image: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """Return the mean of the area that each pixel of ``size`` (H, W) stands for.

    Sums over areas are differences of the integral image, which is linear inside a pixel. OpenCV's own ``INTER_AREA`` gives the
    same, up to its rounding, and takes several times as long.
    """
    import cv2

    height, width = image.shape[:2]
    integral = cv2.integral(image, sdepth=cv2.CV_32S if height * width * 255 < 2**31 else cv2.CV_64F)
    planes = integral if image.ndim == 3 else integral[..., None]
    (y, down), (x, across) = _edges(height, size[0]), _edges(width, size[1])
    sides = np.concatenate([x, x + 1])
    sums = _blend(planes[np.ix_(y, sides)], planes[np.ix_(y + 1, sides)], down[:, None, None])
    sums = _blend(sums[:, : len(x)], sums[:, len(x) :], across[:, None])
    means = np.diff(np.diff(sums, axis=0), axis=1) * (size[0] * size[1] / (height * width))
    return cast("UInt8Array", np.rint(means).astype(np.uint8).reshape(*size, *image.shape[2:]))


def _blend(first: npt.NDArray[Any], second: npt.NDArray[Any], share: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return first * (1 - share) + second * share


@cache
def _edges(length: int, parts: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Return the pixels ``(parts + 1,)`` in which the edges of even parts of a ``length`` lie, and how far inside (0 to 1)."""
    edges: Any = np.arange(parts + 1) * (length / parts)
    pixels = np.minimum(edges.astype(np.intp), length - 1)
    return pixels, edges - pixels


@cache
def rgb_to_yuv(matrix: Matrix) -> npt.NDArray[np.float64]:
    """Return the matrix ``(3, 4)`` from (R, G, B, 1) in [0, 255] to (Y, U, V) in limited range."""
    red, blue = _RED_BLUE[matrix]
    bright = np.array([red, 1 - red - blue, blue])
    rows = np.stack([219 * bright, 112 * (np.eye(3)[2] - bright) / (1 - blue), 112 * (np.eye(3)[0] - bright) / (1 - red)]) / 255
    return np.column_stack([rows, [16, 128, 128]])


@cache
def _yuv_to_rgb(matrix: Matrix) -> npt.NDArray[np.float64]:
    """Return the matrix ``(3, 4)`` from (Y, U, V, 1) in limited range to (R, G, B) in [0, 255]."""
    forward = rgb_to_yuv(matrix)
    back = np.linalg.inv(forward[:, :3])
    return np.column_stack([back, -back @ forward[:, 3]])
