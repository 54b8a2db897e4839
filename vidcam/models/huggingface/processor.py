"""How frames become pixels of a network: what a checkpoint's processor file says, in vidcam's terms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidcam.errors import UsageError, WeightsError

__all__ = ["IMAGENET", "UNIT", "Pixels", "read_pixels"]

FILES = ("video_preprocessor_config.json", "preprocessor_config.json", "processor_config.json")
"""The names of a processor file, newest first; the last holds several processors."""

INSIDE = ("video_processor", "image_processor")

UNIT = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of pixels in 0..1: those that make -1..1 of them, and those of ImageNet."""

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Pixels:
    """How frames are resized, cropped and normalised.

    Attributes:
        resize: The length of the short side in pixels, or ``(height, width)``.
        crop: ``(height, width)`` of the centre crop.
        mean, std: Mean and standard deviation of each channel, by which pixels in 0..1 are normalised.
    """

    resize: int | tuple[int, int]
    crop: tuple[int, int]
    mean: Colour
    std: Colour


def read_pixels(folder: Path, usual: Pixels, *, has_offset: bool) -> tuple[Pixels, str | None]:
    """Read how a checkpoint's pixels are made.

    Args:
        folder: The folder of the checkpoint.
        usual: How the family's own processor makes pixels, for what the file does not say.
        has_offset: Whether that processor takes 1 from rescaled values if the file says nothing.

    Returns:
        The pixels, and the name of the file; None if there is no such file.

    Raises:
        WeightsError: The file cannot be read.
        UsageError: It describes pixels that vidcam cannot make.
    """
    path = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if path is None:
        return usual, None
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        stated = next((stated[key] for key in INSIDE if key in stated), stated)
        return _pixels(stated, usual, has_offset=has_offset), path.name
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as err:
        if isinstance(err, UsageError):
            raise
        raise WeightsError(f"{path} cannot be read as a processor file ({err!r}): save the processor again") from err


def _pixels(stated: Mapping[str, Any], usual: Pixels, *, has_offset: bool) -> Pixels:
    resize, crop = _sizes(stated, usual)
    # transformers: v = pixel * rescale - offset, then (v - mean) / std; vidcam: (pixel / 255 - mean) / std
    rescales, normalises = stated.get("do_rescale", True), stated.get("do_normalize", True)
    scale = 255 * float(stated.get("rescale_factor", 2 / 255 if has_offset else 1 / 255)) if rescales else 255.0
    offset = 1.0 if rescales and stated.get("offset", has_offset) else 0.0
    mean = _colour(stated.get("image_mean", usual.mean)) if normalises else (0.0, 0.0, 0.0)
    std = _colour(stated.get("image_std", usual.std)) if normalises else (1.0, 1.0, 1.0)
    (m0, m1, m2), (s0, s1, s2) = ((m + offset) / scale for m in mean), (s / scale for s in std)
    return Pixels(resize, crop, (m0, m1, m2), (s0, s1, s2))


def _sizes(stated: Mapping[str, Any], usual: Pixels) -> tuple[int | tuple[int, int], tuple[int, int]]:
    """Return the resize and the crop."""
    resize = _size(stated["size"]) if stated.get("size") is not None else usual.resize
    if not stated.get("do_resize", True):
        raise UsageError("the checkpoint's processor does not resize frames, so the size of its pixels is unknown")
    crop = stated.get("crop_size")
    if stated.get("do_center_crop", crop is not None or "size" not in stated):
        return resize, _square(_size(crop) if crop is not None else usual.crop)
    return resize, _square(resize)


def _size(size: Any) -> int | tuple[int, int]:
    """Return a size as old and new files write it: one number, or an object."""
    if isinstance(size, int):
        return size
    if isinstance(size, list | tuple):
        height, width = size
        return int(height), int(width)
    return int(size["shortest_edge"]) if size.get("shortest_edge") else (int(size["height"]), int(size["width"]))


def _square(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _colour(values: Any) -> Colour:
    r, g, b = (values,) * 3 if isinstance(values, int | float) else values
    return float(r), float(g), float(b)
