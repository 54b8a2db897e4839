"""Networks of a few hundred parameters that have the shapes and the habits of the real ones."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor, nn

from vidcam.methods.core import Attribution, TorchModel
from vidcam.models.spec import Head, ModelSpec

CLASSES = 5
CLIP = (4, 12, 12)


def spec(**changes) -> ModelSpec:
    row = ModelSpec(
        name="tiny",
        title="Tiny",
        family="tests",
        build=Plain,
        labels=lambda: tuple("abcde"),
        num_frames=CLIP[0],
        seconds_between_frames=0.1,
        resize=CLIP[1],
        crop=CLIP[1:],
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.25, 0.3),
        target_layer="trunk",
        head=None,
        time_cells=(4,),
        paper="",
    )
    return dataclasses.replace(row, **changes)


class Trunk(nn.Module):
    """(B,3,T,H,W) to (B,6,T,H/4,W/4) with the in-place habits of torchvision."""

    def __init__(self, channels: int = 6) -> None:
        super().__init__()
        self.stem = nn.Conv3d(3, channels, (3, 5, 5), stride=(1, 2, 2), padding=(1, 2, 2))
        self.norm = nn.BatchNorm3d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv3d(channels, channels, 3, stride=(1, 2, 2), padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(self.conv(self.relu(self.norm(self.stem(x)))) + 0.2)


class Plain(nn.Module):
    """Global average pooling and a linear layer; the row says so with ``Head(("fc",))``."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.dropout(self.trunk(x).mean((2, 3, 4))))


class Signed(Plain):
    """Like Plain, but the features that are pooled may be negative."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.trunk.conv(self.trunk.relu(self.trunk.norm(self.trunk.stem(x))))
        return self.fc(y.mean((2, 3, 4)))


class Gated(nn.Module):
    """X3D's head (``ceiling=inf``: pool, convolution without bias, ReLU, linear) or MoViNet's (pool, linear, ReLU6, linear)."""

    def __init__(self, ceiling: float) -> None:
        super().__init__()
        self.ceiling = ceiling
        self.trunk = Trunk()
        first: nn.Module = nn.Conv3d(6, 16, 1, bias=False) if ceiling == math.inf else nn.Linear(6, 16)
        self.first = first
        self.fc = nn.Linear(16, CLASSES)
        with torch.no_grad():
            for p in first.parameters():
                p.mul_(40)  # so that units are closed, open and, with a ceiling, saturated

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.trunk(x).mean((2, 3, 4), keepdim=True)
        hidden = self.first(pooled if isinstance(self.first, nn.Conv3d) else pooled.flatten(1))
        return self.fc(hidden.flatten(1).clamp_(0, self.ceiling))


class Deep(nn.Module):
    """A layer in the middle: in-place residual sums, a non-linear head, a branch that goes around the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.block = nn.Conv3d(6, 6, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.around = nn.Conv3d(3, 6, 1, stride=(1, 4, 4))
        self.fc = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        y = self.trunk(x)
        y *= 1.5
        out = self.block(y)
        out += y
        out = self.relu(out)
        return self.fc((out * self.around(x)).mean((2, 3, 4)))


class Pathways(nn.Module):
    """Two pathways of different length in one list, which what follows overwrites, as SlowFast does."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.slow, self.fast = Trunk(5), Trunk(3)

        def forward(self, x: list[Tensor]) -> list[Tensor]:
            x[0] = self.slow(x[0])
            x[1] = self.fast(x[1])
            return x

    def __init__(self) -> None:
        super().__init__()
        self.both = self.Both()
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        paths = self.both([x[:, :, ::2], x])
        for i, path in enumerate(paths):
            paths[i] = path.mean((2, 3, 4))
        return self.fc(torch.cat(paths, 1))


class ChannelsLast(nn.Module):
    """The last norm of Swin: (B, T, h, w, C), not behind a ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.norm = nn.LayerNorm(6)
        self.fc = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.trunk(x).permute(0, 2, 3, 4, 1))
        return self.fc(y.permute(0, 4, 1, 2, 3).mean((2, 3, 4)))


class Tokens(nn.Module):
    """A class token that reads the others once after ``norm``; after ``out`` only the class token counts, as in MViT."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.token = nn.Parameter(torch.randn(1, 1, 6))
        self.norm = nn.LayerNorm(6)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.out = nn.LayerNorm(6)
        self.fc = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        y = self.trunk(x).flatten(2).transpose(1, 2)
        y = self.norm(torch.cat([self.token.expand(len(x), -1, -1), y], 1))
        y = self.out(y + self.attention(y, y, y, need_weights=False)[0])
        return self.fc(y[:, 0])


GRID = (4, 3, 3)
NETS = {
    "plain": (Plain, {"head": Head(("fc",))}),
    "signed": (Signed, {"target_layer": "trunk.conv", "head": Head(("fc",))}),
    "x3d": (lambda: Gated(math.inf), {"head": Head(("first", "fc"))}),
    "movinet": (lambda: Gated(6.0), {"head": Head(("first", "fc"), ceiling=6.0)}),
    "pathways": (Pathways, {"target_layer": "both", "head": Head(("fc",)), "time_cells": (2, 4)}),
    "channels-last": (ChannelsLast, {"target_layer": "norm", "layout": "channels-last", "head": Head(("fc",))}),
    "deep": (Deep, {}),
    "tokens": (Tokens, {"target_layer": "norm", "layout": "tokens", "grid": GRID}),
}


def explained(name: str, seed: int = 0) -> TorchModel:
    build, facts = NETS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = build()
        for m in module.modules():
            if isinstance(m, nn.BatchNorm3d):
                m.running_mean.normal_(std=0.2)
                m.running_var.uniform_(0.5, 1.5)
    return TorchModel(module.eval(), spec(build=build, **facts))


def clips(n: int = 2, seed: int = 1) -> Tensor:
    return torch.randn(n, 3, *CLIP, generator=torch.Generator().manual_seed(seed))


def tensors(found: Attribution) -> Attribution:
    """The attribution with tensors in the place of its arrays, for tests that calculate with torch."""
    totals = None if found.totals is None else torch.from_numpy(found.totals)
    maps = tuple(torch.from_numpy(m) for m in found.maps)
    return dataclasses.replace(found, logits=torch.from_numpy(found.logits), maps=maps, totals=totals)
