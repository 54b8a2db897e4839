"""Translucent things in the planes of a picture: what they leave of it, and what they add.

Mixing with a colour is the same in planes as in RGB, because both are linear: black is 16 and 128 there instead of 0, and a thing
that is translucent adds its own share of that too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.values import FloatArray, UInt8Array
from vidcam.yuv import Matrix, Planes, from_rgb, half, rgb_to_yuv

__all__ = ["ColormapLut", "Layer", "Rows", "grown", "read_only"]

Rows = tuple[int, int, int, int]
"""Pixels ``(y0, x0, y1, x1)``, half-open."""


@dataclass(frozen=True, eq=False)
class ColormapLut:
    """What each of 256 levels does to a picture: ``keep (256,) uint8`` 255ths of it are left, the rest is ``rgb (256, 3)``."""

    keep: UInt8Array
    rgb: FloatArray

    @classmethod
    def of(cls, alpha: FloatArray, rgb: npt.ArrayLike) -> ColormapLut:
        """Opaque by ``alpha (256,)`` in [0, 1], of the colours ``rgb (256, 3)`` or ``(3,)``."""
        return cls(read_only(np.rint(255 * (1 - alpha)).astype(np.uint8)), np.broadcast_to(np.asarray(rgb, float), (256, 3)))

    @cached_property
    def add(self) -> UInt8Array:
        """``(256, 1, 3)``: what is added to an RGB picture. Together with what is left it never exceeds 255."""
        return read_only((self.rgb * self._share).astype(np.uint8)[:, None])

    @cached_property
    def added(self) -> dict[Matrix, tuple[UInt8Array, UInt8Array, UInt8Array]]:
        """The same for the planes of a picture with one or the other matrix: three times ``(256,)``."""
        return {"bt601": self._yuv("bt601"), "bt709": self._yuv("bt709")}

    def _yuv(self, matrix: Matrix) -> tuple[UInt8Array, UInt8Array, UInt8Array]:
        to_yuv = rgb_to_yuv(matrix)
        y, u, v = ((self.rgb @ to_yuv[:, :3].T + to_yuv[:, 3]) * self._share).T.round().astype(np.uint8)
        return read_only(y), read_only(u), read_only(v)

    @property
    def _share(self) -> FloatArray:
        out: FloatArray = ((255 - self.keep) / 255.0)[:, None]
        return out


@dataclass(frozen=True, eq=False)
class Layer:
    """Something translucent at ``box`` in a picture: for brightness and the two colours what it leaves, in 255ths, and adds."""

    box: Rows
    keep: tuple[UInt8Array, UInt8Array]
    add: tuple[UInt8Array, UInt8Array, UInt8Array]

    @classmethod
    def of_levels(cls, index: UInt8Array, ink: ColormapLut, box: Rows, size: tuple[int, int], matrix: Matrix) -> Layer | None:
        """What ``ink`` does within ``box`` of a picture of ``size`` whose pixels have the levels ``index``.

        ``index (h, w)`` may be coarser than the picture: what its levels leave and add is then interpolated between their
        centres. Two by two pixels share their colour: they have the mean of their levels there. None where nothing is drawn.
        """
        if index.shape == size:  # only what is needed is looked up
            fine, rough = _slices(box)
            levels = index[fine], half(index[tuple(slice(2 * s.start, 2 * s.stop) for s in rough)])
            (keep, y), (keep_c, u, v) = (
                [_look_up(table, level) for table in tables] for level, tables in zip(levels, _tables(ink, matrix), strict=True)
            )
            return cls(box, (keep, keep_c), (y, u, v))
        index, (top, left), size = _drawn(index, ink, size)
        box = max(box[0], top), max(box[1], left), min(box[2], top + size[0]), min(box[3], left + size[1])
        if box[2] <= box[0] or box[3] <= box[1]:
            return None
        fine, rough = _slices((box[0] - top, box[1] - left, box[2] - top, box[3] - left))
        chroma = (size[0] + 1) // 2, (size[1] + 1) // 2
        (keep, y), (keep_c, u, v) = (
            [grown(_look_up(table, index), full)[part] for table in tables]
            for full, part, tables in zip((size, chroma), (fine, rough), _tables(ink, matrix), strict=True)
        )
        return cls(box, (keep, keep_c), (y, u, v))

    @classmethod
    def of_rgb(cls, keep: UInt8Array, add: UInt8Array, at: tuple[int, int], matrix: Matrix) -> Layer:
        """What is ``ground * keep / 255 + add`` in RGB, both ``(H, W, 3) uint8``, from row and column ``at`` on, both even."""
        left = keep[..., 1]  # the same for all colours
        planes = from_rgb(add, matrix)  # with all of black's offsets, also for the share of it that is the ground's
        left_c = half(left)
        y, u, v = (
            np.clip(np.rint(plane - black * (kept / 255.0)), 0, 255).astype(np.uint8)
            for plane, kept, black in ((planes.y, left, 16), (planes.u, left_c, 128), (planes.v, left_c, 128))
        )
        return cls((*at, at[0] + add.shape[0], at[1] + add.shape[1]), (left, left_c), (y, u, v))

    def lay(self, out: Planes) -> None:
        """Draw it into the picture; what lies outside of that is cut off."""
        fine, rough = _slices(self.box)
        parts, kept = (fine, rough, rough), (self.keep[0], self.keep[1], self.keep[1])
        for plane, part, keep, add in zip((out.y, out.u, out.v), parts, kept, self.add, strict=True):
            ground = plane[part]
            h, w = ground.shape
            cv2.multiply(ground, keep[:h, :w], dst=ground, scale=1 / 255)
            cv2.add(ground, add[:h, :w], dst=ground)


def _tables(ink: ColormapLut, matrix: Matrix) -> tuple[tuple[UInt8Array, ...], tuple[UInt8Array, ...]]:
    y, u, v = ink.added[matrix]
    return (ink.keep, y), (ink.keep, u, v)


def _drawn(index: UInt8Array, ink: ColormapLut, size: tuple[int, int]) -> tuple[UInt8Array, tuple[int, int], tuple[int, int]]:
    """The part of coarse levels in which something is drawn, with a cell of nothing around it: it is cheaper to spread.

    Also its first row and column in the picture of ``size``, both even, and its size there. All of it where cells are no whole
    number of pixels: spread by itself, a part would not lie where it lies in the whole.
    """
    (h, w), (height, width) = index.shape, size
    down, across = height // h, width // w
    if height % h or width % w or down % 2 or across % 2:
        return index, (0, 0), size
    x, y, wide, tall = cv2.boundingRect(_look_up(255 - ink.keep, index))
    y0, x0, y1, x1 = max(0, y - 1), max(0, x - 1), min(h, y + tall + 1), min(w, x + wide + 1)
    if not wide:
        y0 = y1 = x0 = x1 = 0
    return index[y0:y1, x0:x1], (y0 * down, x0 * across), ((y1 - y0) * down, (x1 - x0) * across)


def _look_up(table: UInt8Array, levels: UInt8Array) -> UInt8Array:
    return cast("UInt8Array", cv2.LUT(levels, table))


def _slices(box: Rows) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The box in the plane of brightness, and in the planes of colour."""
    y0, x0, y1, x1 = box
    return (slice(y0, y1), slice(x0, x1)), (slice(y0 // 2, (y1 + 1) // 2), slice(x0 // 2, (x1 + 1) // 2))


def grown(values: UInt8Array, size: tuple[int, ...]) -> UInt8Array:
    """Values of a coarser grid over a picture of ``size`` (H, W), interpolated between the centres of its cells."""
    if values.shape == size[:2]:
        return values
    return cast("UInt8Array", cv2.resize(values, (size[1], size[0]), interpolation=cv2.INTER_LINEAR))


def read_only(array: UInt8Array) -> UInt8Array:
    array.flags.writeable = False
    return array
