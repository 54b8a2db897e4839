"""Alpha compositing in 8 bits, on RGB pictures and on the planes of a video.

``out = ground * transparency / 255 + premultiplied``, where transparency is 255 (1 - alpha) and premultiplied is the colour times
alpha. This holds in planes as in RGB, because the conversion is linear; there black is 16 and 128 instead of 0, and a translucent
thing adds its share of that too.
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

__all__ = ["ColormapLut", "Layer", "Picture", "Rows", "composite_levels", "read_only", "upscale"]

Picture = UInt8Array | Planes
"""RGB ``(H, W, 3) uint8``, or planes."""

Rows = tuple[int, int, int, int]
"""Pixels ``(y0, x0, y1, x1)``, half-open."""


@dataclass(frozen=True, eq=False)
class ColormapLut:
    """A lookup table from 256 levels to a translucent colour: ``transparency (256,) uint8`` and ``rgb (256, 3)``."""

    transparency: UInt8Array
    rgb: FloatArray

    @classmethod
    def from_alpha(cls, alpha: FloatArray, rgb: npt.ArrayLike) -> ColormapLut:
        """Make the table from the opacity ``alpha (256,)`` in [0, 1] and the colours ``rgb (256, 3)`` or ``(3,)``."""
        transparency = read_only(np.rint(255 * (1 - alpha)).astype(np.uint8))
        return cls(transparency, np.broadcast_to(np.asarray(rgb, float), (256, 3)))

    @cached_property
    def premultiplied(self) -> UInt8Array:
        """``(256, 1, 3)``: the RGB colours times alpha. Together with what is left of the ground they never exceed 255."""
        return read_only((self.rgb * self._alpha).astype(np.uint8)[:, None])

    @cached_property
    def premultiplied_yuv(self) -> dict[Matrix, tuple[UInt8Array, UInt8Array, UInt8Array]]:
        """The same in Y, U and V, three times ``(256,)``, for BT.601 and BT.709."""
        return {"bt601": self._yuv("bt601"), "bt709": self._yuv("bt709")}

    def _yuv(self, matrix: Matrix) -> tuple[UInt8Array, UInt8Array, UInt8Array]:
        to_yuv = rgb_to_yuv(matrix)
        y, u, v = ((self.rgb @ to_yuv[:, :3].T + to_yuv[:, 3]) * self._alpha).T.round().astype(np.uint8)
        return read_only(y), read_only(u), read_only(v)

    @property
    def _alpha(self) -> FloatArray:
        out: FloatArray = ((255 - self.transparency) / 255.0)[:, None]
        return out


@dataclass(frozen=True, eq=False)
class Layer:
    """A translucent patch at ``box`` of a picture in planes: its transparency for luma and chroma, and its premultiplied YUV."""

    box: Rows
    transparency: tuple[UInt8Array, UInt8Array]
    premultiplied: tuple[UInt8Array, UInt8Array, UInt8Array]

    @classmethod
    def from_levels(cls, levels: UInt8Array, lut: ColormapLut, box: Rows, size: tuple[int, int], matrix: Matrix) -> Layer | None:
        """Make the layer of a picture's ``levels`` within ``box``; None if nothing is drawn there.

        ``levels (h, w)`` may be coarser than the picture of ``size`` (H, W): transparency and colour are then interpolated
        between the centres of its cells. Two by two pixels share their chroma: that of the mean of their levels.
        """
        if levels.shape == size:  # only what is needed is looked up
            fine, rough = _slices(box)
            parts = levels[fine], half(levels[tuple(slice(2 * s.start, 2 * s.stop) for s in rough)])
            (luma, y), (chroma, u, v) = (
                [_look_up(table, part) for table in tables] for part, tables in zip(parts, _tables(lut, matrix), strict=True)
            )
            return cls(box, (luma, chroma), (y, u, v))
        levels, (top, left), size = _crop_to_drawn(levels, lut, size)
        box = max(box[0], top), max(box[1], left), min(box[2], top + size[0]), min(box[3], left + size[1])
        if box[2] <= box[0] or box[3] <= box[1]:
            return None
        fine, rough = _slices((box[0] - top, box[1] - left, box[2] - top, box[3] - left))
        (luma, y), (chroma, u, v) = (
            [upscale(_look_up(table, levels), full)[part] for table in tables]
            for full, part, tables in zip((size, _half_size(size)), (fine, rough), _tables(lut, matrix), strict=True)
        )
        return cls(box, (luma, chroma), (y, u, v))

    @classmethod
    def from_rgb(cls, transparency: UInt8Array, premultiplied: UInt8Array, at: tuple[int, int], matrix: Matrix) -> Layer:
        """Make the layer of an RGB patch, both ``(H, W, 3) uint8``, from row and column ``at`` on, which must be even."""
        luma = transparency[..., 1]  # the same for all colours
        chroma = half(luma)
        planes = from_rgb(premultiplied, matrix)  # with all of black's offset, also for the share of it that is the ground's
        y, u, v = (
            np.clip(np.rint(plane - black * (left / 255.0)), 0, 255).astype(np.uint8)
            for plane, left, black in ((planes.y, luma, 16), (planes.u, chroma, 128), (planes.v, chroma, 128))
        )
        return cls((*at, at[0] + premultiplied.shape[0], at[1] + premultiplied.shape[1]), (luma, chroma), (y, u, v))

    def composite_onto(self, out: Planes) -> None:
        """Draw the layer into a picture; what lies outside of the picture is cut off."""
        fine, rough = _slices(self.box)
        luma, chroma = self.transparency
        for plane, part, transparency, premultiplied in zip(
            (out.y, out.u, out.v), (fine, rough, rough), (luma, chroma, chroma), self.premultiplied, strict=True
        ):
            ground = plane[part]
            h, w = ground.shape
            cv2.multiply(ground, transparency[:h, :w], dst=ground, scale=1 / 255)
            cv2.add(ground, premultiplied[:h, :w], dst=ground)


def composite_levels(out: Picture, levels: UInt8Array, box: Rows, lut: ColormapLut) -> None:
    """Draw ``levels (h, w)``, of the picture's size or coarser, into ``out`` within ``box``."""
    if box[2] <= box[0] or box[3] <= box[1]:
        return
    if isinstance(out, Planes):
        if layer := Layer.from_levels(levels, lut, box, out.size, out.matrix):
            layer.composite_onto(out)
        return
    ground, level = (image[box[0] : box[2], box[1] : box[3]] for image in (out, upscale(levels, out.shape)))
    mixed = cv2.multiply(ground, cv2.cvtColor(cv2.LUT(level, lut.transparency), cv2.COLOR_GRAY2RGB), scale=1 / 255)
    ground[:] = cv2.add(mixed, cv2.applyColorMap(level, lut.premultiplied))


