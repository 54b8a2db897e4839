"""VideoPrism: attention over each picture, then over time at each place; an attentive pooler reads the tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidcam.models.huggingface.family import Cells, Family, attention_of
from vidcam.models.huggingface.processor import Pixels
from vidcam.models.spec import Attention

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["FAMILY"]


class VideoPrism(Family):
    """VideoPrism fine-tuned for classification (Zhao et al. 2024)."""

    model_type = "videoprism_vision_model"
    title = "VideoPrism"
    paper = "https://arxiv.org/abs/2402.13217"
    input = "pixel_values_videos"
    pixels = Pixels((288, 288), (288, 288), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assumed_seconds = 1 / 8
    licence = "CC BY 4.0"
    licence_source = (
        "the README of `google-deepmind/videoprism`, for all that is not software; the pages of its encoders were not verified"
    )

    def cells(self, config: Any, frames: int) -> Cells:
        t, h, w = (int(n) for n in config.tubelet_size)
        grid = self.grid(config, frames, (t, h, w))
        # The last norm gives the places of all clips one after the other, (B*h*w, T, C).
        return Cells("vision_model.layernorm2", grid, (t, h, w), 0, order="hwt", layout="folded-tokens")

    def attention(self, config: Any, cells: Cells) -> Attention:
        return attention_of(cells, "factorised", pooler="head")

    def logits(self, network: nn.Module, clips: Tensor) -> Tensor:
        return super().logits(network, clips).flatten(1)  # the query that pools keeps its own axis, (B, 1, K)


FAMILY = VideoPrism()
