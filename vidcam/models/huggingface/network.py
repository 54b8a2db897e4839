"""A network of transformers as vidcam runs it: from clips ``(B, 3, T, H, W)`` to logits. This module imports torch."""

from __future__ import annotations

from torch import Tensor, nn

from vidcam.models.huggingface.family import Family

__all__ = ["VideoTransformer"]


class VideoTransformer(nn.Module):
    """A network of transformers, and the adapter of its family that makes its inputs and reads its answer."""

    def __init__(self, net: nn.Module, family: Family) -> None:
        super().__init__()
        self.net, self.family = net, family

    def forward(self, clips: Tensor) -> Tensor:
        return self.family.logits(self.net, clips)
