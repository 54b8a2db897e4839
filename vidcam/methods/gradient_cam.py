"""Gradient CAMs: pure functions of a layer's activations and of the score's gradient there.

Each is a few lines, ``(activations, gradients) -> relevance``, all float32: activations ``A`` and gradients ``G`` are
``(B, C, T', h, w)``, the relevance is ``(B, T', h, w)``. The score is the logit (or a difference of two), never a probability.
Each pathway is explained by itself. The trunk runs without gradients; only what follows the layer is differentiated, by torch.
Where that is pooling and a linear head, the gradient is known, ``w_c / n`` in each of the n cells, and torch is not needed.

Where the paper takes a mean over the n cells, so do we. With the same gradient in every cell, ``gradcam``, ``gradcam-slice``,
``xgradcam``, ``hirescam`` and ``cam`` are one and the same map by construction, and its sum is the logit less its bias: compare
the methods at earlier layers, or compare families.

Most papers end with a ReLU over the map. Here values that speak against the target stay, because a negative value means
something; what is drawn as evidence *for* the target is their positive part, which is that ReLU. ``gradcam++`` and ``layercam``
look at positive gradients only, so a negative value (which needs a negative activation) would mean nothing, and the ReLU is
applied. In the formulas below i and j are cells, c is a channel, and sums over c are over all channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import numpy as np

from vidcam.engine.base import Clips, Float32Array, TorchModel, to_numpy
from vidcam.errors import IncompatibleError
from vidcam.methods.cam import closed_form
from vidcam.methods.core import Attribution, Method, Targets, register, resolve

__all__ = ["by_autograd", "gradcam", "gradcam_plus_plus", "gradcam_slice", "gradient_cam", "hirescam", "layercam", "xgradcam"]

Relevance = Callable[[Float32Array, Float32Array], Float32Array]

CELLS = (2, 3, 4)


def gradient_cam(name: str, *, title: str, paper: str, signed: bool = True) -> Callable[[Relevance], Relevance]:
    """A decorator that registers a function ``(activations, gradients) -> relevance`` as a method, and leaves it as it is."""

    def decorate(relevance: Relevance) -> Relevance:
        register(
            Method(
                name=name,
                title=title,
                paper=paper,
                requires=frozenset({"features", "gradient"}),
                signed=signed,
                complete=False,
                cost="one forward pass, and a backward pass through the head for each class",
                explain=partial(_explain, relevance),
                family="gradient",
            )
        )
        return relevance

    return decorate


def _explain(relevance: Relevance, explained: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    if explained.spec.head is not None:
        seen = explained.see(clips)
        targets = chosen = resolve(targets, seen.logits)
        with suppress(IncompatibleError):  # the head is not what the row says: differentiate
            rows = closed_form(explained, seen, chosen).rows
            maps = (
                np.stack([relevance(a, _in_every_cell(row[:, n], a)) for n in range(len(chosen))], axis=1)
                for a, row in zip(seen.features, rows, strict=True)
            )
            return Attribution(chosen, seen.logits, tuple(maps))
    return by_autograd(relevance, explained, clips, targets)


def _in_every_cell(row: Float32Array, features: Float32Array) -> Float32Array:
    """The gradient of ``row (B, C)`` times the mean of the ``features (B, C, T', h, w)``: the same in every cell."""
    cells = math.prod(features.shape[2:])
    return np.broadcast_to((row / cells)[:, :, None, None, None], features.shape)


def by_autograd(relevance: Relevance, explained: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """The method for any layer and any head: torch differentiates what follows the layer."""
    from vidcam.engine.hooks import capture

    with capture(explained, differentiate="head") as run:
        seen = run(explained.tensor(clips))
        logits, features = to_numpy(seen.logits), [to_numpy(a) for a in seen.features]
        chosen = resolve(targets, logits)
        maps: list[list[Float32Array]] = [[] for _ in features]
        for target in chosen:
            for found, a, g in zip(maps, features, seen.gradients(target), strict=True):
                found.append(relevance(a, to_numpy(g)))
    return Attribution(chosen, logits, tuple(np.stack(found, axis=1) for found in maps))


@gradient_cam(
    "gradcam",
    title="Grad-CAM, gradients pooled over the volume",
    paper="Selvaraju et al., Grad-CAM, ICCV 2017, https://arxiv.org/abs/1610.02391",
)
def gradcam(activations: Float32Array, gradients: Float32Array) -> Float32Array:
    """Selvaraju et al. 2017, eqs. 1 and 2: ``sum_c alpha_c A_c`` with ``alpha_c`` the mean of ``G_c`` over T', h and w.

    Without eq. 2's ReLU. One weight for each channel and clip: a channel cannot speak for the class early and against it late;
    ``gradcam-slice`` lets it.
    """
    return _weighted(gradients.mean(CELLS), activations)


@gradient_cam(
    "gradcam-slice",
    title="Grad-CAM, gradients pooled for each time slice",
    paper="Selvaraju et al., Grad-CAM, ICCV 2017, applied to each time cell, https://arxiv.org/abs/1610.02391",
)
def gradcam_slice(activations: Float32Array, gradients: Float32Array) -> Float32Array:
    """Grad-CAM of each time cell t by itself: ``sum_c alpha_ct A_ct`` with ``alpha_ct`` the mean of ``G_ct`` over h and w."""
    found: Float32Array = np.einsum("bct,bcthw->bthw", gradients.mean((3, 4)), activations)
    return found


@gradient_cam(
    "gradcam++",
    title="Grad-CAM++",
    paper="Chattopadhyay et al., Grad-CAM++, WACV 2018, https://arxiv.org/abs/1710.11063",
    signed=False,
)
def gradcam_plus_plus(activations: Float32Array, gradients: Float32Array) -> Float32Array:
    """Chattopadhyay et al. 2018: ``relu(sum_c w_c A_c)`` with ``w_c = sum_i alpha_ci relu(G_ci)`` and, eq. 19,
    ``alpha_ci = G_ci^2 / (2 G_ci^2 + G_ci^3 sum_j A_cj)``.

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


@gradient_cam(
    "xgradcam",
    title="XGrad-CAM",
    paper="Fu et al., Axiom-based Grad-CAM, BMVC 2020, https://arxiv.org/abs/2008.02312",
)
def xgradcam(activations: Float32Array, gradients: Float32Array) -> Float32Array:
    """Fu et al. 2020, eq. 8: ``sum_c alpha_c A_c`` with ``alpha_c = sum_i G_ci A_ci / sum_j A_cj``.

    It sums to the same as ``hirescam``. A channel whose activations cancel out has no such weights and is left out; after a ReLU
    that is only one without any activation.
    """
    total = activations.sum(CELLS)
    cancels = np.abs(total) <= 1e-6 * np.abs(activations).sum(CELLS)
    share = np.einsum("bcthw,bcthw->bc", activations, gradients)
    return _weighted(np.divide(share, total, out=np.zeros_like(total), where=~cancels), activations)


@gradient_cam(
    "hirescam",
    title="HiResCAM",
    paper="Draelos & Carin, HiResCAM, 2020, https://arxiv.org/abs/2011.08891",
)
def hirescam(activations: Float32Array, gradients: Float32Array) -> Float32Array:
    """Draelos & Carin 2020: ``sum_c G_c * A_c``, gradient times activation in every cell, nothing pooled."""
    return _cell_by_cell(gradients, activations)


@gradient_cam(
    "layercam",
    title="LayerCAM",
    paper="Jiang et al., LayerCAM, IEEE TIP 2021, https://doi.org/10.1109/TIP.2021.3089943",
    signed=False,
)
def layercam(activations: Float32Array, gradients: Float32Array) -> Float32Array:
    """Jiang et al. 2021: ``relu(sum_c relu(G_c) * A_c)``, every cell with its own weight, the positive part of its gradient."""
    return _cell_by_cell(gradients.clip(min=0), activations).clip(min=0)


def _weighted(weights: Float32Array, activations: Float32Array) -> Float32Array:
    """``sum_c w_c A_c`` with one weight ``(B, C)`` for each channel."""
    found: Float32Array = np.einsum("bc,bcthw->bthw", weights, activations)
    return found


def _cell_by_cell(weights: Float32Array, activations: Float32Array) -> Float32Array:
    """``sum_c w_ci A_ci`` with a weight ``(B, C, T', h, w)`` for each channel and cell."""
    found: Float32Array = np.einsum("bcthw,bcthw->bthw", weights, activations)
    return found
