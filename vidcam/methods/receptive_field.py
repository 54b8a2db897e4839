"""Where the cells of an explanation are: read from the table that ships with vidcam, from the cache, or measured now.

A cell is where its *effective receptive field* has its core: the pixels that change the cell's value most. Measuring it needs
torch and gradients; looking up a shipped or cached measurement does not import torch.

``python -m vidcam.methods.receptive_field [MODEL ...]`` measures the models of the table again and rewrites
``vidcam/models/placements.json``.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidcam.errors import UsageError
from vidcam.io.files import atomic_write
from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry, from_json, to_json
from vidcam.models.weights import cache_dir
from vidcam.values import FloatArray

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vidcam.engine.network import TorchModel
    from vidcam.methods.method import Method
    from vidcam.models.spec import ModelSpec

__all__ = [
    "effective_receptive_field", "fit_geometry", "layer_geometry", "measure_geometry", "method_geometry", "random_model",
    "remeasure_shipped", "shipped_geometry",
]  # fmt: skip

Triple = tuple[int, int, int]

Cells = tuple[int | None, int | None, int | None]
"""Cells ``(t, y, x)`` of a grid; None is every cell along that axis."""

ReceptiveField = Callable[[Cells], FloatArray]
"""How much each input pixel changes these cells: ``(T, H, W)``, not negative."""

CELLS = range(5, 9)
"""Cells along each axis of the clip that is measured: with fewer, the border cuts into all of them; more only take longer."""

NETWORKS = 4
"""Random networks of one architecture whose receptive fields are averaged: the channels of a small one lean to one side."""


# --- looking up ----------------------------------------------------------------------------------------------------------------


def method_geometry(method: Method, model: TorchModel) -> tuple[CellGeometry, ...]:
    """Return where the cells of a method's maps are, for each pathway: the method's own cells or the explained layer's."""
    geometry = method.geometry(model.spec)
    return layer_geometry(model) if geometry is None else (geometry,)


def layer_geometry(model: TorchModel, *, cache: Path | None = None) -> tuple[CellGeometry, ...]:
    """Return where the cells of each pathway of the explained layer are: as stated, shipped, cached, or measured now and cached.

    A cached measurement belongs to one network with its weights, one layer and one size of clip. The ``cache`` folder is by
    default beside the downloaded weights; if it cannot be written, the next process measures again.
    """
    spec = model.spec
    clip = _clip(model)
    if model.placements is not None:
        return from_json(model.placements)
    if spec.cells is not None and spec.grid is not None:
        laws = zip(spec.cells, spec.grid, strict=True)
        return (CellGeometry(*(AxisGeometry(offset, stride, count) for (offset, stride), count in laws)),)
    shipped = shipped_geometry(spec.architecture or spec.name, model.target_layer, clip=clip)
    if shipped is not None:
        return shipped
    if spec.differentiable:
        sums = [float(p.detach().double().abs().sum()) for p in model.module.parameters()]
        network: tuple[object, ...] = str(model.module), sums
    else:
        network = (spec.architecture,)
    facts = (model.target_layer, model.layout, spec.grid, spec.order, clip, *network)
    folder = cache or cache_dir() / "placements"
    path = folder / f"{hashlib.sha256(repr(facts).encode()).hexdigest()[:32]}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):  # no such file, or a damaged one: measure
        return from_json(json.loads(path.read_text(encoding="utf-8")))
    # Rounded as a cached measurement is, because the timeline joins maps whose centres agree exactly.
    geometry = from_json(to_json(measure_geometry(model) if spec.differentiable else (measure_by_changes(model),)))
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, overwrite=True) as file:
            file.write_text(json.dumps(to_json(geometry)), encoding="utf-8")
    return geometry


def shipped_geometry(name: str, layer: str, *, clip: Triple) -> tuple[CellGeometry, ...] | None:
    """Return the geometry that ships with vidcam, for each pathway; None if this model, layer or clip (T, H, W) is not in it."""
    row = _shipped().get(name)
    if row is None or row["layer"] != layer or tuple(row["clip"]) != clip:  # type: ignore[arg-type]
        return None
    return from_json(row["pathways"])


@lru_cache(maxsize=1)
def _shipped() -> dict[str, dict[str, object]]:
    text = (files("vidcam") / "models" / "placements.json").read_text(encoding="utf-8")
    table: dict[str, dict[str, object]] = json.loads(text)
    return table


