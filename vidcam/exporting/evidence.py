"""A network with its evidence as an output: CAM in closed form, written in torch, so that exporters can trace it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vidcam.engine.exported import cells_name, layer_names
from vidcam.engine.hooks import run_with_cells

if TYPE_CHECKING:
    from vidcam.engine.base import Float32Array
    from vidcam.engine.network import TorchModel

__all__ = ["OUTPUTS", "WithEvidence"]

OUTPUTS = ("logits", "saliency_map", "feature_vector", "bias")
"""The names of the outputs, first to last; behind them come the cells of the pathways, which are no outputs of a file."""

CELLS = (2, 3, 4)


class WithEvidence(nn.Module):
    """A network whose evidence for every class, or for the class of an input, is an output.

    It is :func:`vidcam.methods.cam.cam` (Zhou et al. 2016, eq. 2, with the gates and the norm of a head): the two are tested
    against each other. With a row ``w`` of the head as it acts on this clip, and the cells ``A_i``::

        saliency_map_i = w . A_i / n,    sum over i of saliency_map_i = logit - bias

    The maps of several pathways are added up on the finest time grid, as :func:`vidcam.methods.cell_geometry.join` does.

    Args:
        model: The network; its head must be exact.
        shares: For each pathway ``(T', T'_i)``: how its time cells are shared out among those of the finest.
        one_class: Whether a second input, ``class_index (1,) int64``, chooses the class whose evidence is computed.
    """

    def __init__(self, model: TorchModel, shares: Sequence[Float32Array], *, one_class: bool = False) -> None:
        super().__init__()
        assert model.spec.head is not None
        self.network, self.spec, self.head = model.module, model.spec, model.spec.head
        self.one_class = one_class
        self.layers = [layer_names(i) for i in range(len(self.head.classifiers))]
        for names, values in zip(self.layers, model.classifiers(), strict=True):
            for name, array in zip(names, values, strict=True):
                self.register_buffer(name, torch.tensor(array))
        self.shares = [torch.tensor(share, dtype=torch.float32) for share in shares]

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of what :meth:`forward` returns."""
        return (*OUTPUTS, *(cells_name(i) for i in range(len(self.shares))))

    def forward(self, clips: Tensor, class_index: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return what :attr:`output_names` says.

        ``clips (B,3,T,H,W)``, or ``(B,1,3,T,H,W)`` as OpenVINO's Model API gives them, are normalised. The logits are ``(B,K)``,
        the maps ``(B,N,T',h,w)``, the features ``(B,C)`` and the bias ``(B,N)``, with N classes: all, or that of ``class_index``.
        """
        if clips.ndim == 6:
            clips = clips.squeeze(1)
        logits, *cells = run_with_cells(self.network, self.spec, clips)
        features = torch.cat([a.mean(CELLS) for a in cells], dim=1)
        rows, bias = self._rows(features, class_index)
        maps, first = [], 0
        for a, share in zip(cells, self.shares, strict=True):
            block = rows[:, :, first : first + a.shape[1]]
            first += a.shape[1]
            one = block @ a.flatten(2) / math.prod(a.shape[2:])
            over_time = one.reshape(one.shape[0], one.shape[1], a.shape[2], a.shape[3] * a.shape[4])
            if len(cells) > 1:
                over_time = share @ over_time
            maps.append(over_time.reshape(one.shape[0], one.shape[1], share.shape[0], *a.shape[3:]))
        return logits, sum(maps[1:], maps[0]), features, bias.expand(features.shape[0], -1), *cells

    def _rows(self, features: Tensor, class_index: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the head as it acts on each clip: ``rows (B,N,C)`` and ``bias (B,N)``, as in :mod:`vidcam.methods.cam`."""
        deviation = None
        hidden = features
        if self.head.norm is not None:
            deviation = (features.var(dim=1, unbiased=False, keepdim=True) + self.head.epsilon).sqrt()
            hidden = features / deviation
        layers = [(self.get_buffer(weight), self.get_buffer(bias)) for weight, bias in self.layers]
        weight, bias = layers[-1]
        if class_index is not None:
            weight, bias = weight.index_select(0, class_index), bias.index_select(0, class_index)
        rows, total = weight[None], bias[None]
        gates = []
        for weight, bias in layers[:-1]:
            z = nn.functional.linear(hidden, weight, bias)
            hidden = z.clamp(0, self.head.ceiling) if math.isfinite(self.head.ceiling) else z.relu()
            is_open = ((z > 0) & (z < self.head.ceiling)).float() if math.isfinite(self.head.ceiling) else (z > 0).float()
            gates.append((weight, bias, is_open, hidden * (1 - is_open)))  # a closed unit gives 0, a saturated one the ceiling
        for weight, bias, is_open, saturated in reversed(gates):
            total = total + (rows * (is_open * bias + saturated)[:, None]).sum(2)
            rows = (rows * is_open[:, None]) @ weight
        return (rows if deviation is None else rows / deviation[:, None]), total
