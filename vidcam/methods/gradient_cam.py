"""Gradient CAMs: pure functions of a layer's activations and of the score's gradient with respect to them.

Each is a few lines, ``(activations, gradients) -> relevance``, all float32: activations ``A`` and gradients ``G`` are
``(B, C, T', h, w)``, the relevance is ``(B, T', h, w)``. The score is the logit (or a difference of two), never a probability.
Each pathway is explained separately. The trunk runs without gradients; torch differentiates only what follows the layer. If that
is pooling and a linear head, the gradient is known, ``w_c / n`` in each of the n cells, and torch is not needed.

Means over the n cells are taken wherever the papers take them. If the gradient is the same in every cell, ``gradcam``,
``gradcam-slice``, ``xgradcam``, ``hirescam`` and ``cam`` are the same map by construction, and its sum is the logit less its
bias: compare these methods at earlier layers, or compare families.

If a layer norm comes between the average and the linear layer, the gradient has a part that the norm's deviation adds: a logit
does not change if all activations are multiplied by one number. So ``hirescam`` and ``xgradcam`` then sum to zero and show which
cells speak more for the class than the others; ``cam``, which holds the deviation, sums to the logit less its bias.

Most papers end with a ReLU over the map. Here negative values stay, because they are evidence against the target; what is drawn
as evidence *for* the target is the positive part, which is that ReLU. ``gradcam++`` and ``layercam`` use positive gradients only,
so a negative value (which needs a negative activation) would mean nothing, and the ReLU is applied. In the formulas below i and j
are cells, c is a channel, and sums over c are over all channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from vidcam.engine.base import Clips, Float32Array, to_numpy
from vidcam.engine.network import TorchModel
from vidcam.errors import IncompatibleError
from vidcam.methods.cam import closed_form
from vidcam.methods.core import Attribution, Targets, resolve
from vidcam.methods.lookup import register_method
from vidcam.methods.method import gradient_cam_row

__all__ = [
    "by_autograd",
    "explain_gradient_cam",
    "gradcam",
    "gradcam_plus_plus",
    "gradcam_slice",
    "gradient_cam",
    "hirescam",
    "layercam",
    "xgradcam",
]

Relevance = Callable[[Float32Array, Float32Array], Float32Array]

CELLS = (2, 3, 4)


def gradient_cam(name: str, *, title: str, paper: str, signed: bool = True) -> Callable[[Relevance], Relevance]:
    """Return a decorator that registers ``(activations, gradients) -> relevance`` as a method and leaves the function as it is.

    It is for methods of your own; those that come with vidcam are rows of :mod:`vidcam.methods.table`.
    """

    def decorate(relevance: Relevance) -> Relevance:
        register_method(gradient_cam_row(name, relevance, title=title, paper=paper, signed=signed))
        return relevance

    return decorate


def explain_gradient_cam(relevance: Relevance, model: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """Explain by a relevance function; a linear head without a norm gives its gradients without autograd."""
    if model.spec.head is not None and model.spec.head.norm is None:
        output = model.forward(clips)
        targets = chosen = resolve(targets, output.logits)
        with suppress(IncompatibleError):  # if the head is not what the row says, differentiate
            rows = closed_form(model, output, chosen).rows
            maps = (
                np.stack([relevance(a, _in_every_cell(row[:, n], a)) for n in range(len(chosen))], axis=1)
                for a, row in zip(output.activations, rows, strict=True)
            )
            return Attribution(chosen, output.logits, tuple(maps))
    return by_autograd(relevance, model, clips, targets)


def _in_every_cell(row: Float32Array, activations: Float32Array) -> Float32Array:
    """Return the gradient of ``row (B, C)`` times the mean of ``activations (B, C, T', h, w)``: the same in every cell."""
    cells = math.prod(activations.shape[2:])
    return np.broadcast_to((row / cells)[:, :, None, None, None], activations.shape)


def by_autograd(relevance: Relevance, model: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """Run the gradient CAM on any layer and any head: torch differentiates what follows the layer."""
    from vidcam.engine.hooks import capture

    with capture(model, differentiate="head") as run:
        output = run(model.tensor(clips))
        logits, activations = to_numpy(output.logits), [to_numpy(a) for a in output.activations]
        chosen = resolve(targets, logits)
        maps: list[list[Float32Array]] = [[] for _ in activations]
        for target in chosen:
            for of_pathway, a, g in zip(maps, activations, output.gradients(target), strict=True):
                of_pathway.append(relevance(a, to_numpy(g)))
    return Attribution(chosen, logits, tuple(np.stack(of_pathway, axis=1) for of_pathway in maps))


def gradcam(activations: Float32Array, gradients: Float32Array) -> Float32Array:
    """Return Grad-CAM: ``sum_c alpha_c A_c`` with ``alpha_c`` the mean of ``G_c`` over T', h and w.

    Selvaraju et al. 2017, eqs. 1 and 2, without the ReLU of eq. 2. A channel has one weight for the whole clip, so it cannot
    speak for the class early and against it late; in ``gradcam-slice`` it can.
    """
    return _weighted(gradients.mean(CELLS), activations)


def gradcam_slice(activations: Float32Array, gradients: Float32Array) -> Float32Array:
    """Return Grad-CAM of each time cell t separately: ``sum_c alpha_ct A_ct`` with ``alpha_ct`` the mean of ``G_ct`` over h, w.

    Selvaraju et al. 2017, eqs. 1 and 2, applied to the pictures of one moment, without the ReLU of eq. 2.
    """
    relevance: Float32Array = np.einsum("bct,bcthw->bthw", gradients.mean((3, 4)), activations)
    return relevance


def gradcam_plus_plus(activations: Float32Array, gradients: Float32Array) -> Float32Array:
    """Return Grad-CAM++: ``relu(sum_c w_c A_c)`` with ``w_c = sum_i alpha_ci relu(G_ci)``.

    Chattopadhyay et al. 2018, eq. 19: ``alpha_ci = G_ci^2 / (2 G_ci^2 + G_ci^3 sum_j A_cj)``.

    The paper differentiates ``Y = exp(S)`` of the score S. The second and third derivatives are then the powers above times
    ``exp(S)``, which cancels. The first derivative keeps the factor ``exp(S)``, one number for the whole map, which is left out
    here: it overflows, and it would let a clip's evidence grow exponentially with its score. As the paper sums and does not
    average over the n cells, values are up to n / 2 times those of ``gradcam``.

    Only cells with ``G > 0`` count, and there eq. 19 is ``1 / (2 + G_ci sum_j A_cj)``. It is derived for activations after a
    ReLU; a negative sum could make it infinite, so negative activations are left out of the sum (after a ReLU there are none).
    """
    positive = gradients.clip(min=0)
    alpha = 1 / (2 + positive * activations.clip(min=0).sum(CELLS, keepdims=True))
    return _weighted((alpha * positive).sum(CELLS), activations).clip(min=0)


def xgradcam(activations: Float32Array, gradients: Float32Array) -> Float32Array:
    """Return XGrad-CAM: ``sum_c alpha_c A_c`` with ``alpha_c = sum_i G_ci A_ci / sum_j A_cj``.

    Fu et al. 2020, eq. 8. It has the same sum as ``hirescam``. A channel whose activations cancel out has no such weight and is
    left out; after a ReLU that is only a channel without any activation.
    """
    total = activations.sum(CELLS)
    cancels = np.abs(total) <= 1e-6 * np.abs(activations).sum(CELLS)
    share = np.einsum("bcthw,bcthw->bc", activations, gradients)
    return _weighted(np.divide(share, total, out=np.zeros_like(total), where=~cancels), activations)


def hirescam(activations: Float32Array, gradients: Float32Array) -> Float32Array:
    """Return HiResCAM (Draelos & Carin 2020): ``sum_c G_c * A_c``, gradient times activation in every cell, nothing pooled."""
    return _cell_by_cell(gradients, activations)


def layercam(activations: Float32Array, gradients: Float32Array) -> Float32Array:
    """Return LayerCAM (Jiang et al. 2021): ``relu(sum_c relu(G_c) * A_c)``, a weight for every cell: its positive gradient."""
    return _cell_by_cell(gradients.clip(min=0), activations).clip(min=0)


def _weighted(weights: Float32Array, activations: Float32Array) -> Float32Array:
    """Return ``sum_c w_c A_c`` with one weight ``(B, C)`` for each channel."""
    relevance: Float32Array = np.einsum("bc,bcthw->bthw", weights, activations)
    return relevance


def _cell_by_cell(weights: Float32Array, activations: Float32Array) -> Float32Array:
    """Return ``sum_c w_ci A_ci`` with a weight ``(B, C, T', h, w)`` for each channel and cell."""
    relevance: Float32Array = np.einsum("bcthw,bcthw->bthw", weights, activations)
    return relevance
