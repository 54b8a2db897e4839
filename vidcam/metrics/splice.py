"""A test that needs no masks: two clips cut together must each have their evidence in their own part.

The labels are the model's own answers to the whole clips, so the test judges the explanation and not the model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vidcam.errors import UsageError
from vidcam.methods.cell_geometry import CellGeometry
from vidcam.values import FloatArray, UInt8Array

__all__ = ["Spliced", "share_inside", "splice"]


@dataclass(frozen=True)
class Spliced:
    """The shares of the positive evidence that lie in the right part of two clips cut together.

    ``first`` is the share for the first part's answer before the cut, ``second`` that for the second part's answer after it; None
    if nothing speaks for the answer. ``first_chance`` and ``second_chance`` are the shares of a constant map, which are not 0.5
    if few cells do not divide the clip in its middle.
    """

    first: float | None
    second: float | None
    first_chance: float
    second_chance: float


def splice(first: UInt8Array, second: UInt8Array) -> UInt8Array:
    """Return the first half of one clip ``(T,H,W,3)`` followed by the second half of another of the same shape."""
    if first.shape != second.shape:
        raise UsageError(f"two clips of one shape can be spliced, got {first.shape} and {second.shape}")
    half = len(first) // 2
    return np.concatenate([first[:half], second[half:]])


def share_inside(values: FloatArray, where: CellGeometry, frames: int, *, after: bool) -> float:
    """Return the share of a map's positive evidence ``(T',h,w)`` before the cut in the middle of ``frames``, or after it.

    A cell's evidence is spread over the frames that it stands for, so a cell across the cut counts in part. NaN if nothing speaks
    for the class.
    """
    cut = frames // 2 - 0.5
    start = where.time.centres() - where.time.stride / 2
    before = np.clip((cut - start) / where.time.stride, 0.0, 1.0)
    heat = np.maximum(values, 0.0).sum((1, 2))
    total = float(heat.sum())
    if not total:
        return math.nan
    return float((heat * (1 - before if after else before)).sum() / total)