# --- measuring -----------------------------------------------------------------------------------------------------------------


def effective_receptive_field(
    model: TorchModel, *, pathway: int = 0, clip: Triple | None = None, seed: int = 0
) -> ReceptiveField:
    """Return a function of cells of the explained layer that says how much each input pixel changes them.

    The function returns ``(T, H, W)`` float64 with sum 1: the squared gradient, with respect to a clip of noise, of a random mix
    of the cells' channels, summed over colours. Luo et al. 2016 ("Understanding the effective receptive field in deep
    convolutional neural networks", section 4.1) differentiate the plain sum of one cell's channels instead. ``clip`` is (T, H,
    W), by default the model's own. One forward pass serves all calls of the function, and the model is left unchanged.
    """
    import torch

    from vidcam.engine.hooks import capture

    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, 3, *(clip or _clip(model)), generator=generator).to(_like(model)).requires_grad_()
    with capture(model, differentiate="trunk") as run:
        activations = run(noise).activations[pathway]

    def receptive_field(cells: Cells) -> FloatArray:
        with torch.enable_grad():
            chosen = activations[(0, slice(None), *(slice(None) if i is None else i for i in cells))]
            mixed = (chosen * torch.randn(chosen.shape, generator=generator).to(chosen)).sum()
        (gradient,) = torch.autograd.grad(mixed, noise, retain_graph=True)
        energy: FloatArray = gradient[0].detach().double().square().sum(0).cpu().numpy()
        if not energy.any():
            raise UsageError(f"cells {cells} of layer {model.target_layer!r} do not depend on the input: choose another layer")
        share: FloatArray = energy / energy.sum()
        return share

    return receptive_field


def measure_geometry(*networks: TorchModel, seed: int = 0) -> tuple[CellGeometry, ...]:
    """Measure where the cells of each pathway are, from the mean receptive field of several networks of one architecture.

    A network that accepts clips of other sizes is measured on one that has about :data:`CELLS` cells along each axis. Its lengths
    differ from the model's own by whole total strides, so that paddings that depend on the length stay the same.
    """
    clip = _clip(networks[0])
    grids = _grids(networks[0], clip)
    measured_clip, measured_grids = clip, grids
    if len(grids) == 1:  # how several pathways share the frames depends on the length of the clip
        measured_clip, measured_grids = _with_enough_cells(networks[0], clip, grids[0])

    def mean_field(pathway: int) -> ReceptiveField:
        fields = [
            effective_receptive_field(network, pathway=pathway, clip=measured_clip, seed=seed + n)
            for n, network in enumerate(networks)
        ]
        return lambda cells: sum((field(cells) for field in fields[1:]), fields[0](cells)) / len(fields)

    fits = (fit_geometry(mean_field(n), clip=measured_clip, grid=grid) for n, grid in enumerate(measured_grids))
    return tuple(
        CellGeometry(*(AxisGeometry(a.offset, a.stride, n) for a, n in zip((fit.time, fit.y, fit.x), grid, strict=True)))
        for fit, grid in zip(fits, grids, strict=True)
    )


def measure_by_changes(model: TorchModel, *, seed: int = 0) -> CellGeometry:
    """Measure where the cells of a network without gradients are, by how much they change with parts of a clip of noise.

    Along each axis one frame, or a band of a few rows or columns, is replaced by other noise. What changes a plane of cells most
    is where they are, as in :func:`measure_geometry`.
    """
    clip = _clip(model)
    generator = np.random.default_rng(seed)
    noise, other = (generator.standard_normal((1, 3, *clip)).astype(np.float32) for _ in range(2))
    before = model.forward(noise).activations[0]
    grid: Triple = before.shape[2], before.shape[3], before.shape[4]

    def profiles(axis: int) -> FloatArray:
        """Return the change of each plane of cells by each frame, row or column, ``(cells, length)``."""
        length = clip[axis]
        step = max(1, round(length / grid[axis] / 4))
        found = np.zeros((grid[axis], length))
        for start in range(0, length, step):
            band: tuple[Any, ...] = (..., slice(start, start + step), *[slice(None)] * (2 - axis))
            changed = noise.copy()
            changed[band] = other[band]
            change = (model.forward(changed).activations[0].astype(np.float64) - before) ** 2
            share = change.sum(axis=tuple({0, 1, 2, 3, 4} - {axis + 2})) / len(range(length)[start : start + step])
            found[:, start : start + step] = share[:, None]
        return found

    measured = [profiles(axis) for axis in range(3)]

    def receptive_field(cells: Cells) -> FloatArray:
        (axis,) = (i for i, cell in enumerate(cells) if cell is not None)
        profile = measured[axis][cells[axis]]
        along = np.zeros(clip)
        along[tuple(slice(None) if i == axis else 0 for i in range(3))] = profile / max(profile.sum(), 1e-300)
        return along

    return fit_geometry(receptive_field, clip=clip, grid=grid)


