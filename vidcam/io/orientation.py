"""Makes decoded pictures upright, with square pixels, as YUV planes or RGB."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter

from vidcam.io.letterbox import SIZE_CHANGE, center_on_black, fitting_size, has_same_shape
from vidcam.io.reading import TimedPicture, Warn
from vidcam.values import UInt8Array
from vidcam.yuv import Matrix, Planes

__all__ = ["Orientation", "PictureConverter", "hdr_kind"]

_SCALER = int(Interpolation.BICUBIC) | int(Interpolation.FULL_CHR_H_INT)
_MATRICES: dict[int, Matrix] = {int(Colorspace.ITU709): "bt709", int(Colorspace.ITU601): "bt601", 6: "bt601"}
_HDR = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}
_PLANAR_420 = ("yuv420p", "yuvj420p")
_FULL = int(ColorRange.JPEG)
_LEVELS = np.arange(256)
_LIMITED_Y = np.rint(16 + _LEVELS * (219 / 255)).astype(np.uint8)
_LIMITED_C = np.rint(128 + (_LEVELS - 128) * (224 / 255)).astype(np.uint8)


@dataclass(frozen=True)
class Orientation:
    """How a coded picture becomes an upright one: scaled to square pixels, then transposed, then flipped.

    Attributes:
        height: Rows after scaling, before the transposition.
        width: Columns after scaling, before the transposition.
        transposed: Whether rows and columns are exchanged.
        flip_y: Whether the transposed picture is flipped upside down.
        flip_x: Whether the transposed picture is flipped left to right.
        rotation: Clockwise degrees: 0, 90, 180 or 270.
        coded: (H, W) of the coded picture.
    """

    height: int
    width: int
    transposed: bool
    flip_y: bool
    flip_x: bool
    rotation: int
    coded: tuple[int, int]

    @classmethod
    def of(cls, picture: VideoFrame, aspect: float) -> Orientation:
        """Return the orientation of a picture; ``aspect`` is the width / height of a pixel, 0.0 if unknown."""
        height, width = picture.height, picture.width
        if 1 / 8 <= aspect <= 8:  # beyond that the value is damaged
            square = (height, round(width * aspect)) if aspect > 1 else (round(height / aspect), width)
            # One pixel of difference is rounding of the coded size; resampling for it would only blur.
            if max(abs(square[0] - height), abs(square[1] - width)) > 1:
                height, width = square
        # The display matrix: x' = ax + cy, y' = bx + dy with y pointing down (ISO 14496-12, 6.2.2).
        a, b, _, c, d, *_ = _display_matrix(picture)
        transposed = abs(b) + abs(c) > abs(a) + abs(d)
        mirrored = a * d - b * c < 0
        angle = math.degrees(math.atan2(-b, -a) if mirrored else math.atan2(b, a))  # clockwise, after the mirroring
        flips = (b < 0, c < 0) if transposed else (d < 0, a < 0)
        return cls(height, width, transposed, *flips, rotation=round(angle / 90) % 4 * 90, coded=(picture.height, picture.width))

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the upright picture."""
        return (self.width, self.height) if self.transposed else (self.height, self.width)

    def turn(self, image: Any) -> Any:
        """Return a scaled image or plane transposed and flipped."""
        if self.transposed:
            image = cv2.transpose(image)
        if self.flip_y or self.flip_x:
            image = cv2.flip(image, -1 if self.flip_y and self.flip_x else 0 if self.flip_y else 1)
        return image


