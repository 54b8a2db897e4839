"""What training asks for, and what the answers are worth: losses, calibration, and how sure against how right."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "ACTING",
    "ELSEWHERE",
    "UNKNOWN",
    "EvidenceOffset",
    "classes_loss",
    "ece",
    "evidence",
    "evidence_loss",
    "fit_temperature",
    "nll",
    "probabilities",
    "share_inside",
]

Floats = npt.NDArray[np.floating]

ELSEWHERE, UNKNOWN, ACTING = 0, 1, 2
"""What a cell shows: nothing of the action, something that nobody can say, the acting parts while they act."""

LOCAL, NOTHING = 0.135, 4.0
"""The evidence of one cell is about 1 / LOCAL times what makes it sure; NOTHING lets cells without any evidence be at rest."""

NEAR = 2


def classes_loss(logits: Tensor, targets: Tensor, *, smoothing: float) -> Tensor:
    """The mean loss of ``logits (B,K)``: cross-entropy for targets ``(B,) int64``, one for each class for ``(B,K) float``.

    ``smoothing`` moves that much of the wanted probability to all classes alike (to one half where each stands for itself).
    """
    if targets.ndim == 1:
        return F.cross_entropy(logits, targets, label_smoothing=smoothing)
    return F.binary_cross_entropy_with_logits(logits, targets * (1 - smoothing) + smoothing / 2)


def evidence(features: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """The evidence ``(B,T',h,w)`` for the class ``targets (B,)`` in ``features (B,C,T',h,w)``: ``W_y . A / n``, in logits.

    Zhou et al. 2016, eq. 2, divided by the number n of cells; ``weight (K,C)`` is the linear head's.
    """
    return torch.einsum("bc,bcthw->bthw", weight[targets], features) / features[0, 0].numel()


def share_inside(maps: Tensor, covered: Tensor) -> Tensor:
    """How much ``(B,)`` of the positive evidence ``maps (B,T',h,w)`` lies on cells ``covered (B,T',h,w) bool``, 0 to 1."""
    positive = maps.clamp(min=0)
    return (positive * covered).sum((1, 2, 3)) / positive.sum((1, 2, 3)).clamp(min=1e-12)


def evidence_loss(features: Tensor, weight: Tensor, targets: Tensor, where: Tensor) -> Tensor:
    """The cross-entropy of "what happens in this cell": the class where it acts, nothing elsewhere.

    ``features (B,C,T',h,w)``, ``weight (K,C)`` of the linear head, ``targets (B,)``, ``where (B,T',h,w)`` of ``ELSEWHERE``,
    ``UNKNOWN`` and ``ACTING``. A cell's logits are its evidence for each class at a cell's scale, ``LOCAL * W . A``, beside the
    fixed logit ``NOTHING`` of nothing at all; so evidence is asked for inside the acting parts while they act and none is wanted
    elsewhere. Acting cells are averaged over each clip and then over the clips; of the others, those within ``NEAR`` cells of
    acting ones count as much together as all the rest: that is where evidence spills over.
    """
    local = LOCAL * torch.einsum("kc,bcthw->bkthw", weight, features)
    nothing = local.new_full((len(local), 1, *local.shape[2:]), NOTHING)
    acting, elsewhere = where == ACTING, where == ELSEWHERE
    wanted = torch.where(acting, targets[:, None, None, None], len(weight))
    loss = F.cross_entropy(torch.cat([local, nothing], 1), wanted, reduction="none")
    around = _around(acting)
    cells = acting.flatten(1).sum(1)
    inside = ((loss * acting).flatten(1).sum(1) / cells.clamp(min=1)).sum() / (cells > 0).sum().clamp(min=1)
    return inside + (_mean(loss, elsewhere & around) + _mean(loss, elsewhere & ~around)) / 2


class EvidenceOffset:
    """Settles what no evidence is: the row ``v (C,)`` that is added to all rows of a linear head ``weight (K,C)`` after training.

    A softmax does not see what is added to all classes alike, so the losses leave it open. ``v`` is what minimises, in the mean
    of the clips in which something acts, ``(LOCAL (W_y + v) . A + MARGIN)^2`` over the cells elsewhere (near ones and others
    weighing as much, as in :func:`evidence_loss`) plus ``(LOCAL v . A)^2`` over the acting cells: evidence elsewhere becomes
    about zero, a little less so that what is left of it is not drawn, and that of the action changes as little as may be.
    """

    MARGIN = 0.5
    RIDGE = 1e-3

    def __init__(self, channels: int) -> None:
        self._gram = torch.zeros(channels, channels, dtype=torch.float64)
        self._wanted = torch.zeros(channels, dtype=torch.float64)

    def add(self, features: Tensor, weight: Tensor, targets: Tensor, where: Tensor) -> None:
        """Look at some more clips; shapes are those of :func:`evidence_loss`."""
        acting = where == ACTING
        near = _around(acting)
        for clip in acting.flatten(1).any(1).nonzero()[:, 0].tolist():
            elsewhere = where[clip] == ELSEWHERE
            row = weight[targets[clip]].double()
            for cells, share in ((elsewhere & near[clip], 0.5), (elsewhere & ~near[clip], 0.5), (acting[clip], 1.0)):
                if bool(cells.any()):
                    a = LOCAL * features[clip][:, cells].double()
                    more = share / a.shape[1]
                    self._gram += more * (a @ a.T).cpu()
                    if share < 1:
                        self._wanted -= more * (a @ (row @ a + self.MARGIN)).cpu()

    def row(self) -> Tensor:
        """``v (C,)``; zero where no clip had a say."""
        size = self._gram.diagonal().mean()
        if not size:
            return self._wanted.float()
        row: Tensor = torch.linalg.solve(self._gram + self.RIDGE * size * torch.eye(len(self._gram)), self._wanted)
        return row.float()


def _around(acting: Tensor) -> Tensor:
    """The cells ``(B,T',h,w) bool`` that act or are within ``NEAR`` cells of one that does."""
    return F.max_pool3d(acting[:, None].float(), 2 * NEAR + 1, stride=1, padding=NEAR)[:, 0] > 0


def _mean(loss: Tensor, cells: Tensor) -> Tensor:
    return (loss * cells).sum() / cells.sum().clamp(min=1)


def probabilities(logits: Floats, *, temperature: float | Floats = 1.0, multi_label: bool = False) -> Floats:
    """Probabilities ``(..., K)`` float64 of ``logits / temperature``, which is one number or one for each ``(..., 1)``."""
    z = np.asarray(logits, np.float64) / temperature
    if multi_label:
        return np.asarray(0.5 * (1 + np.tanh(z / 2)))
    e = np.exp(z - z.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def nll(logits: Floats, targets: npt.NDArray[np.generic], *, temperature: float = 1.0, softened: float = 0.0) -> float:
    """The mean negative log-likelihood of targets ``(N,)`` or (a sum over the classes) ``(N,K)`` under ``logits (N,K)``.

    ``softened`` is the share of the wanted probability that is given to all classes alike.
    """
    z = np.asarray(logits, np.float64) / temperature
    if targets.ndim == 2:
        wanted = targets.astype(float) * (1 - softened) + softened / 2
        return float((np.logaddexp(0, z) - z * wanted).sum(1).mean())
    top = z.max(1)
    log_sum = top + np.log(np.exp(z - top[:, None]).sum(1))
    wanted = (1 - softened) * z[np.arange(len(z)), targets.astype(int)] + softened * z.mean(1)
    return float((log_sum - wanted).mean())


def fit_temperature(logits: Floats, targets: npt.NDArray[np.generic]) -> float:
    """The temperature, 0.1 to 10, under which the targets are most likely (Guo et al. 2017, section 4.2).

    The targets are softened by 1 / (N + 2), as Platt (1999) does it: where a few clips are all answered right, the likelihood
    alone would ask for boundless certainty. It has one maximum in 1/temperature, so shrinking the interval by thirds finds it.
    """
    softened = 1 / (len(logits) + 2)
    low, high = 0.1, 10.0  # of 1 / temperature
    for _ in range(60):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        if nll(logits, targets, temperature=1 / a, softened=softened) < nll(
            logits, targets, temperature=1 / b, softened=softened
        ):
            high = b
        else:
            low = a
    return 2 / (low + high)


def ece(confidence: Floats, right: npt.NDArray[np.bool_], *, bins: int = 15) -> float:
    """The expected calibration error: how far, on average, the confidence ``(N,)`` in [0,1] is from the share that is right.

    Guo et al. 2017, eq. 3, with ``bins`` bins of equal width.
    """
    which = np.minimum((np.asarray(confidence) * bins).astype(int), bins - 1)
    gaps = [
        abs(float(confidence[which == i].mean() - right[which == i].mean())) * (which == i).mean() for i in set(which.tolist())
    ]
    return float(sum(gaps))