def upscale(values: UInt8Array, size: tuple[int, ...]) -> UInt8Array:
    """Return the values of a coarser grid over a picture of ``size`` (H, W), interpolated between the centres of its cells."""
    if values.shape == size[:2]:
        return values
    return cast("UInt8Array", cv2.resize(values, (size[1], size[0]), interpolation=cv2.INTER_LINEAR))


def read_only(array: UInt8Array) -> UInt8Array:
    """Return the array after making it read-only."""
    array.flags.writeable = False
    return array


def _tables(lut: ColormapLut, matrix: Matrix) -> tuple[tuple[UInt8Array, ...], tuple[UInt8Array, ...]]:
    """Return the tables for the luma plane, and those for the chroma planes."""
    y, u, v = lut.premultiplied_yuv[matrix]
    return (lut.transparency, y), (lut.transparency, u, v)


def _crop_to_drawn(
    levels: UInt8Array, lut: ColormapLut, size: tuple[int, int]
) -> tuple[UInt8Array, tuple[int, int], tuple[int, int]]:
    """Cut coarse levels down to where something is drawn, with one empty cell around it: that is cheaper to upscale.

    Returns the part, its first row and column in the picture of ``size`` (both even), and its size there. Returns all of it if
    cells are not a whole number of pixels: upscaled by itself, a part would not lie where it lies in the whole.
    """
    (h, w), (height, width) = levels.shape, size
    down, across = height // h, width // w
    if height % h or width % w or down % 2 or across % 2:
        return levels, (0, 0), size
    x, y, wide, tall = cv2.boundingRect(_look_up(255 - lut.transparency, levels))
    y0, x0, y1, x1 = max(0, y - 1), max(0, x - 1), min(h, y + tall + 1), min(w, x + wide + 1)
    if not wide:
        y0 = y1 = x0 = x1 = 0
    return levels[y0:y1, x0:x1], (y0 * down, x0 * across), ((y1 - y0) * down, (x1 - x0) * across)


def _look_up(table: UInt8Array, levels: UInt8Array) -> UInt8Array:
    return cast("UInt8Array", cv2.LUT(levels, table))


def _half_size(size: tuple[int, int]) -> tuple[int, int]:
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def _slices(box: Rows) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the box in the luma plane, and in the chroma planes."""
    y0, x0, y1, x1 = box
    return (slice(y0, y1), slice(x0, x1)), (slice(y0 // 2, (y1 + 1) // 2), slice(x0 // 2, (x1 + 1) // 2))
