"""CAMs without gradients: how much a channel of the explained layer matters is seen by showing or by removing it.

Like the other CAMs, maps are sums of the layer's activations, each channel with a weight for each target; only where the weights
come from differs. Both papers end with a ReLU over the map. As in :mod:`vidcam.methods.gradient_cam`, negative values stay: they
speak against the target. Each pathway is explained by itself.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from vidcam.engine.base import Clips, Float32Array, to_numpy
from vidcam.engine.hooks import capture, logits_after
from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry, hats
from vidcam.methods.core import Attribution, Method, Targets, TorchModel, register, resolve, scores_of
from vidcam.methods.perturbation import CHUNK, blurred, score_each
from vidcam.methods.probe import placements

__all__ = ["CHANNELS", "COPIED", "ablationcam", "scorecam", "upsampled"]

CHANNELS = 64
"""Channels of each pathway that ``scorecam`` looks at."""

COPIED = 2**25
"""Numbers (128 MB) that the copies of a layer's output may take which ``ablationcam`` lets through the head at once."""


def scorecam(
    explained: TorchModel, clips: Clips, targets: Targets, *, channels: int = CHANNELS, chunk: int = CHUNK
) -> Attribution:
    """``sum_k alpha_k A_k`` with ``alpha_k = S(x seen through A_k) - S(nothing but the blur)``, the rise of the score.

    Wang et al. 2020, eqs. 5 to 8. "Through" ``A_k``: the channel, scaled to [0, 1], is spread over the clip from where its cells
    really are (:func:`upsampled`), and the clip is shown where it is 1 and blurred where it is 0; the paper has black there.
    ``S`` is the logit and ``alpha_k`` that rise itself, as in eq. 7; the softmax over the channels that the paper's algorithm
    adds would make all weights positive, and of logits nearly all of them zero.

    Only the :data:`CHANNELS` channels with the most energy (the sum of the squares of ``A_k``) are looked at.
    """
    where = placements(explained)
    inputs, seen = explained.tensor(clips), explained.see(clips)
    chosen = resolve(targets, seen.logits)
    blurs = blurred(inputs)
    nothing = score_each(explained, blurs.__getitem__, len(blurs), chosen, chunk)
    maps = []
    for features, place in zip(seen.features, where, strict=True):
        found = []
        for clip, blur, every, none in zip(inputs, blurs, torch.from_numpy(features), nothing, strict=True):
            strongest = every[every.square().sum((1, 2, 3)).topk(min(channels, len(every))).indices]
            through = partial(_through, clip, blur, _unit(strongest), place)
            alpha = score_each(explained, through, len(strongest), chosen, chunk) - none
            found.append(np.einsum("kn,kthw->nthw", alpha, to_numpy(strongest)))
        maps.append(np.stack(found))
    return Attribution(chosen, seen.logits, tuple(maps))


def _unit(channels: Tensor) -> Tensor:
    """Each channel ``(C, T', h, w)`` scaled to [0, 1]; one that is the same everywhere shows nothing: 0."""
    low, high = channels.amin((1, 2, 3), keepdim=True), channels.amax((1, 2, 3), keepdim=True)
    return torch.where(high > low, (channels - low) / (high - low), 0)


def _through(clip: Tensor, blur: Tensor, masks: Tensor, place: CellGeometry, index: int) -> Tensor:
    t, h, w = clip.shape[1:]
    return blur + upsampled(masks[index], place, (t, h, w)).to(clip) * (clip - blur)


def upsampled(values: Tensor, place: CellGeometry, shape: tuple[int, int, int]) -> Tensor:
    """A layer's map ``(T', h, w)`` at every pixel of a clip ``(T, H, W)``: interpolated linearly, held beyond the outer cells.

    A map of another size than the placement's follows the same law.
    """
    for dim, (axis, length, count) in enumerate(zip((place.time, place.y, place.x), shape, values.shape, strict=True)):
        weights = hats(AxisGeometry(axis.offset, axis.stride, count).centres(), np.arange(length, dtype=np.float64))
        values = torch.tensordot(torch.from_numpy(weights).to(values), values, dims=([1], [dim])).movedim(0, dim)
    return values


def ablationcam(explained: TorchModel, clips: Clips, targets: Targets, *, chunk: int | None = None) -> Attribution:
    """``sum_k alpha_k A_k`` with ``alpha_k = S - S(A_k = 0)``, the drop of the score when a channel of the layer is zeroed.

    Desai & Ramaswamy 2020, eqs. 1 and 2, but for the division by S: it would turn the map's sign where a logit is negative, and a
    difference of two logits may be zero. It is one number for the whole map. Only what follows the layer is computed anew for
    each channel. With a class token, only the patches' values are zeroed. At a head that is linear, ``alpha_k`` is the channel's
    share in the score, so the map is that of ``gradcam`` with every channel's weight times its sum over the cells.

    ``chunk`` channels are zeroed at once, each in a copy of its own; by default as many as :data:`COPIED` allows.
    """
    inputs = explained.tensor(clips)
    with capture(explained) as run:
        seen = run(inputs)
    logits = to_numpy(seen.logits)
    maps: list[list[Float32Array]] = [[] for _ in seen.features]
    chosen = resolve(targets, logits)
    for b, score in enumerate(scores_of(logits, chosen)):
        at_once = chunk or max(1, COPIED // sum(features[b].numel() for features in seen.features))
        for pathway, features in enumerate(seen.features):
            without = []
            for start in range(0, features.shape[1], at_once):
                ablated = range(start, min(start + at_once, features.shape[1]))
                left = logits_after(explained, inputs[b : b + 1], len(ablated), partial(_zero, pathway, ablated))
                without.append(scores_of(to_numpy(left), chosen))
            maps[pathway].append(np.einsum("kn,kthw->nthw", score - np.concatenate(without), to_numpy(features[b])))
    return Attribution(chosen, logits, tuple(np.stack(found) for found in maps))


def _zero(pathway: int, channels: range, copies: tuple[Tensor, ...]) -> None:
    """In each of the copies another channel."""
    for copy, channel in zip(copies[pathway], channels, strict=True):
        copy[channel] = 0


register(
    Method(
        name="scorecam",
        title="Score-CAM",
        paper="Wang et al., Score-CAM, CVPR workshops 2020, https://arxiv.org/abs/1910.01279",
        requires=frozenset({"features"}),
        signed=True,
        complete=False,
        cost=f"{CHANNELS + 2} forward passes (for each pathway), any number of classes",
        explain=scorecam,
        family="perturbation",
    )
)
register(
    Method(
        name="ablationcam",
        title="Ablation-CAM",
        paper="Desai & Ramaswamy, Ablation-CAM, WACV 2020, https://doi.org/10.1109/WACV45572.2020.9093360",
        requires=frozenset({"features"}),
        signed=True,
        complete=False,
        cost="a pass through the head for each channel, and a forward pass for each dozens of them; any number of classes",
        explain=ablationcam,
        family="perturbation",
    )
)
