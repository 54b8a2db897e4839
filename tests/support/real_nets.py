"""The registered networks: all without values, one of each kind with values on clips that take a fraction of a second."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from vidcam.methods.receptive_field import shipped_geometry
from vidcam.models.adapters import PoolShare
from vidcam.models.loading import load
from vidcam.models.spec import ModelSpec
from vidcam.models.table import get_spec, list_specs

EVERYTHING = bool(os.environ.get("VIDCAM_TEST_EVERY_MODEL"))
"""Try every network with values, on clips of its own size: takes an hour."""

FRAMES, SIDE = 24, 64
"""A clip that is small for any network: two rows and columns and three time cells of the coarsest."""


def kind(spec: ModelSpec) -> tuple[object, ...]:
    """Return what tells the rows apart that take different ways through vidcam's code."""
    head = spec.head and (len(spec.head.classifiers), spec.head.ceiling)
    attention = spec.attention and spec.attention.kind
    return spec.family, spec.build.__qualname__, spec.layout, head, attention, len(spec.time_cells), spec.compiles


def first_of_each_kind() -> list[ModelSpec]:
    """Return the first row of each kind, in the table's order: a new row of a new kind is among them."""
    rows: dict[tuple[object, ...], ModelSpec] = {}
    for spec in list_specs():
        rows.setdefault(kind(spec), spec)
    return list(rows.values())


WITH_VALUES = list(list_specs()) if EVERYTHING else first_of_each_kind()


def each(rows: Iterable[ModelSpec]) -> list[object]:
    """Return the rows as parameters of a test; all tests of one network run in one process, which builds it once."""
    return [pytest.param(spec, id=spec.name, marks=pytest.mark.xdist_group(spec.name)) for spec in rows]


# Official networks -------------------------------------------------------------------------------------------------------------


PACKAGED = ("torchvision", "pytorchvideo")
"""The families whose networks are those of a package of others."""


def package(spec: ModelSpec) -> ModuleType | None:
    """Return where the authors' package has the constructor called like the row; None for families that are no package."""
    if spec.family == "torchvision":
        from torchvision.models import video

        return video
    if spec.family == "pytorchvideo":
        get_spec("x3d_xs").build()  # imports the package without its warnings
        from pytorchvideo.models import hub

        return hub
    return None


def official(spec: ModelSpec) -> nn.Module | None:
    """Return the network as its authors' package makes it, with random weights."""
    home = package(spec)
    return None if home is None else getattr(home, spec.name)().eval()


