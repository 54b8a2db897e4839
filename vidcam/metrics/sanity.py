"""Does the map depend on what the network has learned, and on the class? (Adebayo et al. 2018, Sanity checks for saliency.)"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

from vidcam.engine import Engine
from vidcam.engine.pytorch import TorchEngine
from vidcam.methods import core
from vidcam.models.loading import LoadedModel
from vidcam.values import FloatArray, UInt8Array

__all__ = ["cascade", "rank_correlation", "repeated", "sensitivity"]


def rank_correlation(a: FloatArray, b: FloatArray) -> float:
    """Spearman's correlation of two maps of one shape, ties sharing their mean rank; NaN where one of them is constant."""
    x, y = (_ranks(np.asarray(m, np.float64).ravel()) for m in (a, b))
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / size if size else math.nan


def _ranks(values: FloatArray) -> FloatArray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse])


def cascade(
    engine: Engine, frames: UInt8Array, target: core.Target, method: core.Method, *, seed: int = 0
) -> Iterator[tuple[str, float]]:
    """For each layer with weights, from the head down: its name, and how much the map of the clip ``(T,H,W,3)`` still resembles
    the first one once this layer and all above it are random.

    A layer is re-drawn with the standard deviation of its own values (batch norms: reset). The engine is left alone; a copy of
    the network is changed. A true explanation loses its map: the rank correlation falls to about 0. Where no evidence is left at
    all, as in a network that lets nothing through, there is no map to compare: NaN.
    """
    net = copy.deepcopy(engine.explained.module)
    loaded = LoadedModel(engine.spec, net, engine.labels, None, None)
    changed = TorchEngine(loaded, engine.device, chunk=engine.chunk, fold=False)  # the network itself, as it is at the moment
    first = _map(engine, frames, target, method)
    generator = torch.Generator().manual_seed(seed)
    layers = [(name, m) for name, m in net.named_modules() if any(True for _ in m.parameters(recurse=False))]
    for name, layer in reversed(layers):
        _redraw(layer, generator)
        yield name, rank_correlation(first, _map(changed, frames, target, method))


@torch.no_grad()
def _redraw(layer: nn.Module, generator: torch.Generator) -> None:
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        layer.reset_parameters()
        return
    for p in layer.parameters(recurse=False):
        std = float(p.float().std()) if p.numel() > 1 else 1.0
        p.copy_(torch.randn(p.shape, generator=generator).to(p) * std)


def sensitivity(engine: Engine, frames: UInt8Array, targets: Sequence[core.Target], method: core.Method) -> float | None:
    """How much the maps of other classes resemble that of the first of at least two ``targets``: the mean rank correlation.

    Near 1 the map shows what is salient and not why this class was said; near 0, or below, each class has its own. None where
    no two maps can be compared.
    """
    found = core.explain(engine, frames[None], targets, method)
    maps = [np.concatenate([m[0, n].ravel() for m in found.maps]) for n in range(len(targets))]
    alike = [r for r in (rank_correlation(maps[0], other) for other in maps[1:]) if not math.isnan(r)]
    return float(np.mean(alike)) if alike else None


def repeated(engine: Engine, frames: UInt8Array, target: core.Target, method: core.Method) -> float:
    """The largest difference between two runs, as a share of the largest value: 0 where the method is repeatable."""
    a, b = (_map(engine, frames, target, method) for _ in range(2))
    return float(np.abs(a - b).max() / max(float(np.abs(a).max()), 1e-12))


def _map(engine: Engine, frames: UInt8Array, target: core.Target, method: core.Method) -> FloatArray:
    found = core.explain(engine, frames[None], [target], method)
    return np.concatenate([m[0, 0].ravel() for m in found.maps])
