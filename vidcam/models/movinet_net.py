"""MoViNet-A0, causal: the stream network, run over a whole clip at once.

Kondratyuk et al., CVPR 2021, arXiv:2103.11511.

The published stream sees one frame at a time. It keeps a buffer of past activations before every temporal convolution and a
running mean before the classifier. Started empty and run over T frames, it computes the same as a 3-D network that pads T frames
with zeros on the past side of every temporal convolution and averages over all of them. That network is here, so that every frame
of a clip has its own evidence and gradients flow through it. It follows the published int8 graph, which is leaner than the
paper's: ReLU6 instead of hard swish, no squeeze and excitation, batch norms folded into the convolutions.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["BLOCKS", "IMAGE_SIZE", "Block", "BlockShape", "CausalConv", "MoViNetA0"]

IMAGE_SIZE = 172
STEM_CHANNELS = 8
FEATURES = 480
HIDDEN = 2048
CLASSES = 600


class BlockShape(NamedTuple):
    """One bottleneck: inner and outer channels, sizes of its kernels, and stride.

    ``side`` is that of the spatial kernel, ``past`` the length of the temporal one (1: none).
    """

    inner: int
    out: int
    side: int
    past: int
    stride: int


BLOCKS = (
    BlockShape(24, 8, 5, 1, 2),
    BlockShape(80, 32, 3, 3, 2),
    BlockShape(80, 32, 3, 3, 1),
    BlockShape(80, 32, 3, 3, 1),
    BlockShape(184, 56, 3, 5, 2),
    BlockShape(112, 56, 3, 3, 1),
    BlockShape(184, 56, 3, 3, 1),
    BlockShape(184, 56, 3, 5, 1),
    BlockShape(184, 56, 3, 3, 1),
    BlockShape(184, 56, 3, 3, 1),
    BlockShape(184, 56, 3, 3, 1),
    BlockShape(384, 104, 3, 5, 2),
    BlockShape(280, 104, 5, 1, 1),
    BlockShape(280, 104, 5, 1, 1),
    BlockShape(344, 104, 5, 1, 1),
)
"""The blocks of table 11 of the paper (A0), as the published graph has them."""


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the zeros before and after an axis in TensorFlow's 'SAME' padding.

    There are ceil(size / stride) outputs; an odd zero goes *after*.
    """
    size = int(size)  # while a network is traced it is a tensor, whose division ONNX would round to zero instead of down
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class CausalConv(nn.Conv3d):
    """A convolution with TensorFlow's 'SAME' padding in space and zeros on the past side in time."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int, int], *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride=(1, stride, stride), groups=groups)

    def forward(self, input: Tensor) -> Tensor:
        time, height, width = self.kernel_size
        _, stride_y, stride_x = self.stride
        top, bottom = same_padding(input.shape[3], height, stride_y)
        left, right = same_padding(input.shape[4], width, stride_x)
        return super().forward(F.pad(input, (left, right, top, bottom, time - 1, 0)))


class SamePool(nn.Module):
    """The 3x3 mean with stride 2 over the picture alone, without the padding of TensorFlow's 'SAME'."""

    def forward(self, x: Tensor) -> Tensor:
        pads = (*same_padding(x.shape[4], 3, 2), *same_padding(x.shape[3], 3, 2))
        inside = F.pad(x.new_ones(1, 1, 1, *x.shape[3:]), pads)
        # both are means over 9 cells; their ratio is the mean over the cells inside the picture
        return F.avg_pool3d(F.pad(x, pads), (1, 3, 3), (1, 2, 2)) / F.avg_pool3d(inside, (1, 3, 3), (1, 2, 2))


def with_relu6(conv: CausalConv) -> nn.Sequential:
    """Return the convolution followed by ReLU6."""
    return nn.Sequential(OrderedDict(conv=conv, clip=nn.ReLU6()))


class Block(nn.Module):
    """Widens, filters each channel in space and in time, narrows, scales (ReZero), and adds the input."""

    def __init__(self, inputs: int, shape: BlockShape) -> None:
        super().__init__()
        inner, out, side, past, stride = shape
        self.expand = with_relu6(CausalConv(inputs, inner, (1, 1, 1)))
        self.spatial = with_relu6(CausalConv(inner, inner, (1, side, side), stride=stride, groups=inner))
        self.temporal = with_relu6(CausalConv(inner, inner, (past, 1, 1), groups=inner)) if past > 1 else None
        self.shrink = CausalConv(inner, out, (1, 1, 1))
        self.scale = nn.Parameter(torch.ones(()))
        resized = stride > 1 or inputs != out
        self.skip = nn.Sequential(OrderedDict(pool=SamePool(), conv=CausalConv(inputs, out, (1, 1, 1)))) if resized else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.spatial(self.expand(x))
        if self.temporal is not None:
            y = self.temporal(y)
        skipped: Tensor = x if self.skip is None else self.skip(x)
        out: Tensor = skipped + self.scale * self.shrink(y)
        return out


class MoViNetA0(nn.Module):
    """Gives logits ``(B, 600)`` after the last frame of clips ``(B, 3, T, 172, 172)``.

    Clips are RGB in [0, 1] with any T and 0.2 s between frames. ``project`` gives the map ``(B, 480, T, 6, 6)`` whose mean is
    classified. Nothing before that mean looks ahead: cell t depends on frames up to t only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = with_relu6(CausalConv(3, STEM_CHANNELS, (1, 3, 3), stride=2))
        inputs = (STEM_CHANNELS, *(shape.out for shape in BLOCKS))
        self.blocks = nn.Sequential(*(Block(n, shape) for n, shape in zip(inputs, BLOCKS, strict=False)))
        self.project = with_relu6(CausalConv(inputs[-1], FEATURES, (1, 1, 1)))
        self.hidden = nn.Linear(FEATURES, HIDDEN)
        self.clip = nn.ReLU6()
        self.classifier = nn.Linear(HIDDEN, CLASSES)

    def forward(self, clip: Tensor) -> Tensor:
        features: Tensor = self.project(self.blocks(self.stem(clip)))
        logits: Tensor = self.classifier(self.clip(self.hidden(features.mean((2, 3, 4)))))
        return logits
