"""Methods that need the features only: CAM in closed form, and the first principal component."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from vidcam.errors import IncompatibleError
from vidcam.explainers.core import Attribution, Explained, Method, Target, Targets, register, resolve
from vidcam.explainers.hooks import capture
from vidcam.models.registry import Head

__all__ = ["cam", "effective_rows", "eigencam", "principal_component"]


def cam(explained: Explained, clips: Tensor, targets: Targets) -> Attribution:
    """The exact share of every cell in the score, for any number of targets, from one forward pass without gradients.

    Zhou et al. 2016, eq. 2, divided by the number n of cells, so that the unit is the logit's. With the features ``A_i`` (C)
    of cell i and the target's row ``w`` (C) of the linear head::

        M_i = w . A_i / n,    sum over i of M_i = score - bias

    A head of several linear layers with gates ``clip(0, ceiling)`` is linear once the gates of this clip are known: ``w`` is
    then the product of the layers without the closed units; a unit at its ceiling is a constant and counts as bias. Several
    pathways are pooled each over their own cells and concatenated, so each takes its own columns of ``w``, and the sum runs
    over all their maps.

    Maps are ``(B, N, T', h, w) float32``, signed; ``totals`` are the network's scores less the bias. Raises IncompatibleError
    where the head is not what the model's row says, that is where the maps do not sum to the totals.
    """
    head = cast("Head", explained.spec.head)  # core.check has seen to it
    linears = [_linear(explained.module, name) for name in head.linears]
    with capture(explained) as run:
        seen = run(clips)
    chosen = resolve(targets, seen.logits)
    pooled = torch.cat([a.mean((2, 3, 4)) for a in seen.features], dim=1)
    if pooled.shape[1] != linears[0][0].shape[1]:
        raise IncompatibleError(
            f"layer {explained.layer!r} of model {explained.spec.name!r} has {pooled.shape[1]} channels, but its head takes "
            f"{linears[0][0].shape[1]}: 'cam' works only at the layer that the head pools; take that layer, or 'hirescam'"
        )
    rows, bias = effective_rows(linears, pooled, chosen, head.ceiling)
    blocks = torch.split(rows, [a.shape[1] for a in seen.features], dim=2)
    maps = [
        (block @ a.flatten(2)).view(*block.shape[:2], *a.shape[2:]) / math.prod(a.shape[2:])
        for block, a in zip(blocks, seen.features, strict=True)
    ]
    totals = torch.stack([target(seen.logits) for target in chosen], dim=1) - bias
    _verify(explained, maps, totals)
    return Attribution(chosen, seen.logits, tuple(maps), totals)


def effective_rows(
    linears: Sequence[tuple[Tensor, Tensor]], pooled: Tensor, targets: Sequence[Target], ceiling: float
) -> tuple[Tensor, Tensor]:
    """The head as it acts on each clip: ``rows (B, N, C)`` and ``bias (B, N)`` with ``score = rows @ pooled + bias``.

    ``linears`` are (weight (out, in), bias (out)) from first to last, ``pooled`` is ``(B, C)``.
    """
    gates = []  # for each layer but the last: which units are open, and what the saturated ones give
    hidden = pooled
    for weight, bias in linears[:-1]:
        z = hidden @ weight.T + bias
        gates.append(((z > 0) & (z < ceiling), torch.where(z >= ceiling, z.new_full((), ceiling), z.new_zeros(()))))
        hidden = z.clamp(0, ceiling)
    weight, bias = linears[-1]
    rows = torch.stack([t.of_rows(weight) for t in targets]).expand(len(pooled), -1, -1)
    total = torch.stack([t.of_rows(bias[:, None])[0] for t in targets]).expand(len(pooled), -1)
    for (weight, bias), (is_open, saturated) in zip(reversed(linears[:-1]), reversed(gates), strict=True):
        total = total + (rows * (is_open * bias + saturated)[:, None]).sum(-1)
        rows = (rows * is_open[:, None]) @ weight
    return rows, total


def _linear(module: nn.Module, name: str) -> tuple[Tensor, Tensor]:
    """(weight (out, in), bias (out)) float32 of an ``nn.Linear`` or a pointwise convolution."""
    layer = module.get_submodule(name)
    weight = getattr(layer, "weight", None)
    if not isinstance(layer, nn.Linear | nn.Conv3d) or weight is None or weight[0, 0].numel() != 1:
        raise IncompatibleError(f"'cam' needs {name!r} to be a linear layer or a convolution with kernel 1, but it is {layer}")
    weight = weight.detach().float().flatten(1)
    return weight, weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach().float()


def _verify(explained: Explained, maps: Sequence[Tensor], totals: Tensor) -> None:
    """Refuse maps that do not sum to the totals. A head with a step that its row does not mention is off by far more."""
    found = torch.stack([m.sum((2, 3, 4)) for m in maps]).sum(0)
    size = torch.stack([m.abs().sum((2, 3, 4)) for m in maps]).sum(0)
    half = next(explained.module.parameters()).dtype in (torch.float16, torch.bfloat16)
    if (abs(found - totals) > (5e-2 if half else 1e-3) * (size + totals.abs()) + 1e-6).any():
        raise IncompatibleError(
            f"the head of model {explained.spec.name!r} is not global average pooling and the linear layers "
            f"{', '.join(explained.spec.head.linears)} at layer {explained.layer!r}, so 'cam' would not add up to the logit; "  # type: ignore[union-attr]
            "use 'hirescam'"
        )


def eigencam(explained: Explained, clips: Tensor, targets: Targets) -> Attribution:
    """What the features of a clip mostly show, whatever the class: every target gets the same map.

    Muhammad & Yeasin 2020: the projection ``A v1`` of the features on their first right singular vector, here over all cells in
    space and time, for each pathway by itself. See :func:`principal_component`.
    """
    with capture(explained) as run:
        seen = run(clips)
    chosen = resolve(targets, seen.logits)
    maps = []
    for a in seen.features:
        one = torch.stack([principal_component(clip) for clip in a])
        maps.append(one[:, None].expand(-1, len(chosen), -1, -1, -1))
    return Attribution(chosen, seen.logits, tuple(maps))


def principal_component(features: Tensor) -> Tensor:
    """``(T', h, w) float32 >= 0``: features ``(C, T', h, w)`` projected on their first singular vector, in their own unit.

    Not centred, as in the paper: the vector is then the direction of the strongest activation and not of the largest
    difference, and after a ReLU the map is non-negative as it stands. A singular vector has no sign, so that one is taken whose
    map has the larger sum; what is negative then (only with signed features) points the other way and, having no class, is no
    evidence against one: it is cut to 0.
    """
    # In double precision on the CPU: not every device has either this precision or this decomposition.
    x = features.detach().flatten(1).cpu().double()
    if x.shape[0] <= x.shape[1]:  # the smaller of the two Gram matrices
        projection = torch.linalg.eigh(x @ x.T).eigenvectors[:, -1] @ x
    else:
        values, vectors = torch.linalg.eigh(x.T @ x)
        projection = vectors[:, -1] * values[-1].clamp(min=0).sqrt()
    if projection.sum() < 0:
        projection = -projection
    found: Tensor = projection.clamp(min=0).reshape(features.shape[1:])
    return found.float().to(features.device)


register(
    Method(
        name="cam",
        title="CAM in closed form",
        paper="Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016, https://arxiv.org/abs/1512.04150",
        requires=frozenset({"linear-head"}),
        signed=True,
        complete=True,
        cost="one forward pass, any number of classes",
        explain=cam,
        family="cam",
    )
)
register(
    Method(
        name="eigencam",
        title="Eigen-CAM (class independent)",
        paper="Muhammad & Yeasin, Eigen-CAM, IJCNN 2020, https://arxiv.org/abs/2008.00299",
        requires=frozenset({"features"}),
        signed=False,
        complete=False,
        cost="one forward pass and an eigenvalue problem",
        explain=eigencam,
        family="cam",
    )
)
