"""The optimizers and the learning rate over time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["MUON_LR_FACTOR", "MuonConv", "make_optimizers", "one_cycle"]

MUON_LR_FACTOR = 30.0
"""How much higher the learning rate of Muon's orthogonalised updates is than AdamW's."""


class MuonConv(torch.optim.Muon):
    """Muon (Jordan et al. 2024) for kernels of convolutions.

    A kernel ``(out,in,t,h,w)`` is taken as the matrix ``(out, in * t * h * w)``. The update is the momentum with all its
    singular values made equal, so that rare features are learned as fast as common ones. A small network trained on many
    kinds of clips needs about a third of the steps that AdamW takes.
    """

    def __init__(self, kernels: Sequence[nn.Parameter], *, lr: float, weight_decay: float) -> None:
        self._kernels = list(kernels)
        for k in kernels:
            k.data = k.data.contiguous(memory_format=torch.channels_last_3d)  # so that its matrix is a view of it
        super().__init__([nn.Parameter(_matrix(k.data)) for k in kernels], lr=lr, weight_decay=weight_decay)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the kernels from their gradients."""
        for group in self.param_groups:
            for matrix, kernel in zip(group["params"], self._kernels, strict=True):
                matrix.grad = None if kernel.grad is None else _matrix(kernel.grad)
        super().step(closure)  # type: ignore[no-untyped-call]


def _matrix(kernel: Tensor) -> Tensor:
    """Return ``(out, t * h * w * in)``, a view if the kernel's memory is channels last."""
    return kernel.movedim(1, -1).flatten(1)


def make_optimizers(net: nn.Module, *, lr: float, weight_decay: float, muon: bool) -> list[torch.optim.Optimizer]:
    """Return AdamW for the trainable parameters, without weight decay for vectors.

    With ``muon``, the kernels of dense convolutions have Muon instead.
    """
    trainable = [p for p in net.parameters() if p.requires_grad]
    dense = [p for p in trainable if muon and p.ndim == 5 and p.shape[1] > 1]
    rest = [p for p in trainable if not any(p is k for k in dense)]
    out: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            [
                {"params": [p for p in rest if p.ndim > 1], "weight_decay": weight_decay},
                {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=lr,
        )
    ]
    if dense:
        out.append(MuonConv(dense, lr=MUON_LR_FACTOR * lr, weight_decay=weight_decay))
    for group in (group for o in out for group in o.param_groups):
        group["initial_lr"] = group["lr"]
    return out


def one_cycle(progress: float) -> float:
    """Return the learning rate at ``progress`` (0 to 1), as a share of its highest.

    It rises for 15 % of the training and then falls as a cosine.
    """
    warm = 0.15
    if progress < warm:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * progress / warm)) / 2
    return 1e-4 + (1 - 1e-4) * (1 + math.cos(math.pi * (progress - warm) / (1 - warm))) / 2
