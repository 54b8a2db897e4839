"""Which input pixels a cell of the explained layer looks at, and from that where its cells are.

``python -m vidcam.methods.receptive_field [MODEL ...]`` measures the registered models anew and rewrites
``vidcam/models/placements.json``.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn

from vidcam.engine.base import TorchModel
from vidcam.engine.hooks import capture
from vidcam.errors import UsageError
from vidcam.io.files import atomic_write
from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry, Cells, measure, to_json
from vidcam.models import registry
from vidcam.values import FloatArray

__all__ = ["influence", "locate", "random_model", "remeasure"]

Triple = tuple[int, int, int]

CELLS = range(5, 9)
"""How many on each axis of the probed clip: with fewer, the border cuts into all of them; more only take longer."""

NETWORKS = 4


def influence(
    explained: TorchModel, *, pathway: int = 0, clip: Triple | None = None, seed: int = 0
) -> Callable[[Cells], FloatArray]:
    """A function of cells ``(t, y, x)`` of the explained layer (None: all on that axis): how much each input pixel moves them.

    What that returns is ``(T, H, W)`` float64 with sum 1: the energy of the gradient, with respect to a clip of noise, of a
    random mix of the cells' channels, summed over colours. (Luo et al. 2016, "Understanding the effective receptive field in
    deep convolutional neural networks", section 4.1, differentiate the sum of the channels of one cell.) ``clip`` is (T, H, W),
    the model's own by default. One forward pass serves all questions; the model is left as it was.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, 3, *(clip or _clip(explained)), generator=generator).to(_like(explained)).requires_grad_()
    with capture(explained, differentiate="trunk") as run:
        features = run(noise).features[pathway]

    def ask(cells: Cells) -> FloatArray:
        with torch.enable_grad():
            chosen = features[(0, slice(None), *(slice(None) if i is None else i for i in cells))]
            mixed = (chosen * torch.randn(chosen.shape, generator=generator).to(chosen)).sum()
        (gradient,) = torch.autograd.grad(mixed, noise, retain_graph=True)
        energy = gradient[0].detach().double().square().sum(0).cpu().numpy()
        if not energy.any():
            raise UsageError(f"cells {cells} of layer {explained.layer!r} do not depend on the input: choose another layer")
        found: FloatArray = energy / energy.sum()
        return found

    return ask


def locate(*alike: TorchModel, seed: int = 0) -> tuple[CellGeometry, ...]:
    """The measured placement of each pathway of the explained layer; the mean influence of several networks of one architecture.

    A network that takes other clips is measured on one that has about :data:`CELLS` cells on each axis. Its length differs from
    the model's own by whole total strides, so that paddings that depend on it stay the same.
    """
    clip = _clip(alike[0])
    grids = _grids(alike[0], clip)
    probed, asked = clip, grids
    if len(grids) == 1:  # how several pathways share the frames depends on the length of the clip
        probed, asked = _better(alike[0], clip, grids[0])

    def shared(pathway: int) -> Callable[[Cells], FloatArray]:
        asks = [influence(one, pathway=pathway, clip=probed, seed=seed + n) for n, one in enumerate(alike)]
        return lambda cells: sum((ask(cells) for ask in asks[1:]), asks[0](cells)) / len(asks)

    found = (measure(shared(n), clip=probed, grid=grid) for n, grid in enumerate(asked))
    return tuple(
        CellGeometry(*(AxisGeometry(a.offset, a.stride, n) for a, n in zip((p.time, p.y, p.x), grid, strict=True)))
        for p, grid in zip(found, grids, strict=True)
    )


def remeasure(names: Sequence[str], path: Path) -> None:
    """Measure the registered models ``names`` with random weights and put them into the table at ``path`` (JSON).

    Each as :data:`NETWORKS` networks: the few channels of a small one lean to one side by chance.
    """
    table = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name in names:
        alike = [random_model(registry.get(name), seed=n) for n in range(NETWORKS)]
        found = to_json(locate(*alike))
        table[name] = {"layer": alike[0].layer, "clip": _clip(alike[0]), "pathways": found}
        rows = ",\n".join(f" {json.dumps(k)}: {json.dumps(table[k])}" for k in registry.names() if k in table)
        with atomic_write(path, overwrite=True) as file:
            file.write_text("{\n" + rows + "\n}\n", encoding="utf-8")


def random_model(spec: registry.ModelSpec, *, seed: int = 0) -> TorchModel:
    """The architecture of ``spec`` with random weights that favour no side and look straight ahead.

    - A convolution's taps differ in sign only, for few channels of normal weights lean to one side by chance; where it is
      padded on both sides alike, they fall off from the middle, which keeps the border out of what the middle cells see.
    - Linear layers are weak: in transformers the residual path leads, as it does once they are trained.
    - Scales that start at zero are drawn, for they would hide whole branches.
    - Batch norms take the statistics of noise. Without them the features of random nets hardly vary but near the border, and max
      pooling would always look away from it.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        module = spec.build().eval()
        for name, p in module.named_parameters():
            if not name.endswith("bias") and not p.any():
                p.normal_(std=0.5)
        for m in module.modules():
            if isinstance(m, nn.Conv3d):
                taps = torch.ones(m.kernel_size)
                if m.padding == tuple(k // 2 for k in m.kernel_size):
                    for axis, k in enumerate(m.kernel_size):
                        fall = 0.125 ** (torch.arange(k) - k // 2).abs()
                        taps *= fall.view([-1 if a == axis else 1 for a in range(3)])
                m.weight.copy_(
                    torch.randn_like(m.weight).sign() * taps * (m.weight.square().mean() / taps.square().mean()).sqrt()
                )
            elif isinstance(m, nn.Linear):
                m.weight.mul_(0.25)
            elif isinstance(m, nn.BatchNorm3d):
                m.train().momentum = 1.0
        module(torch.randn(1, 3, spec.frames, *spec.crop))
    return TorchModel(module.eval(), spec)


def _clip(explained: TorchModel) -> Triple:
    return explained.spec.frames, *explained.spec.crop


def _like(explained: TorchModel) -> Tensor:
    return next(explained.module.parameters(), torch.empty(0))


def _grids(explained: TorchModel, clip: Triple) -> tuple[Triple, ...]:
    with capture(explained) as run:
        features = run(torch.zeros(1, 3, *clip).to(_like(explained))).features
    return tuple((f.shape[2], f.shape[3], f.shape[4]) for f in features)


def _better(explained: TorchModel, clip: Triple, grid: Triple) -> tuple[Triple, tuple[Triple, ...]]:
    """A clip with CELLS cells on each axis, and its grid; the model's own where it takes no other."""
    more = [0 if count in CELLS else CELLS.start - count for count in grid]
    strides = [2 ** round(math.log2(length / count)) for length, count in zip(clip, grid, strict=True)]
    t, y, x = (length + m * s for length, m, s in zip(clip, more, strides, strict=True))
    if any(more):
        with suppress(Exception):  # a network may refuse another size in whatever way it likes
            grids = _grids(explained, (t, y, x))
            if grids == (tuple(count + m for count, m in zip(grid, more, strict=True)),):
                return (t, y, x), grids
    return clip, (grid,)


if __name__ == "__main__":
    for _name in sys.argv[1:] or registry.names():
        sys.stderr.write(f"{_name}\n")
        remeasure([_name], Path(__file__).parents[1] / "models" / "placements.json")
