"""Perturbation methods: change the clip and observe the score; they need only the network's logits.

Removed pixels are replaced by their blur (:func:`blurred`), never by black, which is evidence of its own. Every changed clip is
computed once for all targets: twenty classes cost hardly more than one. ``chunk`` changed clips are computed at once, which
bounds the memory and does not change the result. Random numbers come from a seed and are the same for every clip.

In the formulas S is the score (a logit, or a difference of two, never a probability) and x the clip. A positive value is evidence
for the target: without what is there, the score is lower. The values are in the logit's unit, but they are not shares of it: of
two things that do the same job, either can be removed without a loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vidcam.engine.base import Clips, Float32Array, to_numpy
from vidcam.interpolation import weight_matrix
from vidcam.methods import pixel_blocks
from vidcam.methods.blur import blur_weights
from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry
from vidcam.methods.core import Attribution, Target, Targets, TorchModel, resolve, scores_of

if TYPE_CHECKING:
    from vidcam.models.spec import ModelSpec

__all__ = [
    "BLOCKS",
    "CHUNK",
    "MASKS",
    "MOMENTS",
    "blurred",
    "occlusion",
    "rise",
    "rise_masks",
    "score_each",
    "temporal_mask",
]

Triple = tuple[int, int, int]

CHUNK = 4
"""Changed clips that are computed at once, as many as the engine's default."""

BLOCKS: Triple = (4, 7, 7)
"""Blocks along time, rows and columns that ``occlusion`` removes one by one; also the cells of the masks of ``rise``."""

MOMENTS = 8
"""Time cells of ``temporal-mask``."""

MASKS = 500
"""Masks that ``rise`` draws."""

SHOWN = 0.5
"""The share of the clip that a mask shows, on average."""

VARIANCE = SHOWN * (1 - SHOWN) * (2 / 3) ** 3
"""The variance of a mask of ``rise`` at any pixel: that of the coarse grid, reduced by interpolation along three axes."""


def blurred(clips: Tensor) -> Tensor:
    """Return clips ``(..., H, W)`` blurred in space, each frame by itself (:mod:`vidcam.methods.blur`)."""
    rows, columns = (torch.from_numpy(weights).to(clips) for weights in blur_weights(*clips.shape[-2:]))
    return rows @ clips @ columns.T


def score_each(
    model: TorchModel, changed: Callable[[int], Tensor], count: int, targets: Sequence[Target], chunk: int
) -> Float32Array:
    """Return the scores ``(count, N)`` of clips ``changed(0)``, ``changed(1)``, ... ``(3, T, H, W)``; few exist at a time."""
    scores = []
    for start in range(0, count, chunk):
        some = torch.stack([changed(i) for i in range(start, min(start + chunk, count))])
        scores.append(scores_of(model.logits(some), targets))
    return np.concatenate(scores)


# --- occlusion -----------------------------------------------------------------------------------------------------------------


def occlusion(model: TorchModel, clips: Clips, targets: Targets, *, chunk: int = CHUNK) -> Attribution:
    """Return how much the score drops when a block of frames and pixels is blurred: ``S(x) - S(x without the block)``.

    Zeiler & Fergus 2014, section 4.2, in space and time: :data:`BLOCKS` blocks, each twice as long, high and wide as the step to
    the next, so that they overlap by half and cover the clip. The paper uses a grey square; here it is the block's own blur, so
    that no new colour appears.
    """
    inputs, logits = model.tensor(clips), model.logits(clips)
    chosen = resolve(targets, logits)
    grid = [min(n, most) for n, most in zip(_shape(inputs), BLOCKS, strict=True)]
    maps = []
    for clip, blur, whole in zip(inputs, blurred(inputs), scores_of(logits, chosen), strict=True):
        without = score_each(model, partial(_occluded, clip, blur, grid), int(np.prod(grid)), chosen, chunk)
        maps.append((whole - without).T.reshape(-1, *grid))
    return Attribution(chosen, logits, (np.stack(maps),))


def _occluded(clip: Tensor, blur: Tensor, grid: Sequence[int], index: int) -> Tensor:
    where = np.unravel_index(index, grid)
    edges = [_edges(length, count + 1) for length, count in zip(clip.shape[1:], grid, strict=True)]
    block = (slice(None), *(slice(e[i], e[i + 2]) for e, i in zip(edges, where, strict=True)))
    changed = clip.clone()
    changed[block] = blur[block]
    return changed


def occlusion_cells(spec: ModelSpec) -> CellGeometry:
    """Return where the blocks are."""

    def axis(length: int, most: int) -> AxisGeometry:
        count = min(length, most)
        step = length / (count + 1)
        return AxisGeometry(step - 0.5, step, count)

    return CellGeometry(*(axis(n, most) for n, most in zip((spec.num_frames, *spec.crop), BLOCKS, strict=True)))


# --- temporal mask -------------------------------------------------------------------------------------------------------------