def fit_geometry(receptive_field: ReceptiveField, *, clip: Triple, grid: Triple) -> CellGeometry:
    """Fit a linear law for the centres of a ``grid`` of cells over a ``clip`` (T, H, W) to their receptive fields.

    A plane of cells (all with one index on an axis) is centred where the *core* of its receptive field along that axis is: the
    part above three quarters of the maximum. The mean over the whole profile would be pulled aside by what the border cuts off,
    and in networks with global attention by the far field. At most three planes are measured, far from the borders if there is
    room; the straight line through them holds for all cells, because such networks do the same everywhere. A stride is taken as
    a power of two if that agrees with the planes' distance to a tenth of a cell (0.15 of a cell between neighbours near the
    borders). Raises UsageError for a receptive field of the wrong shape, or without finite values that are not all zero.
    """
    time, y, x = (_fit_axis(receptive_field, axis, clip, grid) for axis in range(3))
    return CellGeometry(time, y, x)


def _fit_axis(receptive_field: ReceptiveField, axis: int, clip: Triple, grid: Triple) -> AxisGeometry:
    length, count = clip[axis], grid[axis]
    ratio = length / count

    def core(j: int) -> tuple[float, float]:
        cells: list[int | None] = [None, None, None]
        cells[axis] = j
        pixels = np.asarray(receptive_field((cells[0], cells[1], cells[2])), dtype=np.float64)
        if pixels.shape != clip or not np.isfinite(pixels).all() or not pixels.any():
            raise UsageError(
                f"a receptive field must be finite, somewhere not zero and of shape {clip}, got {pixels.shape} at {cells}"
            )
        return _core(pixels.sum(axis=tuple({0, 1, 2} - {axis})), ratio)

    middle = (count - 1) // 2
    centre, radius = core(middle)
    # Two radii away from a border, the border cuts off next to nothing. Without room for that, the neighbours give only a rough
    # stride, and the offset is the middle plane's alone.
    room = max(0, int((min(centre, length - 1 - centre) - 2 * radius) / ratio))
    low, high = max(0, middle - max(count % 2, room)), min(count - 1, middle + max(1, room))
    measured = {j: centre if j == middle else core(j)[0] for j in sorted({low, middle, high})}
    cells, centres = np.array(list(measured), dtype=np.float64), np.array(list(measured.values()))
    stride = ratio
    if high > low and (slope := float(np.polyfit(cells, centres, 1)[0])) > 0.2 * ratio:
        stride = slope  # otherwise every cell sees the whole clip, and only the number of cells gives the stride
    power = 2.0 ** round(math.log2(stride))
    if abs(stride - power) <= (0.1 / (high - low) if room else 0.15) * power:
        stride = power
    offset = float(np.mean(centres - stride * cells)) if room else centre - stride * middle
    return AxisGeometry(offset, stride, count)


def _core(profile: FloatArray, width: float) -> tuple[float, float]:
    """Return centre and radius of what exceeds three quarters of a profile's maximum, after a moving mean over ``width``.

    The moving mean closes the comb that strided 1x1 shortcuts leave (one pixel of 16 passes). It is symmetric, so it does not
    shift the centre.
    """
    k = max(1, round(width))
    window = np.ones(k) if k % 2 else np.r_[0.5, np.ones(k - 1), 0.5]
    smooth = np.convolve(profile, window / k)
    excess = np.maximum(smooth - 0.75 * smooth.max(), 0.0)
    inside = np.flatnonzero(excess)
    centre = float((excess * np.arange(len(smooth))).sum() / excess.sum()) - (len(window) - 1) / 2
    return centre, float(inside[-1] - inside[0]) / 2


