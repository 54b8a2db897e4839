"""Losses of the classes and of where the evidence lies, and the zero point of the evidence."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["ACTING", "ELSEWHERE", "UNKNOWN", "EvidenceOffset", "classes_loss", "evidence", "evidence_loss"]

ELSEWHERE, UNKNOWN, ACTING = 0, 1, 2
"""What a cell shows: nothing of the action, something unknown, or the acting parts while they act."""

CELL_SCALE, NOTHING_LOGIT = 0.135, 4.0
"""A cell's logits are ``CELL_SCALE * W . A``, beside the fixed logit of "nothing": a cell without evidence has a small loss."""

NEAR = 2
"""Cells within this distance of an acting one count as near it, where evidence spills over."""


def classes_loss(logits: Tensor, targets: Tensor, *, smoothing: float) -> Tensor:
    """Return the mean cross-entropy of ``logits (B,K)``.

    It is one of all classes for ``targets (B,) int64``, and a binary one of each class for ``targets (B,K) float``.
    ``smoothing`` moves this share of the target probability to all classes alike (to one half if the loss is binary).
    """
    if targets.ndim == 1:
        return F.cross_entropy(logits, targets, label_smoothing=smoothing)
    return F.binary_cross_entropy_with_logits(logits, targets * (1 - smoothing) + smoothing / 2)


def evidence(activations: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Return the evidence ``(B,T',h,w)`` for the classes ``targets (B,)``: ``W_y . A / n``, in logits.

    Zhou et al. 2016, eq. 2, divided by the number n of cells; ``activations (B,C,T',h,w)`` and the linear head's
    ``weight (K,C)``.
    """
    return torch.einsum("bc,bcthw->bthw", weight[targets], activations) / activations[0, 0].numel()


def evidence_loss(activations: Tensor, weight: Tensor, targets: Tensor, cells: Tensor) -> Tensor:
    """Return the cross-entropy of "what happens in this cell": the class where it acts, nothing elsewhere.

    ``activations (B,C,T',h,w)``, the linear head's ``weight (K,C)``, ``targets (B,)``, and ``cells (B,T',h,w)`` of ``ELSEWHERE``,
    ``UNKNOWN`` and ``ACTING``. A cell's logits are its evidence for each class, ``CELL_SCALE * W . A``, and the fixed
    ``NOTHING_LOGIT``. So the loss asks for evidence inside the acting parts while they act, and for none elsewhere. Acting cells
    are averaged over each clip and then over the clips. Of the other cells, those within ``NEAR`` cells of acting ones count as
    much together as all the rest, because evidence spills over there.
    """
    local = CELL_SCALE * torch.einsum("kc,bcthw->bkthw", weight, activations)
    nothing = local.new_full((len(local), 1, *local.shape[2:]), NOTHING_LOGIT)
    acting, elsewhere = cells == ACTING, cells == ELSEWHERE
    answer = torch.where(acting, targets[:, None, None, None], len(weight))
    loss = F.cross_entropy(torch.cat([local, nothing], 1), answer, reduction="none")
    near = _near(acting)
    count = acting.flatten(1).sum(1)
    inside = ((loss * acting).flatten(1).sum(1) / count.clamp(min=1)).sum() / (count > 0).sum().clamp(min=1)
    return inside + (_masked_mean(loss, elsewhere & near) + _masked_mean(loss, elsewhere & ~near)) / 2


class EvidenceOffset:
    """The row ``v (C,)`` added to all rows of a linear head ``weight (K,C)`` to fix what zero evidence is.

    A softmax does not change if the same is added to all classes, so the losses leave it open. ``v`` minimises, in the mean
    over the clips in which something acts, ``(CELL_SCALE (W_y + v) . A + MARGIN)^2`` over the cells elsewhere (near and far
    ones weigh the same, as in :func:`evidence_loss`) plus ``(CELL_SCALE v . A)^2`` over the acting cells. So evidence elsewhere
    becomes about zero, slightly negative so that what is left of it is not drawn; the evidence of the action changes little.
    """

    MARGIN = 0.5
    RIDGE = 1e-3

    def __init__(self, channels: int) -> None:
        self._gram = torch.zeros(channels, channels, dtype=torch.float64)
        self._right = torch.zeros(channels, dtype=torch.float64)

    def add(self, activations: Tensor, weight: Tensor, targets: Tensor, cells: Tensor) -> None:
        """Add clips to the least-squares problem; the shapes are those of :func:`evidence_loss`."""
        acting = cells == ACTING
        near = _near(acting)
        for clip in acting.flatten(1).any(1).nonzero()[:, 0].tolist():
            elsewhere = cells[clip] == ELSEWHERE
            row = weight[targets[clip]].double()
            for part, share in ((elsewhere & near[clip], 0.5), (elsewhere & ~near[clip], 0.5), (acting[clip], 1.0)):
                if bool(part.any()):
                    a = CELL_SCALE * activations[clip][:, part].double()
                    factor = share / a.shape[1]
                    self._gram += factor * (a @ a.T).cpu()
                    if share < 1:
                        self._right -= factor * (a @ (row @ a + self.MARGIN)).cpu()

    def row(self) -> Tensor:
        """Return ``v (C,)``; zero if nothing acted in any clip."""
        size = self._gram.diagonal().mean()
        if not size:
            return self._right.float()
        row: Tensor = torch.linalg.solve(self._gram + self.RIDGE * size * torch.eye(len(self._gram)), self._right)
        return row.float()


def _near(acting: Tensor) -> Tensor:
    """Return the cells ``(B,T',h,w) bool`` that act or lie within ``NEAR`` cells of one that does."""
    return F.max_pool3d(acting[:, None].float(), 2 * NEAR + 1, stride=1, padding=NEAR)[:, 0] > 0


def _masked_mean(loss: Tensor, cells: Tensor) -> Tensor:
    return (loss * cells).sum() / cells.sum().clamp(min=1)