@contextmanager
def small_positions(spec: ModelSpec) -> Iterator[ModelSpec]:
    """Give the row of a small clip, and let the package build a network whose table of positions is for it, if it has one.

    Three time cells are the fewest of which one is in the middle, and eight frames the fewest that methods may cut up.
    """
    home, time = package(spec), 8
    if spec.layout != "tokens" or spec.grid is None or home is None:
        measured = shipped_geometry(spec.name, spec.target_layer, clip=(spec.num_frames, *spec.crop))
        time, side = (measured[0].time.stride, measured[0].y.stride) if measured else (FRAMES / 3, SIDE / 2)
        frames = max(8, 4 * round(3 * time / 4))  # SlowFast takes multiples of four
        side = max(32, math.ceil(2 * side))
        yield replace(spec, num_frames=min(spec.num_frames, frames), crop=tuple(min(whole, side) for whole in spec.crop))
        return
    t, h, w = spec.grid
    grid = (t * time // spec.num_frames, h * SIDE // spec.crop[0], w * SIDE // spec.crop[1])
    with pytest.MonkeyPatch.context() as patch:
        if spec.family == "torchvision":
            size = {"spatial_size": (SIDE, SIDE), "temporal_size": time}
            whole = home.mvit.MViT
            patch.setattr(home.mvit, "MViT", lambda **facts: whole(**facts | size))
        else:
            patch.setattr(home, spec.name, partial(getattr(home, spec.name), spatial_size=SIDE, temporal_size=time))
        yield replace(spec, num_frames=time, crop=(SIDE, SIDE), grid=grid, time_cells=grid[:1])


def fit_pools(module: nn.Module) -> None:
    """Let a network whose last pooling is over so many cells take a smaller clip: it is over all there are from then on."""

    def fit(pool: nn.Module, inputs: tuple[Tensor]) -> None:
        pool.kernel_size = tuple(map(min, pool.kernel_size, inputs[0].shape[2:]))

    def fit_share(pool: nn.Module, inputs: tuple[Tensor]) -> None:
        pool.kernel = tuple(map(min, pool.kernel, inputs[0].shape[2:]))

    for pool in module.modules():
        if isinstance(pool, nn.AvgPool3d):
            pool.register_forward_pre_hook(fit)
        elif isinstance(pool, PoolShare):
            pool.register_forward_pre_hook(fit_share)


# Without values ----------------------------------------------------------------------------------------------------------------


def without_values(build: Callable[[], nn.Module]) -> nn.Module:
    """Return what ``build`` returns on the meta device: its tensors have names and shapes, and take no memory.

    Nothing is drawn meanwhile: that is what takes the time when a large network is built.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, function in vars(nn.init).items():
            if callable(function) and name.endswith("_") and not name.startswith("_"):
                patch.setattr(nn.init, name, lambda tensor, *_, **__: tensor)
        return build().eval().to("meta")


def leaves(module: nn.Module) -> list[nn.Module]:
    return [m for m in module.modules() if not list(m.children())]


@dataclass(frozen=True)
class Shapes:
    """One pass through a network without values, on a clip of the row's size."""

    spec: ModelSpec
    module: nn.Module
    layer: tuple[Tensor, ...]
    """What the explained layer gives, one for each pathway."""
    logits: Tensor
    after: list[nn.Module]
    """The modules without children that run after the explained layer."""


@lru_cache(maxsize=1)
def shapes(name: str) -> Shapes:
    """Return the registered network as it is without values."""
    spec = get_spec(name)
    module = without_values(spec.build)
    given: list[Tensor] = []
    after: list[nn.Module] = []
    handles = [leaf.register_forward_pre_hook(lambda m, _: after.append(m)) for leaf in leaves(module)]

    def keep(_module: nn.Module, _inputs: object, output: Tensor | list[Tensor]) -> None:
        given.extend(output if isinstance(output, list) else [output])
        after.clear()

    handles.append(module.get_submodule(spec.target_layer).register_forward_hook(keep))
    with torch.inference_mode(), torch.device("meta"):
        logits = module(torch.empty(1, 3, spec.num_frames, *spec.crop))
    for handle in handles:
        handle.remove()
    return Shapes(spec, module, tuple(given), logits, after)


# With values -------------------------------------------------------------------------------------------------------------------


def randomise(net: nn.Module) -> None:
    """Make every parameter and statistic different from what any constructor sets, so that one left out is seen."""
    generator = torch.Generator().manual_seed(1)
    for name, value in net.state_dict().items():
        if value.is_floating_point():
            noise = torch.randn(value.shape, generator=generator)
            value += 0.05 * noise.abs() if name.endswith("running_var") else 0.02 * noise


@dataclass(frozen=True)
class Network:
    """A registered network as vidcam loads it from a file that the official one left; ``spec`` has the size of ``clip``."""

    spec: ModelSpec
    module: nn.Module
    official: nn.Module | None
    clip: Tensor


def network(name: str, *, own_size: bool = False) -> Network:
    """Return the registered network with random weights, for a small clip or one of its own size. Tests leave it as it is."""
    return _network(name, own_size)  # a cache would take an argument left out for another one than its default


@lru_cache(maxsize=1)
def _network(name: str, own_size: bool) -> Network:
    row = get_spec(name)
    size = nullcontext(row) if own_size else small_positions(row)
    with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory() as folder, size as spec:
        torch.manual_seed(0)
        net, module = _pair(row, Path(folder))
    for one in () if own_size else (net, module):
        if one is not None:
            fit_pools(one)
    clip = torch.randn(1, 3, spec.num_frames, *spec.crop, generator=torch.Generator().manual_seed(0))
    return Network(spec, module, net, clip)


def _pair(row: ModelSpec, folder: Path) -> tuple[nn.Module | None, nn.Module]:
    net = official(row)
    if net is None or row.weights is None:
        module = row.build().eval()
        randomise(module)
        return None, module
    randomise(net)
    state = net.state_dict()
    file = folder / row.weights.filename
    torch.save({"model_state": state, "epoch": 7} if row.family == "pytorchvideo" else state, file)
    loaded = load(row.name, weights=file)
    assert loaded.spec == row
    return net, loaded.module


def average(maps: Iterable[Tensor], spec: ModelSpec) -> Tensor:
    """Return the average over the cells of all pathways, (B,C) in float64."""
    axes = (2, 3, 4) if spec.layout == "channels-first" else (1, 2, 3)
    return torch.cat([m.double().mean(axes) for m in maps], dim=1)


def head_on(value: Tensor, module: nn.Module, spec: ModelSpec) -> tuple[Tensor, Tensor]:
    """Return what the row's head makes of the layer's average ``value``, computed here from its weights; and its last bias."""
    bias = torch.zeros(())
    for i, name in enumerate(spec.head.classifiers):
        linear = module.get_submodule(name)
        weight = linear.weight.detach().double().reshape(linear.weight.shape[0], -1)
        bias = torch.zeros(()) if linear.bias is None else linear.bias.detach().double()
        if i:
            value = value.clip(0, spec.head.ceiling)
        value = torch.einsum("bc,kc->bk", value, weight) + bias
    return value, bias


def grid(m: Tensor, spec: ModelSpec) -> tuple[int, ...]:
    """Return (T', h, w) of what the explained layer gives."""
    if spec.layout == "tokens":
        assert m.shape[1] == 1 + math.prod(spec.grid)
        return spec.grid
    return tuple(m.shape[2:] if spec.layout == "channels-first" else m.shape[1:4])
