"""How the output of a layer is laid out: its layout, its grid of cells, and the order of its tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from vidcam.errors import UsageError
from vidcam.models.spec import ORDERS, Layout, ModelSpec
from vidcam.models.trial_run import TOLERANCE, first_tensor, random_clips, run_once

__all__ = ["check_folding", "measure_token_order", "pool", "read_layout"]


def measure_token_order(module: nn.Module, spec: ModelSpec) -> str:
    """Measure in which order the tokens of the target layer run over time, rows and columns.

    Noise in the last frames, the lowest rows and the rightmost columns of a clip changes the tokens that see them most. In the
    right order these are the last ones along time, rows and columns, respectively.

    Returns:
        One of :data:`~vidcam.models.spec.ORDERS`.

    Raises:
        UsageError: No order is clearly the best, as in a network that mixes all tokens evenly.
    """
    assert spec.grid is not None
    clip = random_clips(spec.num_frames, spec.crop)[:1]
    clips = [clip]
    for axis, count in enumerate(spec.grid, start=2):
        changed = clip.clone()
        last = changed.narrow(axis, clip.shape[axis] - (length := max(1, clip.shape[axis] // count)), length)
        last += torch.randn(last.shape, generator=torch.Generator().manual_seed(axis))
        clips.append(changed)
    outputs: list[Tensor] = []
    run_once(module, torch.cat(clips), {spec.target_layer: lambda output: outputs.append(first_tensor(output).detach().clone())})
    tokens = outputs[0][:, spec.class_tokens :].double()
    moved = (tokens[1:] - tokens[:1]).norm(dim=2)  # (3 probes, tokens)
    scores = {}
    for order in ORDERS:
        sides = [spec.grid["thw".index(axis)] for axis in order]
        cells = moved.reshape(3, *sides).permute(0, *(1 + order.index(axis) for axis in "thw"))
        last = torch.stack([cells[i].select(i, -1).mean() / cells[i].mean().clamp(min=1e-30) for i in range(3)])
        scores[order] = float(last.prod())
    best = max(scores, key=lambda order: scores[order])
    same = [order for order in ORDERS if _same_cells(spec.grid, order, best)]
    others = max((score for order, score in scores.items() if order not in same), default=0.0)
    if scores[best] < CLEAR * others:
        raise UsageError(
            f"layer {spec.target_layer!r} of {spec.name} gives tokens, and their order over time, rows and columns cannot be "
            f"told from what they look at: state it as the fact order, one of {', '.join(ORDERS)} (the last letter runs fastest)"
        )
    return same[0]


CLEAR = 1.2
"""The factor by which the best order of tokens must score above any other."""


def _same_cells(grid: tuple[int, int, int], one: str, other: str) -> bool:
    """Return whether two orders give the same arrangement: they differ by axes of a single cell only."""
    long = [axis for axis, cells in zip("thw", grid, strict=True) if cells > 1]
    return [axis for axis in one if axis in long] == [axis for axis in other if axis in long]


def check_folding(module: nn.Module, spec: ModelSpec, layer: str, folded: Tensor) -> None:
    """Check that frames are folded clip by clip.

    The first half of the output must be that of the first of two clips.

    Raises:
        UsageError: It is not.
    """
    outputs: list[Tensor] = []
    run_once(
        module,
        random_clips(spec.num_frames, spec.crop)[:1],
        {layer: lambda output: outputs.append(first_tensor(output).detach().clone())},
    )
    alone = outputs[0]
    if len(alone) * 2 != len(folded) or (alone - folded[: len(alone)]).abs().max() > TOLERANCE * alone.abs().max():
        raise UsageError(
            f"layer {layer!r} of {spec.name} gives {list(folded.shape)}, whose first half is not what the first clip "
            "alone gives: its frames are not folded clip by clip, so they cannot be told apart"
        )


def read_layout(layer: str, spec: ModelSpec, shapes: Sequence[tuple[int, ...]]) -> tuple[Layout, list[tuple[int, int, int]]]:
    """Return the layout and the grids ``(T', h, w)`` of maps of these shapes.

    The layout of ``spec`` is tried first.

    Raises:
        UsageError: No layout gives several cells with the proportions of the crop.
    """
    for layout in _layouts(spec.layout):
        grids = [_grid(shape, layout, spec) for shape in shapes]
        # A single cell shows nothing. In a layout that is not stated it must be a picture: (C,1,1) could pass for C time cells.
        fitting = [grid for grid in grids if grid and math.prod(grid if layout == spec.layout else grid[1:]) > 1]
        if len(fitting) == len(shapes):
            return layout, fitting
    raise UsageError(
        f"layer {layer!r} of {spec.name} gives {' and '.join(str(list(shape)) for shape in shapes)}, which is no map of several "
        "cells: name one whose output is (B,C,T,h,w), (B,T,h,w,C), (B*T,C,h,w), or (B,1+T*h*w,C) with a known grid"
    )


def _layouts(first: Layout) -> Iterator[Layout]:
    """Yield every layout, ``first`` first."""
    yield first
    others: tuple[Layout, ...] = ("channels-first", "channels-last", "tokens", "folded")
    yield from (layout for layout in others if layout != first)


def _grid(shape: tuple[int, ...], layout: Layout, spec: ModelSpec) -> tuple[int, int, int] | None:
    """Return ``(T', h, w)`` of an output; None if it cannot have this layout."""
    if layout == "tokens":
        # Only rows and columns may differ from the stated grid, because pooling attention keeps the time cells.
        if len(shape) != 3 or spec.grid is None or (shape[1] - spec.class_tokens) % spec.grid[0]:
            return None
        cells = (shape[1] - spec.class_tokens) // spec.grid[0]
        grids = [(spec.grid[0], h, cells // h) for h in range(1, cells + 1) if cells % h == 0]
        return next((grid for grid in grids if _has_proportions(grid, spec.crop)), None)
    if layout == "folded-tokens":  # stated, never found
        cells = shape[0] * (shape[1] - spec.class_tokens) if len(shape) == 3 else 0
        return spec.grid if spec.grid is not None and cells == 2 * math.prod(spec.grid) else None  # two clips
    if layout == "folded":
        t, h, w = (shape[0] // 2, *shape[2:]) if len(shape) == 4 and shape[0] % 2 == 0 else (0, 0, 0)  # two clips
        return (t, h, w) if t and _has_proportions((t, h, w), spec.crop) else None
    if len(shape) != 5:
        return None
    t, h, w = shape[2:] if layout == "channels-first" else shape[1:4]
    return (t, h, w) if _has_proportions((t, h, w), spec.crop) else None


def _has_proportions(grid: tuple[int, int, int], crop: tuple[int, int]) -> bool:
    """Return whether the cells have the proportions of the crop, to less than one cell."""
    _, h, w = grid
    return abs(h - w * crop[0] / crop[1]) < 1 or abs(w - h * crop[1] / crop[0]) < 1


def pool(output: Tensor, layout: Layout, *, class_tokens: int = 1) -> Tensor:
    """Return the average over the cells of the output for two clips, ``(2,C)``."""
    if "tokens" in layout:
        return output[:, class_tokens:].mean(dim=1).reshape(2, -1, output.shape[2]).mean(dim=1)
    if layout == "folded":
        return output.mean(dim=(2, 3)).reshape(2, -1, output.shape[1]).mean(dim=1)
    return output.mean(dim=(2, 3, 4) if layout == "channels-first" else (1, 2, 3))
