"""The cells of a layer: its output, laid out in one of several ways, as ``(B, C, T', h, w)``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from vidcam.errors import UsageError

if TYPE_CHECKING:
    from vidcam.models.spec import ModelSpec

__all__ = ["cells_of"]


def cells_of(output: Tensor, spec: ModelSpec, clips: int) -> Tensor:
    """Return the output of the layer as ``(B, C, T', h, w)``.

    Raise UsageError if its shape does not fit the layout.
    """
    shape, layer, grid = tuple(output.shape), spec.target_layer, spec.grid
    if spec.layout in ("tokens", "folded-tokens"):
        if grid is None:
            raise UsageError(f"layer {layer!r} gives tokens, so it needs a grid (T', h, w)")
        return _cells_of_tokens(output, spec, grid, clips)
    if spec.layout == "folded":
        if output.ndim != 4 or 0 in shape or shape[0] % clips:
            raise UsageError(f"layer {layer!r} should give (clips * T', channels, h, w), but it gives {shape} for {clips} clips")
        return output.reshape(clips, -1, *shape[1:]).movedim(1, 2)
    if output.ndim != 5 or 0 in shape:
        expected = "(clips, channels, T', h, w)" if spec.layout == "channels-first" else "(clips, T', h, w, channels)"
        raise UsageError(f"layer {layer!r} should give {expected}, but it gives {shape}: choose a layer of the 3-D trunk")
    return output if spec.layout == "channels-first" else output.permute(0, 4, 1, 2, 3)


def _cells_of_tokens(output: Tensor, spec: ModelSpec, grid: tuple[int, int, int], clips: int) -> Tensor:
    """Return tokens as ``(B, C, T', h, w)``, a view of them."""
    shape, first = tuple(output.shape), spec.class_tokens
    sides = [grid["thw".index(axis)] for axis in spec.order]
    folds = [sides[:n] for n in ((1, 2) if spec.layout == "folded-tokens" else (0,))]  # the axes that are folded into the batch
    expected = [(clips * math.prod(fold), first + math.prod(sides[len(fold) :])) for fold in folds]
    if output.ndim != 3 or shape[:2] not in expected:
        cells = " or ".join(
            f"({' * '.join(('clips', *map(str, fold)))}, {first} + {'*'.join(map(str, sides[len(fold) :]))} tokens, channels)"
            for fold in folds
        )
        raise UsageError(
            f"layer {spec.target_layer!r} should give {cells} for the grid {grid}, but it gives {shape}: choose another layer, "
            "or correct the grid"
        )
    by_order = output[:, first:].reshape(clips, *sides, shape[2])
    return by_order.permute(0, 4, *(1 + spec.order.index(axis) for axis in "thw"))
