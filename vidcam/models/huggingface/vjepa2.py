"""V-JEPA 2: tubelets of two frames, no class token; an attentive pooler reads the tokens, and a linear layer what it pooled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from vidcam.models.huggingface.family import Cells, Family, attention_of, pair
from vidcam.models.huggingface.processor import IMAGENET, Pixels
from vidcam.models.spec import Attention

__all__ = ["FAMILY"]


class VJEPA2(Family):
    """V-JEPA 2 with its attentive classifier (Assran et al. 2025)."""

    model_type = "vjepa2"
    title = "V-JEPA 2"
    paper = "https://arxiv.org/abs/2506.09985"
    input = "pixel_values_videos"
    pixels = Pixels(292, (256, 256), *IMAGENET)
    licence = "MIT (ViT-L)"
    licence_source = (
        "not verified on its page: conversions by others name it as that of the original, and ViT-H and ViT-g as Apache-2.0"
    )
    assumed_seconds = 1 / 3
    seconds: ClassVar[Mapping[str, float]] = {"facebook/vjepa2-vitl-fpc16-256-ssv2": 1 / 3}  # every 4th frame of 12 per second
    any_frames = True  # positions are rotations

    def frames(self, config: Any) -> int:
        return int(config.frames_per_clip)

    def size(self, config: Any) -> tuple[int, int]:
        return pair(config.crop_size)

    def cells(self, config: Any, frames: int) -> Cells:
        tubelet = config.tubelet_size, *pair(config.patch_size)
        grid = self.grid(config, frames, tubelet)
        return Cells("vjepa2.encoder.layernorm", grid, tubelet, 0)

    def attention(self, config: Any, cells: Cells) -> Attention:
        return attention_of(cells, "queried", pooler="pooler.cross_attention_layer.cross_attn")


FAMILY = VJEPA2()
