"""Change the clip, and see what the score does: no gradients, nothing of the network but its logits.

What is removed is replaced by what :func:`blurred` leaves of it, never by black, which is evidence of its own. Every changed clip
is computed once, whatever the number of targets: twenty classes cost hardly more than one. A few changed clips are computed at
once (``chunk``), which bounds the memory and decides nothing. Whatever is drawn comes from a seed and is the same for every clip.

In the formulas S is the score (a logit, or a difference of two, never a probability) and x the clip. A positive value speaks for
the target: without what is there, the score is lower. The values are in the logit's unit, but they are no shares of it: of two
things that do the same job, either can be removed without a loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vidcam.engine.base import Clips, Float32Array, to_numpy
from vidcam.methods import pixel_blocks
from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry
from vidcam.methods.core import Attribution, Method, Target, Targets, TorchModel, register, resolve, scores_of

if TYPE_CHECKING:
    from vidcam.models.registry import ModelSpec

__all__ = [
    "BLOCKS",
    "BLUR",
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
"""Changed clips that are computed at once, as many as the engine computes otherwise."""

BLUR = 0.2
"""The standard deviation of the blur, as a share of the picture's shorter side: enough for a person's limbs to vanish."""

BLOCKS: Triple = (4, 7, 7)
"""Blocks along time, rows and columns that are occluded one by one; the cells of the masks of ``rise``."""

MOMENTS = 8
"""Time cells of ``temporal-mask``."""

MASKS = 500
"""Masks that ``rise`` draws."""

SHOWN = 0.5
"""The share of the clip that a mask shows, on average."""

VARIANCE = SHOWN * (1 - SHOWN) * (2 / 3) ** 3
"""Of a mask of ``rise`` at any pixel: that of the coarse grid, less what interpolation takes off along each of three axes."""


def blurred(clips: Tensor) -> Tensor:
    """Clips ``(..., H, W)`` blurred in space, each frame by itself; Gaussian, its standard deviation is :data:`BLUR`.

    Near the border the weights of the pixels that are there add up to 1: nothing comes in from outside.
    """
    sigma = BLUR * min(clips.shape[-2:])

    def smear(length: int) -> Tensor:
        at = torch.arange(length, dtype=torch.float64)
        weights = torch.exp(-0.5 * ((at[:, None] - at) / sigma) ** 2)
        return (weights / weights.sum(1, keepdim=True)).to(clips)

    height, width = clips.shape[-2:]
    return smear(height) @ clips @ smear(width).T


def score_each(
    explained: TorchModel, changed: Callable[[int], Tensor], count: int, targets: Sequence[Target], chunk: int
) -> Float32Array:
    """``(count, N)``: the scores of clips ``changed(0)``, ``changed(1)``, ... ``(3, T, H, W)``, of which few exist at a time."""
    found = []
    for start in range(0, count, chunk):
        some = torch.stack([changed(i) for i in range(start, min(start + chunk, count))])
        found.append(scores_of(explained.logits(some), targets))
    return np.concatenate(found)


# --- occlusion -----------------------------------------------------------------------------------------------------------------


def occlusion(explained: TorchModel, clips: Clips, targets: Targets, *, chunk: int = CHUNK) -> Attribution:
    """How much the score drops when a block of some frames and pixels is blurred: ``S(x) - S(x without the block)``.

    Zeiler & Fergus 2014, section 4.2, in space and time: :data:`BLOCKS` blocks, each twice as long, high and wide as the step to
    the next, so that they overlap by half and cover the clip. They use a grey square; here the block's own blur takes its place,
    so that no new colour appears.
    """
    inputs, logits = explained.tensor(clips), explained.logits(clips)
    chosen = resolve(targets, logits)
    grid = [min(n, most) for n, most in zip(_shape(inputs), BLOCKS, strict=True)]
    maps = []
    for clip, blur, whole in zip(inputs, blurred(inputs), scores_of(logits, chosen), strict=True):
        without = score_each(explained, partial(_occluded, clip, blur, grid), int(np.prod(grid)), chosen, chunk)
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
    """Where the blocks are."""

    def axis(length: int, most: int) -> AxisGeometry:
        count = min(length, most)
        step = length / (count + 1)
        return AxisGeometry(step - 0.5, step, count)

    return CellGeometry(*(axis(n, most) for n, most in zip((spec.frames, *spec.crop), BLOCKS, strict=True)))


# --- temporal mask -------------------------------------------------------------------------------------------------------------


def temporal_mask(explained: TorchModel, clips: Clips, targets: Targets, *, chunk: int = CHUNK) -> Attribution:
    """How much the score drops when time stands still for a moment: ``S(x) - S(x with these frames frozen)``.

    Occlusion (Zeiler & Fergus 2014, section 4.2) of :data:`MOMENTS` stretches of time, one by one: all their frames become the
    frame before (those of the first stretch the frame after). The maps are ``(B, N, T', 1, 1)``, one cell for the whole picture:
    they say when, not where. What a still picture tells is not removed, so a score that needs no motion does not drop.
    """
    inputs, logits = explained.tensor(clips), explained.logits(clips)
    chosen = resolve(targets, logits)
    frames = inputs.shape[2]
    edges = _edges(frames, min(frames, MOMENTS))
    maps = []
    for clip, whole in zip(inputs, scores_of(logits, chosen), strict=True):
        without = score_each(explained, partial(_frozen, clip, edges), len(edges) - 1, chosen, chunk)
        maps.append((whole - without).T[..., None, None])
    return Attribution(chosen, logits, (np.stack(maps),))


def _frozen(clip: Tensor, edges: Sequence[int], index: int) -> Tensor:
    start, stop = edges[index], edges[index + 1]
    still = start - 1 if start else min(stop, clip.shape[1] - 1)
    changed = clip.clone()
    changed[:, start:stop] = clip[:, still : still + 1]
    return changed


def temporal_cells(spec: ModelSpec) -> CellGeometry:
    """Where the stretches of time are; the only row and column in the middle of the picture."""

    def axis(length: int, most: int) -> AxisGeometry:
        count = min(length, most)
        return AxisGeometry((length / count - 1) / 2, length / count, count)

    h, w = spec.crop
    return CellGeometry(axis(spec.frames, MOMENTS), axis(h, 1), axis(w, 1))


def _edges(length: int, parts: int) -> list[int]:
    """The first frame or pixel of each of so many parts of an axis, all but equally long, and the axis' end."""
    return [round(i * length / parts) for i in range(parts + 1)]


# --- rise ----------------------------------------------------------------------------------------------------------------------


def rise(
    explained: TorchModel, clips: Clips, targets: Targets, *, masks: int = MASKS, chunk: int = CHUNK, seed: int = 0
) -> Attribution:
    """How much the score rises with what random masks show at a pixel: ``Cov(S(x_M), M(p)) / Var(M(p))``, for every pixel p.

    Petsiuk et al. 2018, with masks in space and time (:func:`rise_masks`) and two deviations. ``x_M = M x + (1 - M) blurred(x)``:
    what is hidden is blurred, not black. And their estimate ``mean(S M) / E(M)`` (eq. 6) is a large constant plus the wanted
    differences; here the means are subtracted, so a pixel that does not matter has expectation zero and the values have a sign.
    The sample covariance of N masks is unbiased, its standard error is about ``sd(S) / sqrt(N Var(M))``; the variance is known
    exactly.

    Were the network linear, a lone small thing would have its contribution to the score (less that of its blur) as value at its
    place, falling off over one cell of the masks. Maps are means over small blocks of pixels.
    """
    inputs, logits = explained.tensor(clips), explained.logits(clips)
    chosen = resolve(targets, logits)
    mask = rise_masks(_shape(inputs), masks, seed=seed)
    maps = []
    for clip, blur in zip(inputs, blurred(inputs), strict=True):
        scores = score_each(explained, partial(_shown, clip, blur, mask), masks, chosen, chunk)
        weights = (scores - scores.mean(0, dtype=np.float64)) / ((masks - 1) * VARIANCE)
        total = np.zeros((len(chosen), *_mean_over_blocks(mask(0)).shape), np.float32)
        for i, weight in enumerate(weights):  # one mask after the other: all together would not fit into memory
            total += weight[:, None, None, None] * to_numpy(_mean_over_blocks(mask(i)))
        maps.append(total)
    return Attribution(chosen, logits, (np.stack(maps),))


def rise_masks(shape: Triple, count: int, *, seed: int = 0) -> Callable[[int], Tensor]:
    """A function of 0, 1, ... ``count - 1``: masks ``(T, H, W) float32`` in [0, 1] for clips of ``shape``, mean :data:`SHOWN`.

    Petsiuk et al. 2018, section 3.2, along three axes: a grid of cells (:data:`BLOCKS` over the clip), each 1 with probability
    :data:`SHOWN` else 0, linearly interpolated and shifted by a random part of a cell, so that no place is special.
    """
    generator = torch.Generator().manual_seed(seed)
    cells = [min(n, most) for n, most in zip(shape, BLOCKS, strict=True)]
    coarse = (torch.rand(count, *(n + 2 for n in cells), generator=generator) < SHOWN).float()
    shifts = torch.rand(count, 3, generator=generator)

    def mask(index: int) -> Tensor:
        values = coarse[index]
        for axis, (length, n) in enumerate(zip(shape, cells, strict=True)):
            at = torch.arange(length) * (n / length) + shifts[index, axis]
            hats = (1 - (at[:, None] - torch.arange(n + 2)).abs()).clamp(min=0)
            values = torch.tensordot(hats, values, dims=([1], [axis])).movedim(0, axis)
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


register(
    Method(
        name="occlusion",
        title="Occlusion by space-time blocks",
        paper="Zeiler & Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014, https://arxiv.org/abs/1311.2901",
        requires=frozenset(),
        signed=True,
        complete=False,
        cost=f"{int(np.prod(BLOCKS)) + 1} forward passes, any number of classes",
        explain=occlusion,
        family="perturbation",
        cells=occlusion_cells,
    )
)
register(
    Method(
        name="temporal-mask",
        title="Frozen moments (when, not where)",
        paper="Zeiler & Fergus, ECCV 2014, applied to moments that stand still, https://arxiv.org/abs/1311.2901",
        requires=frozenset(),
        signed=True,
        complete=False,
        cost=f"{MOMENTS + 1} forward passes, any number of classes",
        explain=temporal_mask,
        family="perturbation",
        cells=temporal_cells,
    )
)
register(
    Method(
        name="rise",
        title="RISE with video masks",
        paper="Petsiuk et al., RISE, BMVC 2018, https://arxiv.org/abs/1806.07421",
        requires=frozenset(),
        signed=True,
        complete=False,
        cost=f"{MASKS + 1} forward passes, any number of classes",
        explain=rise,
        family="perturbation",
        cells=pixel_blocks.cells,
        random=True,
    )
)
