"""Methods that need only activations and no torch: CAM in closed form, as it is or spread, and the first principal component."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from vidcam.engine.base import Clips, Float32Array, ForwardOutput, Linear, pool_cells
from vidcam.engine.network import TorchModel
from vidcam.errors import IncompatibleError
from vidcam.methods.core import Attribution, Target, Targets, resolve, scores_of
from vidcam.models.spec import Head

__all__ = [
    "SPREAD",
    "ClosedForm",
    "cam",
    "cam_spread",
    "closed_form",
    "effective_rows",
    "eigencam",
    "principal_component",
    "spread",
]

CELLS = (2, 3, 4)

SPREAD = (2.0, 1.0, 1.0)
"""By how many cells :func:`cam_spread` spreads each share (standard deviation): in time, height and width."""


def cam(model: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """Return the exact share of every cell in the score, for any number of targets, from one forward pass without gradients.

    Zhou et al. 2016, eq. 2, divided by the number n of cells, so that the unit is the logit's. With the activations ``A_i`` (C)
    of cell i and the target's row ``w`` (C) of the linear head::

        M_i = w . A_i / n,    sum over i of M_i = score - bias

    If a layer norm comes between the average and the first layer, its deviation is held at the clip's own value. All else in it
    is linear (:func:`~vidcam.engine.base.pool_cells`), so the sum is exact; only the deviation, which every cell has a part in,
    is not shared out.

    A head of several linear layers with gates ``clip(0, ceiling)`` is linear once the gates of this clip are known: ``w`` is
    then the product of the layers without the closed units; a unit at its ceiling is a constant and counts as bias. Several
    pathways are pooled each over their own cells and concatenated, so each takes its own columns of ``w``, and the sum runs
    over all their maps.

    Maps are ``(B, N, T', h, w) float32``, signed; ``totals`` are the network's scores less the bias. Raises IncompatibleError
    if the head is not what the model's row says, that is, if the maps do not sum to the totals.
    """
    output = model.forward(clips)
    chosen = resolve(targets, output.logits)
    form = closed_form(model, output, chosen)
    return Attribution(chosen, output.logits, form.maps, form.totals)


def cam_spread(model: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """Return :func:`cam` with the share of every cell spread over the region that the cell sees.

    A cell sees far more than its own place: its effective receptive field, which is about Gaussian (Luo et al. 2016, section 3).
    ``cam`` puts all of its share at the centre. Here every cell shares it out by a Gaussian of :data:`SPREAD` cells::

        M'_i = sum over j of G_ij M_j,    sum over i of G_ij = 1

    Nothing leaves the clip, so these maps sum to the score less the bias too. Maps and totals are as those of ``cam``.
    """
    exact = cam(model, clips, targets)
    return replace(exact, maps=tuple(map(spread, exact.maps)))


def spread(maps: Float32Array) -> Float32Array:
    """Return maps ``(..., T', h, w)`` spread by a Gaussian, along each of the last three axes by its :data:`SPREAD`.

    What would leave at a border is reflected. So sums stay, and a map that is the same everywhere stays as it is.
    """
    for axis, sigma in zip((-3, -2, -1), SPREAD, strict=True):
        maps = np.moveaxis(np.moveaxis(maps, axis, -1) @ _spread_weights(maps.shape[axis], sigma), -1, axis)
    return np.ascontiguousarray(maps)


@cache
def _spread_weights(cells: int, sigma: float) -> Float32Array:
    """Return the symmetric matrix ``(n, n)`` that spreads n cells in a row; every row and column sums to 1."""
    at = np.arange(cells, dtype=np.float64)
    reach = math.ceil(6 * sigma / cells)
    images = 2 * cells * np.arange(-reach, reach + 1)
    apart = np.stack([at[:, None] - at, at[:, None] + at + 1])[..., None] + images
    weights = np.exp(-0.5 * (apart / sigma) ** 2).sum((0, 3))
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


@dataclass(frozen=True)
class ClosedForm:
    """A linear head's part in the scores of B clips and N targets, for each pathway.

    ``rows (B, N, C)``: how much the mean of the n cells counts; divided by n, the score's gradient in every cell. ``maps (B, N,
    T', h, w)``: each cell's share. All of them sum to ``totals (B, N)``.
    """

    rows: tuple[Float32Array, ...]
    maps: tuple[Float32Array, ...]
    totals: Float32Array


def closed_form(model: TorchModel, output: ForwardOutput, targets: Sequence[Target]) -> ClosedForm:
    """Return the head as it acts on these activations. Raises IncompatibleError if the maps do not sum to the totals."""
    head, classifiers = model.spec.head, model.classifiers()
    assert head is not None  # the row requires it
    channels = [a.shape[1] for a in output.activations]
    if sum(channels) != classifiers[0][0].shape[1]:
        raise IncompatibleError(
            f"layer {model.target_layer!r} of model {model.spec.name!r} has {sum(channels)} channels, but its head takes "
            f"{classifiers[0][0].shape[1]}: 'cam' works only at the layer that the head pools; take that layer, or 'hirescam'"
        )
    rows, bias = effective_rows(classifiers, output.activations, targets, head)
    blocks = np.split(rows, np.cumsum(channels)[:-1], axis=2)
    maps = []
    for block, a in zip(blocks, output.activations, strict=True):
        one = _products(block, a.reshape(*a.shape[:2], -1))
        one /= one.shape[2]
        maps.append(one.reshape(*one.shape[:2], *a.shape[2:]))
    totals = scores_of(output.logits, targets) - bias
    _verify(model, maps, totals)
    return ClosedForm(tuple(blocks), tuple(maps), totals)


def effective_rows(
    classifiers: Sequence[Linear], activations: Sequence[Float32Array], targets: Sequence[Target], head: Head
) -> tuple[Float32Array, Float32Array]:
    """Return the head as it acts on each clip: ``rows (B, N, C)`` and ``bias (B, N)``.

    ``rows @ pooled activations + bias`` are the scores. ``classifiers`` are from first to last; ``activations`` are those of each
    pathway, ``(B, C, T', h, w)``.
    """
    weight, bias = classifiers[-1]
    clips = len(activations[0])
    rows = np.broadcast_to(np.stack([t.of_rows(weight) for t in targets]), (clips, len(targets), weight.shape[1]))
    total = np.broadcast_to(np.stack([t.of_rows(bias[:, None])[0] for t in targets]), (clips, len(targets)))
    if len(classifiers) == 1 and head.norm is None:
        return rows, total
    gates = []  # for each layer except the last: which units are open, and the output of the saturated ones
    pooled, deviation = pool_cells(activations, head)
    hidden, ceiling = pooled / deviation, head.ceiling
    for weight, bias in classifiers[:-1]:
        z = np.einsum("bi,oi->bo", hidden, weight) + bias
        gates.append(((z > 0) & (z < ceiling), np.where(z >= ceiling, np.float32(ceiling), np.float32(0))))
        hidden = z.clip(0, ceiling)
    for (weight, bias), (is_open, saturated) in zip(reversed(classifiers[:-1]), reversed(gates), strict=True):
        total = total + np.einsum("bno,bo->bn", rows, is_open * bias + saturated)
        rows = _products(rows * is_open[:, None], np.broadcast_to(weight, (clips, *weight.shape)))
    return rows / deviation[:, None], total


SMALL = 2**18
"""Multiplications up to which BLAS works in the calling thread."""


def _products(a: Float32Array, b: Float32Array) -> Float32Array:
    """Return the matrix products ``(B, n, m)`` of ``a (B, n, k)`` and ``b (B, k, m)``, computed in pieces.

    A whole product would start BLAS's own threads, which then compete with the decoder and the encoder: 10 to 100 ms instead of
    0.2.
    """
    clips, n, k = a.shape
    m = b.shape[2]
    out = np.zeros((clips, n, m), np.float32)
    if m >= k:
        step = max(1, SMALL // (n * k))
        for i in range(0, m, step):
            np.matmul(a, b[:, :, i : i + step], out=out[:, :, i : i + step])
    else:
        step = max(1, SMALL // (n * m))
        for i in range(0, k, step):
            out += a[:, :, i : i + step] @ b[:, i : i + step]
    return out


def _verify(model: TorchModel, maps: Sequence[Float32Array], totals: Float32Array) -> None:
    """Refuse maps that do not sum to the totals; a step of the head that its row does not mention is off by far more."""
    if not np.isfinite(totals).all():
        return  # not the head's fault; explain() reports it
    sums = sum(m.sum(CELLS) for m in maps)
    size = sum(np.abs(m).sum(CELLS) for m in maps)
    if (np.abs(sums - totals) > model.rounding * (size + np.abs(totals)) + 1e-6).any():
        assert model.spec.head is not None
        raise IncompatibleError(
            f"the head of model {model.spec.name!r} is not global average pooling and the linear layers "
            f"{', '.join(model.spec.head.classifiers)} at layer {model.target_layer!r}, so 'cam' would not add up "
            "to the logit; use 'hirescam'"
        )


def eigencam(model: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """Return what the activations of a clip mostly show, whatever the class: every target gets the same map.

    Muhammad & Yeasin 2020: the projection ``A v1`` of the activations on their first right singular vector, here over all
    cells in space and time, for each pathway by itself. See :func:`principal_component`.
    """
    output = model.forward(clips)
    chosen = resolve(targets, output.logits)
    maps = []
    for a in output.activations:
        one = np.stack([principal_component(clip) for clip in a])
        maps.append(np.repeat(one[:, None], len(chosen), axis=1))
    return Attribution(chosen, output.logits, tuple(maps))


def principal_component(activations: Float32Array) -> Float32Array:
    """Return activations ``(C, T', h, w)`` projected on their first singular vector: ``(T', h, w) float32 >= 0``.

    The activations are not centred, as in the paper: the vector is the direction of the strongest activation and not of the
    largest difference, and after a ReLU the map is non-negative. The map is in the unit of the activations. A singular vector has
    no sign, so the one is taken whose map has the larger sum. Negative values (only with signed activations) are set to 0,
    because a map without a class holds no evidence against one.
    """
    x = activations.reshape(len(activations), -1).astype(np.float64)
    if x.shape[0] <= x.shape[1]:  # the smaller of the two Gram matrices
        projection = np.linalg.eigh(x @ x.T).eigenvectors[:, -1] @ x
    else:
        values, vectors = np.linalg.eigh(x.T @ x)
        projection = vectors[:, -1] * math.sqrt(max(0.0, values[-1]))
    if projection.sum() < 0:
        projection = -projection
    component: Float32Array = projection.clip(min=0).reshape(activations.shape[1:]).astype(np.float32)
    return component
