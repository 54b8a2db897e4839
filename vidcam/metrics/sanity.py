"""Sanity checks after Adebayo et al. 2018: does the map depend on what the network has learned, and on the class?"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

from vidcam.engine import Engine
from vidcam.engine.pytorch import TorchEngine
from vidcam.methods.core import Target, explain
from vidcam.methods.method import Method
from vidcam.metrics.ranks import rank_correlation
from vidcam.models.loading import LoadedModel
from vidcam.values import FloatArray, UInt8Array

__all__ = ["Cascade", "explain_once", "layers_with_weights", "mprt", "random_logit", "repeat_error"]


class Cascade:
    """The model parameter randomisation test of Adebayo et al. 2018, section 3.1 (cascading), on a clip ``(T,H,W,3)``.

    From the head down, layers with weights are drawn anew from a normal distribution with the standard deviation of their own
    values; batch norms are reset. A copy of the network is changed, not the engine's. A true explanation loses its map: the rank
    correlation with the first map falls to about 0.

    Attributes:
        names: The layers with weights, from the head down.
    """

    def __init__(self, engine: Engine, frames: UInt8Array, target: Target, method: Method, *, seed: int = 0) -> None:
        net = copy.deepcopy(engine.model.module)
        loaded = LoadedModel(engine.spec, net, engine.labels, None, None)
        self._engine = TorchEngine(loaded, engine.device, chunk=engine.chunk, fold=False)  # sees each change of the network
        self._explained = frames, target, method
        self._generator = torch.Generator().manual_seed(seed)
        self._layers = dict(layers_with_weights(net))
        self._randomised = 0
        self.names = tuple(self._layers)

    def can_reach(self, index: int) -> bool:
        """Return whether no layer below ``index`` of :attr:`names` is random already."""
        return index + 1 >= self._randomised

    def randomise(self, index: int) -> FloatArray:
        """Return the map after layer ``index`` of :attr:`names` and all above it were made random; the index may only grow."""
        for name in self.names[self._randomised : index + 1]:
            _randomise(self._layers[name], self._generator)
        self._randomised = index + 1
        return explain_once(self._engine, *self._explained)


def layers_with_weights(net: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the names and layers that have weights of their own, from the head down."""
    return [(name, m) for name, m in net.named_modules() if any(True for _ in m.parameters(recurse=False))][::-1]


def mprt(engine: Engine, frames: UInt8Array, target: Target, method: Method, *, seed: int = 0) -> Iterator[tuple[str, float]]:
    """Run :class:`Cascade` for all layers: yield each one's name and the rank correlation of its map with the first.

    The correlation is NaN if no evidence is left, as in a network that lets nothing through.
    """
    first = explain_once(engine, frames, target, method)
    cascade = Cascade(engine, frames, target, method, seed=seed)
    for index, name in enumerate(cascade.names):
        yield name, rank_correlation(first, cascade.randomise(index))


@torch.no_grad()
def _randomise(layer: nn.Module, generator: torch.Generator) -> None:
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        layer.reset_parameters()
        return
    for p in layer.parameters(recurse=False):
        std = float(p.float().std()) if p.numel() > 1 else 1.0
        p.copy_(torch.randn(p.shape, generator=generator).to(p) * std)


def random_logit(engine: Engine, frames: UInt8Array, targets: Sequence[Target], method: Method) -> float | None:
    """Return how much maps of other classes resemble that of the first target: the mean rank correlation over ``targets``.

    This is the Random Logit test of Sixt et al. 2020, section 4.3, with given classes instead of random ones. Near 1 the map
    shows what is salient and not why this class was predicted; near 0 or below, each class has its own map. Needs at least two
    targets. None if no two maps can be compared.
    """
    attribution = explain(engine, frames[None], targets, method)
    maps = [np.concatenate([m[0, n].ravel() for m in attribution.maps]) for n in range(len(targets))]
    correlations = [r for r in (rank_correlation(maps[0], other) for other in maps[1:]) if not math.isnan(r)]
    return float(np.mean(correlations)) if correlations else None


def repeat_error(first: FloatArray, second: FloatArray) -> float:
    """Return the largest difference between the maps of two runs as a share of the largest value: 0 if they are the same."""
    return float(np.abs(first - second).max() / max(float(np.abs(first).max()), 1e-12))


def explain_once(engine: Engine, frames: UInt8Array, target: Target, method: Method) -> FloatArray:
    """Return the map of one clip ``(T,H,W,3)`` as a row of numbers, all pathways one after the other."""
    return np.concatenate([m[0, 0].ravel() for m in explain(engine, frames[None], [target], method).maps])
