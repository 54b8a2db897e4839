"""Whatever a method draws follows from the seed of the settings, and from nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.tiny_nets import CLIP, explained

from vidcam.engine import TorchEngine
from vidcam.methods import core
from vidcam.methods.lookup import all_methods, get_method
from vidcam.methods.noise_tunnel import noise_tunnel
from vidcam.models.loading import LoadedModel
from vidcam.pipeline import Session
from vidcam.settings import Settings

RANDOM = [m.name for m in all_methods() if m.random] + ["smoothgrad:gradcam", "vargrad:cam"]


@pytest.fixture
def engine() -> TorchEngine:
    net = explained("plain")
    return TorchEngine(LoadedModel(net.spec, net.module, tuple("abcde"), None, None), "cpu")


def maps(engine: TorchEngine, name: str, seed: int) -> np.ndarray:
    frames = np.random.default_rng(0).integers(0, 255, (1, *CLIP, 3), dtype=np.uint8)
    method = Session(engine, Settings(method=name, seed=seed)).method
    assert method.name == name
    return core.explain(engine, frames, [core.Target(1)], method).maps[0]


@pytest.mark.parametrize("name", RANDOM)
def test_one_seed_one_map_another_seed_another_map(engine: TorchEngine, name: str) -> None:
    first, other = (maps(engine, name, seed) for seed in (0, 5))
    assert np.abs(first - other).max() > 1e-3 * np.abs(first).max()
    torch.manual_seed(99)
    np.random.seed(99)
    np.testing.assert_allclose(maps(engine, name, 5), other, rtol=1e-5, atol=1e-6 * np.abs(other).max())


def test_nothing_else_depends_on_the_seed(engine: TorchEngine) -> None:
    assert {"smoothgrad", "vargrad", "rise"} <= set(RANDOM)
    for method in all_methods():
        if not method.random and method.requires <= engine.spec.provides:
            assert Session(engine, Settings(method=method.name, seed=3)).method is method


def test_a_random_method_inside_another_has_the_same_seed() -> None:
    seeds: list[int] = []

    def draws(explained: core.TorchModel, clips: core.Clips, targets: core.Targets, *, seed: int = 0) -> core.Attribution:
        seeds.append(seed)
        return get_method("cam").explain(explained, clips, targets)

    inner = replace(get_method("cam"), name="draws", function=draws, random=True)
    clips = torch.zeros(1, 3, *CLIP)
    noise_tunnel(inner, samples=2).with_seed(7).explain(explained("plain"), clips, [core.Target(0)])
    assert seeds == [7, 7]