def _clip(model: TorchModel) -> Triple:
    return model.spec.num_frames, *model.spec.crop


def _like(model: TorchModel) -> Tensor:
    import torch

    return next(model.module.parameters(), torch.empty(0))


def _grids(model: TorchModel, clip: Triple) -> tuple[Triple, ...]:
    import torch

    from vidcam.engine.hooks import capture

    with capture(model) as run:
        activations = run(torch.zeros(1, 3, *clip).to(_like(model))).activations
    return tuple((a.shape[2], a.shape[3], a.shape[4]) for a in activations)


def _with_enough_cells(model: TorchModel, clip: Triple, grid: Triple) -> tuple[Triple, tuple[Triple, ...]]:
    """Return a clip with :data:`CELLS` cells along each axis and its grid; the model's own if it accepts no other size."""
    more = [0 if count in CELLS else CELLS.start - count for count in grid]
    strides = [2 ** round(math.log2(length / count)) for length, count in zip(clip, grid, strict=True)]
    t, y, x = (length + m * s for length, m, s in zip(clip, more, strides, strict=True))
    if any(more):
        with suppress(Exception):  # a network may refuse another size in any way
            grids = _grids(model, (t, y, x))
            if grids == (tuple(count + m for count, m in zip(grid, more, strict=True)),):
                return (t, y, x), grids
    return clip, (grid,)


# --- the shipped table ---------------------------------------------------------------------------------------------------------


def remeasure_shipped(names: Sequence[str], path: Path) -> None:
    """Measure the models ``names`` of the table with random weights, as :data:`NETWORKS` networks each, and update ``path``."""
    from vidcam.models.table import get_spec, list_models

    table = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name in names:
        networks = [random_model(get_spec(name), seed=n) for n in range(NETWORKS)]
        pathways = to_json(measure_geometry(*networks))
        table[name] = {"layer": networks[0].target_layer, "clip": _clip(networks[0]), "pathways": pathways}
        rows = ",\n".join(f" {json.dumps(k)}: {json.dumps(table[k])}" for k in list_models() if k in table)
        with atomic_write(path, overwrite=True) as file:
            file.write_text("{\n" + rows + "\n}\n", encoding="utf-8")


def random_model(spec: ModelSpec, *, seed: int = 0) -> TorchModel:
    """Return the architecture of ``spec`` with random weights whose receptive fields lean to no side.

    - The taps of a convolution differ in sign only, because few channels of normal weights lean to one side by chance. If it is
      padded alike on both sides, the taps fall off from the middle, which keeps the border out of the middle cells' fields.
    - Linear layers are weak: in transformers the residual path leads, as it does in trained ones.
    - Scales that start at zero are drawn, because they would hide whole branches.
    - Batch norms take the statistics of noise. Without them the activations of random networks hardly vary except near the
      border, and max pooling would always choose away from it.
    """
    import torch

    from vidcam.engine.network import TorchModel

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        module = spec.build().eval()
        for name, p in module.named_parameters():
            if not name.endswith("bias") and not p.any():
                p.normal_(std=0.5)
        for layer in module.modules():
            _soften(layer)
        module(torch.randn(1, 3, spec.num_frames, *spec.crop))
    return TorchModel(module.eval(), spec)


def _soften(layer: nn.Module) -> None:
    import torch
    from torch import nn

    if isinstance(layer, nn.Conv3d):
        taps = torch.ones(layer.kernel_size)
        if layer.padding == tuple(k // 2 for k in layer.kernel_size):
            for axis, k in enumerate(layer.kernel_size):
                fall = 0.125 ** (torch.arange(k) - k // 2).abs()
                taps *= fall.view([-1 if a == axis else 1 for a in range(3)])
        scale = (layer.weight.square().mean() / taps.square().mean()).sqrt()
        layer.weight.copy_(torch.randn_like(layer.weight).sign() * taps * scale)
    elif isinstance(layer, nn.Linear):
        layer.weight.mul_(0.25)
    elif isinstance(layer, nn.BatchNorm3d):
        layer.train().momentum = 1.0


if __name__ == "__main__":
    from vidcam.models.table import list_models

    for _name in sys.argv[1:] or list_models():
        sys.stderr.write(f"{_name}\n")
        remeasure_shipped([_name], Path(__file__).parents[1] / "models" / "placements.json")
