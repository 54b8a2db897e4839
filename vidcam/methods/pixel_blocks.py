"""Methods that give every pixel a value: maps are sums over small blocks of pixels, so sums stay exact and maps small."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry

if TYPE_CHECKING:
    from vidcam.models.registry import ModelSpec

__all__ = ["block", "cells", "over_blocks"]


def block(height: int, width: int) -> int:
    """The side of a block: 4 pixels, or 2 or 1 where that does not divide the clip."""
    return next(side for side in (4, 2, 1) if height % side == 0 and width % side == 0)


def cells(spec: ModelSpec) -> CellGeometry:
    """Where the blocks of a model's clips are: one row of them for each frame."""
    h, w = spec.crop
    side = block(h, w)
    y, x = (AxisGeometry((side - 1) / 2, float(side), n // side) for n in (h, w))
    return CellGeometry(AxisGeometry(0.0, 1.0, spec.frames), y, x)


def over_blocks(relevance: Tensor) -> Tensor:
    """``(..., T, H, W)`` relevance of pixels, summed over blocks: ``(..., T, H/side, W/side)``."""
    *lead, h, w = relevance.shape
    side = block(h, w)
    return relevance.reshape(*lead, h // side, side, w // side, side).sum((-3, -1))