def temporal_mask(model: TorchModel, clips: Clips, targets: Targets, *, chunk: int = CHUNK) -> Attribution:
    """Return how much the score drops when time stands still for a moment: ``S(x) - S(x with these frames frozen)``.

    This is the occlusion of Zeiler & Fergus 2014, section 4.2, of :data:`MOMENTS` stretches of time: all their frames become the
    frame before (those of the first stretch the frame after). The maps are ``(B, N, T', 1, 1)``, one cell for the whole picture:
    they say when, not where. A still picture is not removed, so a score that needs no motion does not drop.
    """
    inputs, logits = model.tensor(clips), model.logits(clips)
    chosen = resolve(targets, logits)
    frames = inputs.shape[2]
    edges = _edges(frames, min(frames, MOMENTS))
    maps = []
    for clip, whole in zip(inputs, scores_of(logits, chosen), strict=True):
        without = score_each(model, partial(_frozen, clip, edges), len(edges) - 1, chosen, chunk)
        maps.append((whole - without).T[..., None, None])
    return Attribution(chosen, logits, (np.stack(maps),))


def _frozen(clip: Tensor, edges: Sequence[int], index: int) -> Tensor:
    start, stop = edges[index], edges[index + 1]
    still = start - 1 if start else min(stop, clip.shape[1] - 1)
    changed = clip.clone()
    changed[:, start:stop] = clip[:, still : still + 1]
    return changed


def temporal_cells(spec: ModelSpec) -> CellGeometry:
    """Return where the stretches of time are; the only row and column is in the middle of the picture."""

    def axis(length: int, most: int) -> AxisGeometry:
        count = min(length, most)
        return AxisGeometry((length / count - 1) / 2, length / count, count)

    h, w = spec.crop
    return CellGeometry(axis(spec.num_frames, MOMENTS), axis(h, 1), axis(w, 1))


def _edges(length: int, parts: int) -> list[int]:
    """Return the first frame or pixel of each of ``parts`` nearly equal parts of an axis, and the axis' end."""
    return [round(i * length / parts) for i in range(parts + 1)]


# --- rise ----------------------------------------------------------------------------------------------------------------------


def rise(
    model: TorchModel, clips: Clips, targets: Targets, *, masks: int = MASKS, chunk: int = CHUNK, seed: int = 0
) -> Attribution:
    """Return how much the score rises if masks show a pixel p: ``Cov(S(x_M), M(p)) / Var(M(p))`` over random masks M.

    Petsiuk et al. 2018, with masks in space and time (:func:`rise_masks`) and two deviations. ``x_M = M x + (1 - M) blurred(x)``:
    hidden pixels are blurred, not black. And the paper's estimate ``mean(S M) / E(M)`` (eq. 6) is a large constant plus the
    differences of interest; here the means are subtracted, so a pixel that does not matter has expectation zero and the values
    have a sign. The sample covariance of N masks is unbiased, its standard error is about ``sd(S) / sqrt(N Var(M))``; the
    variance is known exactly.

    If the network were linear, an isolated small thing would have its contribution to the score (less that of its blur) as value
    at its place, falling off over one cell of the masks. Maps are means over small blocks of pixels.
    """
    inputs, logits = model.tensor(clips), model.logits(clips)
    chosen = resolve(targets, logits)
    mask = rise_masks(_shape(inputs), masks, seed=seed)
    maps = []
    for clip, blur in zip(inputs, blurred(inputs), strict=True):
        scores = score_each(model, partial(_shown, clip, blur, mask), masks, chosen, chunk)
        weights = (scores - scores.mean(0, dtype=np.float64)) / ((masks - 1) * VARIANCE)
        total = np.zeros((len(chosen), *_mean_over_blocks(mask(0)).shape), np.float32)
        for i, weight in enumerate(weights):  # one mask at a time, because all of them do not fit into memory
            total += weight[:, None, None, None] * to_numpy(_mean_over_blocks(mask(i)))
        maps.append(total)
    return Attribution(chosen, logits, (np.stack(maps),))


def rise_masks(shape: Triple, count: int, *, seed: int = 0) -> Callable[[int], Tensor]:
    """Return a function of 0, 1, ... ``count - 1`` that makes masks ``(T, H, W) float32`` in [0, 1] with mean :data:`SHOWN`.

    Petsiuk et al. 2018, section 3.2, along three axes: a grid of cells (:data:`BLOCKS` over the clip), each 1 with probability
    :data:`SHOWN`, else 0, linearly interpolated and shifted by a random part of a cell, so that no place is special.
    """
    generator = torch.Generator().manual_seed(seed)
    cells = [min(n, most) for n, most in zip(shape, BLOCKS, strict=True)]
    coarse = (torch.rand(count, *(n + 2 for n in cells), generator=generator) < SHOWN).float()
    shifts = torch.rand(count, 3, generator=generator)

    def mask(index: int) -> Tensor:
        values = coarse[index]
        for axis, (length, n) in enumerate(zip(shape, cells, strict=True)):
            at = torch.arange(length) * (n / length) + shifts[index, axis]
            pixels = torch.from_numpy(weight_matrix(at.numpy(), n + 2)).to(values)
            values = torch.tensordot(pixels, values, dims=([1], [axis])).movedim(0, axis)
        return values

    return mask


def _shown(clip: Tensor, blur: Tensor, mask: Callable[[int], Tensor], index: int) -> Tensor:
    return blur + mask(index).to(clip) * (clip - blur)


def _mean_over_blocks(mask: Tensor) -> Tensor:
    height, width = mask.shape[1:]
    return pixel_blocks.over_blocks(mask) / pixel_blocks.block(height, width) ** 2


def _shape(clips: Tensor) -> Triple:
    t, h, w = clips.shape[2:]
    return t, h, w
