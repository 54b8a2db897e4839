"""Small blocks of pixels: methods with a value for every pixel return sums over blocks, which are exact and small."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry

if TYPE_CHECKING:
    from vidcam.models.spec import ModelSpec

__all__ = ["block", "cells", "over_blocks"]


def block(height: int, width: int) -> int:
    """Return the side of a block: 4 pixels, or 2 or 1 if that does not divide the picture."""
    return next(side for side in (4, 2, 1) if height % side == 0 and width % side == 0)


def cells(spec: ModelSpec) -> CellGeometry:
    """Return where the blocks of a model's clips are: one layer of them for each frame."""
    h, w = spec.crop
    side = block(h, w)
    y, x = (AxisGeometry((side - 1) / 2, float(side), n // side) for n in (h, w))
    return CellGeometry(AxisGeometry(0.0, 1.0, spec.num_frames), y, x)


def over_blocks(relevance: Tensor) -> Tensor:
    """Return the relevance of pixels ``(..., T, H, W)`` summed over blocks: ``(..., T, H/side, W/side)``."""
    *lead, h, w = relevance.shape
    side = block(h, w)
    return relevance.reshape(*lead, h // side, side, w // side, side).sum((-3, -1))
