"""A network whose evidence is known: it fires on saturated red and on nothing else.

Two ways to come from pixels to cells, which put the centres of the cells at different places: non-overlapping patches (half-pixel
aligned) and strided 3x3x3 averages with padding (cell j of stride 8 is centred on pixel 8j).
"""

from __future__ import annotations

import torch
from torch import nn

LABELS = ("red square", "nothing")


class Planted(nn.Module):
    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.red = nn.Conv3d(3, 1, 1)
        self.trunk = trunk
        self.head = nn.Linear(1, 2)
        with torch.no_grad():
            self.red.weight.copy_(torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1, 1))
            self.red.bias.fill_(-0.4)  # grey, white and every other colour stay below zero
            self.head.weight.copy_(torch.tensor([[500.0], [-500.0]]))
            self.head.bias.copy_(torch.tensor([-1.0, 1.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cells = self.trunk(torch.relu(self.red(x)))
        return self.head(cells.mean(dim=(2, 3, 4)))


def _averages(stride: tuple[int, int, int]) -> nn.Conv3d:
    conv = nn.Conv3d(1, 1, 3, stride=stride, padding=1, bias=False)
    nn.init.constant_(conv.weight, 1 / 27)
    return conv


def patches() -> nn.Module:
    net = Planted(nn.Sequential(nn.AvgPool3d((1, 8, 8))))
    net.vidcam = {**FACTS, "layer": "trunk", "own_weights": True}  # type: ignore[assignment]
    return net


def strided() -> nn.Module:
    net = Planted(nn.Sequential(_averages((1, 2, 2)), _averages((2, 2, 2)), _averages((1, 2, 2))))
    net.vidcam = {**FACTS, "layer": "trunk", "own_weights": True}  # type: ignore[assignment]
    return net


FACTS = {
    "frames": 8,
    "interval_s": 0.1,
    "resize": 128,
    "crop": (112, 112),
    "mean": (0.0, 0.0, 0.0),
    "std": (1.0, 1.0, 1.0),
    "labels": LABELS,
}


def spec_facts(net: nn.Module) -> dict[str, object]:
    """The facts of a planted network's ``vidcam`` as those of a ModelSpec."""
    renamed = {"frames": "num_frames", "interval_s": "seconds_between_frames", "layer": "target_layer"}
    facts: dict[str, object] = dict(net.vidcam)  # type: ignore[arg-type]
    return {renamed.get(key, key): value for key, value in facts.items() if key not in ("labels", "own_weights")}