class PictureConverter:
    """Converts the decoded pictures of one video to upright ones.

    Pictures that are coded in 4:2:0 planes stay planes; all others become RGB ``(H, W, 3) uint8``. Pictures of another size than
    the first one are scaled to its size, as RGB; ``warn`` is called if their shape differs.
    """

    def __init__(self, orientation: Orientation, warn: Warn) -> None:
        self._orientation = orientation
        self._warn = warn
        self._scaler = VideoReformatter()
        self._others: dict[tuple[int, int, float], Orientation] = {}  # of pictures of another size, by size and aspect

    def __call__(self, timed: TimedPicture) -> UInt8Array | Planes:
        """Return the upright picture."""
        picture: VideoFrame = timed.picture
        own = self._orientation
        if (picture.height, picture.width) != own.coded:
            key = picture.height, picture.width, timed.aspect
            other = self._others[key] = self._others.get(key) or Orientation.of(picture, timed.aspect)
            if not has_same_shape(other.size, own.size):
                self._warn(SIZE_CHANGE.format("the video", own.size[1], own.size[0], other.size[1], other.size[0]))
                return self._letterboxed(picture, other)
        matrix = _planar_matrix(picture, own)
        if matrix is None:
            image: UInt8Array = own.turn(self._rgb(picture, own.height, own.width))
            return image
        color_range = _color_range(picture) or int(picture.color_range)
        is_full = color_range == _FULL
        if picture.format.name not in _PLANAR_420 or (picture.height, picture.width) != (own.height, own.width):
            # Change the bits, the colour resolution or the size, but neither the matrix nor the range.
            colours = {"src_color_range": color_range, "dst_color_range": color_range, "dst_colorspace": _colorspace(picture)}
            picture = self._scaled(picture, "yuvj420p" if is_full else "yuv420p", own.height, own.width, colours)
        y, u, v = (own.turn(plane) for plane in _limited_planes(picture, is_full=is_full))
        return Planes(y, u, v, matrix)

    def _letterboxed(self, picture: VideoFrame, other: Orientation) -> UInt8Array:
        height, width = fitting_size(other.size, self._orientation.size)
        if other.transposed:
            height, width = width, height
        return center_on_black(other.turn(self._rgb(picture, height, width)), self._orientation.size)

    def _rgb(self, picture: VideoFrame, height: int, width: int) -> Any:
        colours = {"src_color_range": _color_range(picture), "dst_color_range": _FULL}
        return self._scaled(picture, "rgb24", height, width, colours).to_ndarray()

    def _scaled(
        self, picture: VideoFrame, pixel_format: str, height: int, width: int, colours: Mapping[str, int | None]
    ) -> VideoFrame:
        return self._scaler.reformat(
            picture,
            width=width,
            height=height,
            format=pixel_format,
            src_colorspace=_colorspace(picture),
            interpolation=_SCALER,
            threads=1,  # the other threads belong to the decoder
            **colours,
        )


def hdr_kind(picture: VideoFrame) -> str | None:
    """Return the HDR transfer function of a picture, "PQ" or "HLG"; None for other video."""
    return _HDR.get(int(picture.color_trc))


def _display_matrix(picture: VideoFrame) -> Sequence[int]:
    # Not ``picture.side_data``: that and the picture would refer to each other, and stay alive until the garbage is collected.
    try:
        data: Any = SideDataContainer(picture).get("DISPLAYMATRIX")  # type: ignore[call-arg]
    except ValueError:  # PyAV 18 fails on kinds of side data that it does not know, such as EXIF
        angle = math.radians(-picture.rotation)
        cos, sin = round(math.cos(angle)), round(math.sin(angle))
        return cos, sin, 0, -sin, cos, 0, 0, 0, 1
    return (1, 0, 0, 0, 1, 0, 0, 0, 1) if data is None else struct.unpack("=9i", bytes(data))


def _planar_matrix(picture: VideoFrame, orientation: Orientation) -> Matrix | None:
    """Return the YUV matrix of a picture that can stay in planes, None for all others."""
    if not picture.format.name.startswith(("yuv4", "yuvj4", "nv12", "p010")):
        return None
    if (orientation.flip_y or orientation.flip_x) and (orientation.height % 2 or orientation.width % 2):
        return None  # after a flip, the colour of the last row or column would lie one pixel off
    if min(plane.line_size for plane in picture.planes) <= 0:
        return None
    return _MATRICES.get(int(_colorspace(picture) or picture.colorspace))


def _limited_planes(picture: VideoFrame, *, is_full: bool) -> Iterator[Any]:
    """Yield the planes of a 4:2:0 picture in limited range: views of its memory if they are so already."""
    for plane, table in zip(picture.planes, (_LIMITED_Y, _LIMITED_C, _LIMITED_C), strict=True):
        view: Any = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]
        view = view.reshape(-1, plane.line_size)[: plane.height, : plane.width]
        yield cv2.LUT(view, table) if is_full else view


def _colorspace(picture: VideoFrame) -> int | None:
    """Return the YUV matrix to assume for a stream that names none; None for all others.

    As in players, it is BT.709 from 720 lines on and BT.601 below.
    """
    if picture.format.is_rgb or picture.colorspace not in (2, 3):  # unspecified, reserved
        return None
    return int(Colorspace.ITU709 if picture.height >= 720 or picture.width >= 1280 else Colorspace.ITU601)


def _color_range(picture: VideoFrame) -> int | None:
    """Return the range to assume for a stream that names none; None for all others.

    It is full if the pixel format says so, limited otherwise.
    """
    if picture.format.is_rgb or picture.color_range != 0:
        return None
    return int(ColorRange.JPEG if picture.format.name.startswith("yuvj") else ColorRange.MPEG)
