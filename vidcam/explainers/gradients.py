"""Gradient CAMs: pure functions of a layer's activations and of the score's gradient there.

Each is a few lines, ``(activations, gradients) -> relevance``, all float32: activations ``A`` and gradients ``G`` are
``(B, C, T', h, w)``, the relevance is ``(B, T', h, w)``. The score is the logit (or a difference of two), never a probability.
The trunk runs without gradients; only what follows the layer is differentiated. Each pathway is explained by itself.

Where the paper takes a mean over the n cells, so do we. At a head of global average pooling and a linear layer the gradient is
``w_c / n`` in every cell, so there ``gradcam``, ``gradcam-slice``, ``xgradcam``, ``hirescam`` and ``cam`` are one and the same
map by construction, and its sum is the logit less its bias: compare the methods at earlier layers, or compare families.

Most papers end with a ReLU over the map. Here values that speak against the target stay, because a negative value means
something; what is drawn as evidence *for* the target is their positive part, which is that ReLU. ``gradcam++`` and ``layercam``
look at positive gradients only, so a negative value (which needs a negative activation) would mean nothing, and the ReLU is
applied. In the formulas below i and j are cells, c is a channel, and sums over c are over all channels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from vidcam.explainers.core import Attribution, Explained, Method, Targets, register, resolve
from vidcam.explainers.hooks import capture

__all__ = ["gradcam", "gradcam_plus_plus", "gradcam_slice", "gradient_cam", "hirescam", "layercam", "xgradcam"]

Relevance = Callable[[Tensor, Tensor], Tensor]

CELLS = (2, 3, 4)
CHANNELS = 1


def gradient_cam(name: str, *, title: str, paper: str, signed: bool = True) -> Callable[[Relevance], Relevance]:
    """A decorator that registers a function ``(activations, gradients) -> relevance`` as a method, and leaves it as it is."""

    def decorate(relevance: Relevance) -> Relevance:
        register(
            Method(
                name=name,
                title=title,
                paper=paper,
                requires=frozenset({"gradient"}),
                signed=signed,
                complete=False,
                cost="one forward pass, and a backward pass through the head for each class",
                explain=partial(_explain, relevance),
                family="gradient",
            )
        )
        return relevance

    return decorate


def _explain(relevance: Relevance, explained: Explained, clips: Tensor, targets: Targets) -> Attribution:
    with capture(explained, differentiate="head") as run:
        seen = run(clips)
        maps: list[list[Tensor]] = [[] for _ in seen.features]
        chosen = resolve(targets, seen.logits)
        for target in chosen:
            for found, a, g in zip(maps, seen.features, seen.gradients(target), strict=True):
                found.append(relevance(a, g))
    return Attribution(chosen, seen.logits.detach(), tuple(torch.stack(found, dim=1) for found in maps))


@gradient_cam(
    "gradcam",
    title="Grad-CAM, gradients pooled over the volume",
    paper="Selvaraju et al., Grad-CAM, ICCV 2017, https://arxiv.org/abs/1610.02391",
)
def gradcam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Selvaraju et al. 2017, eqs. 1 and 2: ``sum_c alpha_c A_c`` with ``alpha_c`` the mean of ``G_c`` over T', h and w.

    Without eq. 2's ReLU. One weight for each channel and clip: a channel cannot speak for the class early and against it late;
    ``gradcam-slice`` lets it.
    """
    return (gradients.mean(CELLS, keepdim=True) * activations).sum(CHANNELS)


@gradient_cam(
    "gradcam-slice",
    title="Grad-CAM, gradients pooled for each time slice",
    paper="Selvaraju et al., Grad-CAM, ICCV 2017, applied to each time cell, https://arxiv.org/abs/1610.02391",
)
def gradcam_slice(activations: Tensor, gradients: Tensor) -> Tensor:
    """Grad-CAM of each time cell t by itself: ``sum_c alpha_ct A_ct`` with ``alpha_ct`` the mean of ``G_ct`` over h and w."""
    return (gradients.mean((3, 4), keepdim=True) * activations).sum(CHANNELS)


@gradient_cam(
    "gradcam++",
    title="Grad-CAM++",
    paper="Chattopadhyay et al., Grad-CAM++, WACV 2018, https://arxiv.org/abs/1710.11063",
    signed=False,
)
def gradcam_plus_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    """Chattopadhyay et al. 2018: ``relu(sum_c w_c A_c)`` with ``w_c = sum_i alpha_ci relu(G_ci)`` and, eq. 19,
    ``alpha_ci = G_ci^2 / (2 G_ci^2 + G_ci^3 sum_j A_cj)``.

    The paper differentiates ``Y = exp(S)`` of the score S. The second and third derivatives are then the powers above times
    ``exp(S)``, which cancels. The first derivative keeps the factor ``exp(S)``, one number for the whole map, which is left out
    here: it overflows, and it would let a clip's evidence grow exponentially with its score. As the paper sums and does not
    average over the n cells, values are up to n / 2 times those of ``gradcam``.

    Only cells with ``G > 0`` count, and there eq. 19 is ``1 / (2 + G_ci sum_j A_cj)``. It is derived for activations after a
    ReLU; a negative sum could make it infinite, so negative activations are left out of the sum (after a ReLU there are none).
    """
    alpha = 1 / (2 + gradients.clamp(min=0) * activations.clamp(min=0).sum(CELLS, keepdim=True))
    weights = (alpha * gradients.clamp(min=0)).sum(CELLS, keepdim=True)
    return (weights * activations).sum(CHANNELS).clamp(min=0)


@gradient_cam(
    "xgradcam",
    title="XGrad-CAM",
    paper="Fu et al., Axiom-based Grad-CAM, BMVC 2020, https://arxiv.org/abs/2008.02312",
)
def xgradcam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Fu et al. 2020, eq. 8: ``sum_c alpha_c A_c`` with ``alpha_c = sum_i G_ci A_ci / sum_j A_cj``.

    It sums to the same as ``hirescam``. A channel whose activations cancel out has no such weights and is left out; after a ReLU
    that is only one without any activation.
    """
    total = activations.sum(CELLS, keepdim=True)
    cancels = total.abs() <= 1e-6 * activations.abs().sum(CELLS, keepdim=True)
    alpha = (activations * gradients).sum(CELLS, keepdim=True) / total
    return (alpha.masked_fill(cancels, 0) * activations).sum(CHANNELS)


@gradient_cam(
    "hirescam",
    title="HiResCAM",
    paper="Draelos & Carin, HiResCAM, 2020, https://arxiv.org/abs/2011.08891",
)
def hirescam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Draelos & Carin 2020: ``sum_c G_c * A_c``, gradient times activation in every cell, nothing pooled."""
    return (gradients * activations).sum(CHANNELS)


@gradient_cam(
    "layercam",
    title="LayerCAM",
    paper="Jiang et al., LayerCAM, IEEE TIP 2021, https://doi.org/10.1109/TIP.2021.3089943",
    signed=False,
)
def layercam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Jiang et al. 2021: ``relu(sum_c relu(G_c) * A_c)``, every cell with its own weight, the positive part of its gradient."""
    return (gradients.clamp(min=0) * activations).sum(CHANNELS).clamp(min=0)
