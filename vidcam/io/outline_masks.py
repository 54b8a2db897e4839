"""Reads outlines that lie in files of their own: a folder of mask images, or a text file with one box a line."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vidcam.errors import InputError
from vidcam.io.container import check_size
from vidcam.io.images import list_files
from vidcam.io.outline_shapes import ABSENT, BoxShape, Shape, encode_runs

__all__ = ["mask_shape", "read_box_lines", "read_index_image", "read_mask_folder"]

MASK_SUFFIXES = frozenset({".png"})


def read_mask_folder(folder: Path, size: tuple[int, int], value: int | None) -> list[Shape]:
    """Return the outline of each PNG of a folder in natural order: the pixels that are ``value``, or for None not 0.

    Raises InputError if there are none, or one cannot be read or has another size than ``size``.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder of masks {folder}")
    files = list_files(folder, MASK_SUFFIXES)
    if not files:
        raise InputError(f"the folder {folder} holds no masks: looked for *.png")
    return [mask_shape(read_index_image(file, size), value) for file in files]


def mask_shape(indices: npt.NDArray[np.integer], value: int | None) -> Shape:
    """Return the pixels of an image of indices ``(H, W)`` that are ``value``, or for None not 0."""
    mask = np.asarray(indices != 0 if value is None else indices == value, np.bool_)
    return encode_runs(mask) if mask.any() else ABSENT


def read_index_image(file: Path, size: tuple[int, int] | None = None) -> npt.NDArray[np.integer]:
    """Return an image's values ``(H, W)``: those of a palette image are the indices, not the colours.

    A colour image counts as 1 where it is not black. Raises InputError if it cannot be read, or is not of ``size`` (H, W).
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # check_size applies our own limit
            image = Image.open(file, formats=["PNG"])
        with image:
            check_size(str(file), image.width, image.height)
            if size is not None and (image.height, image.width) != size:
                raise InputError(
                    f"the mask {file} has {image.width}x{image.height} pixels, but the clip's size is {size[1]}x{size[0]}"
                )
            pixels = np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise error if isinstance(error, InputError) else InputError(f"the mask {file} cannot be read: {error}") from error
    if pixels.ndim == 3:
        return np.asarray(pixels[..., :3].any(axis=-1), np.uint8)
    return np.asarray(pixels, np.int64)


def read_box_lines(file: Path) -> Sequence[Shape]:
    """Return the boxes of a text file, one line ``x,y,width,height`` for each frame; four zeros: nobody is there.

    Commas, spaces or tabs separate the numbers. Raises InputError for anything else, with the number of the line.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the boxes {file} cannot be read: {error}") from error
    shapes: list[Shape] = []
    for number, line in enumerate(lines, 1):
        try:
            x, y, width, height = (float(word) for word in re.split(r"[,\s]+", line.strip()))
        except ValueError as error:
            raise InputError(f"{file}, line {number} must be x,y,width,height in pixels, got {line[:60]!r}") from error
        is_absent = width == 0 and height == 0
        if not np.isfinite([x, y, width, height]).all() or (not is_absent and min(width, height) <= 0):
            raise InputError(f"{file}, line {number} must have a positive width and height, got {line[:60]!r}")
        shapes.append(ABSENT if is_absent else BoxShape(x, y, width, height))
    if not shapes:
        raise InputError(f"{file} holds no boxes: one line x,y,width,height is needed for each frame")
    return shapes
