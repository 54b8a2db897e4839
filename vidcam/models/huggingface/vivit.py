"""ViViT: tubelets, and a class token that is classified; its processor makes pixels of -1..1 before it normalises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from vidcam.models.huggingface.family import Cells, Family, attention_of
from vidcam.models.huggingface.processor import Pixels
from vidcam.models.spec import Attention

__all__ = ["FAMILY"]


class ViViT(Family):
    """ViViT with attention over all of space and time (Arnab et al. 2021, model 1)."""

    model_type = "vivit"
    title = "ViViT"
    paper = "https://arxiv.org/abs/2103.15691"
    # Rescaled by 1/127.5, less 1, then normalised with mean and deviation 0.5.
    pixels = Pixels(256, (224, 224), (0.75, 0.75, 0.75), (0.25, 0.25, 0.25))
    licence = "MIT"
    licence_source = "the page of `vivit-b-16x2-kinetics400`"
    assumed_seconds = 2 / 25
    seconds: ClassVar[Mapping[str, float]] = {"google/vivit-b-16x2-kinetics400": 2 / 25}  # every 2nd frame of 25 per second

    def cells(self, config: Any, frames: int) -> Cells:
        t, h, w = (int(n) for n in config.tubelet_size)
        # Behind the last block only the class token is read, so the other tokens have no gradient there; at its first norm they
        # do.
        layer = f"vivit.layers.{config.num_hidden_layers - 1}.layernorm_before"
        return Cells(layer, self.grid(config, frames, (t, h, w)), (t, h, w), 1)

    def attention(self, config: Any, cells: Cells) -> Attention:
        return attention_of(cells, "plain")


FAMILY = ViViT()
