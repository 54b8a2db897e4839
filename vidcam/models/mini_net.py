"""The network of ``mini``: residual (2+1)D blocks, global average pooling, one linear layer.

Nothing is pooled before the end and no stride runs over time, so every method is exact on it, and each sampled frame has its own
14 x 14 cells of evidence. A convolution with a stride has an even kernel, so that cell j is centred exactly on pixel 8 j + 3.5:
it stands for its own 8 x 8 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["Block", "Mini"]

STEM = 24
WIDTHS: tuple[tuple[int, int], ...] = ((24, 1), (48, 2), (64, 1), (80, 1), (96, 1), (96, 1), (96, 1))
"""``(channels, spatial stride)`` of the residual blocks, from 28 x 28 to 14 x 14 cells."""


class Block(nn.Module):
    """A convolution over space, one over time, and a skip (Tran et al. 2018, section 3.5).

    The grid is divided by ``stride``.
    """

    def __init__(self, channels: int, out: int, *, stride: int) -> None:
        super().__init__()
        k = 3 if stride == 1 else 2 * stride
        self.space = nn.Conv3d(
            channels, out, (1, k, k), (1, stride, stride), (0, (k - stride + 1) // 2, (k - stride + 1) // 2), bias=False
        )
        self.space_norm = nn.BatchNorm3d(out)
        self.space_relu = nn.ReLU(inplace=True)
        self.time = nn.Conv3d(out, out, (3, 1, 1), padding=(1, 0, 0), bias=False)
        self.time_norm = nn.BatchNorm3d(out)
        self.relu = nn.ReLU(inplace=True)
        same = stride == 1 and channels == out
        step = (1, stride, stride)
        self.skip = (
            nn.Identity() if same else nn.Sequential(nn.Conv3d(channels, out, step, step, bias=False), nn.BatchNorm3d(out))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.space_relu(self.space_norm(self.space(x)))
        out: Tensor = self.relu(self.time_norm(self.time(y)) + self.skip(x))
        return out


class Mini(nn.Module):
    """Map normalised clips ``(B,3,T,H,W)`` to logits ``(B,classes)``.

    ``blocks`` gives the cells ``(B,96,T,H/8,W/8)`` that are pooled.
    """

    def __init__(self, classes: int, *, stem: int = STEM, widths: Sequence[tuple[int, int]] = WIDTHS) -> None:
        super().__init__()
        over_time = nn.Conv3d(stem, stem, (3, 1, 1), padding=(1, 0, 0), groups=stem, bias=False)
        self.stem = nn.Sequential(
            nn.Conv3d(3, stem, (1, 8, 8), (1, 4, 4), (0, 2, 2), bias=False),
            over_time,
            nn.BatchNorm3d(stem),
            nn.ReLU(inplace=True),
        )
        blocks, channels = [], stem
        for out, stride in widths:
            blocks.append(Block(channels, out, stride=stride))
            channels = out
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(channels, classes)
        for m in self.modules():
            if isinstance(m, nn.Conv3d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
        # Half of the stem's channels start as the picture, half as its change over time: otherwise a moving arm is hard to find
        # among all sorts of clothes and rooms.
        present, change = torch.tensor([0.0, 1.0, 0.0]), torch.tensor([-0.7, 0.0, 0.7])
        with torch.no_grad():
            for channel, taps in enumerate(over_time.weight):
                taps.copy_((change if channel % 2 else present).view(1, 3, 1, 1))
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.dropout(self.blocks(self.stem(x)).mean((2, 3, 4))))
        return logits
