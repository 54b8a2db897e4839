"""A test that needs no masks: two clips cut together must each have their evidence in their own part.

The labels are the model's own answers to the whole clips, so it is the explanation that is tested and not the model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vidcam.errors import UsageError
from vidcam.methods.cell_geometry import CellGeometry
from vidcam.values import FloatArray, UInt8Array

__all__ = ["Spliced", "inside", "splice"]


@dataclass(frozen=True)
class Spliced:
    """The share of the positive evidence for the first part's answer that lies before the cut, and of that for the second part's
    after it; None where nothing speaks for the answer. ``first_chance`` and ``second_chance`` are the shares of a map that is the
    same everywhere: not 0.5 where few cells do not divide the window in its middle."""

    first: float | None
    second: float | None
    first_chance: float
    second_chance: float


def splice(first: UInt8Array, second: UInt8Array) -> UInt8Array:
    """The first half of one window ``(T,H,W,3)`` and then the second half of another of the same shape."""
    if first.shape != second.shape:
        raise UsageError(f"two windows of one shape can be spliced, got {first.shape} and {second.shape}")
    half = len(first) // 2
    return np.concatenate([first[:half], second[half:]])


def inside(values: FloatArray, where: CellGeometry, frames: int, *, after: bool) -> float:
    """The share of a map's positive evidence ``(T',h,w)`` before the cut in the middle of ``frames``, or after it.

    A cell's evidence is spread over the frames that it stands for, so a cell across the cut counts by halves. NaN where nothing
    speaks for the class.
    """
    cut = frames // 2 - 0.5
    start = where.time.centres() - where.time.stride / 2
    before = np.clip((cut - start) / where.time.stride, 0.0, 1.0)
    heat = np.maximum(values, 0.0).sum((1, 2))
    total = float(heat.sum())
    if not total:
        return math.nan
    return float((heat * (1 - before if after else before)).sum() / total)
