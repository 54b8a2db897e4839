"""VideoMAE: tubelets of two frames, no class token; the mean of the tokens, a layer norm and a linear layer give the logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from vidcam.models.huggingface.family import Cells, Family, attention_of, pair
from vidcam.models.huggingface.processor import IMAGENET, Pixels
from vidcam.models.spec import Attention, Head

__all__ = ["FAMILY"]

EPSILON = 1e-5
"""What ``fc_norm`` adds to the variance: torch's own value, whatever the config says for the other norms."""


class VideoMAE(Family):
    """VideoMAE fine-tuned for classification (Tong et al. 2022)."""

    model_type = "videomae"
    title = "VideoMAE"
    paper = "https://arxiv.org/abs/2203.12602"
    pixels = Pixels(224, (224, 224), *IMAGENET)
    licence = "CC BY-NC 4.0"
    licence_source = "a copy of the card of `videomae-huge-finetuned-kinetics`; the others were not verified"
    assumed_seconds = 4 / 30
    # On Kinetics every 4th frame of about 30 per second; on Something-Something 16 frames spread over videos of about 4 s.
    seconds: ClassVar[Mapping[str, float]] = {
        "MCG-NJU/videomae-small-finetuned-kinetics": 4 / 30,
        "MCG-NJU/videomae-base-finetuned-kinetics": 4 / 30,
        "MCG-NJU/videomae-base-short-finetuned-kinetics": 4 / 30,
        "MCG-NJU/videomae-large-finetuned-kinetics": 4 / 30,
        "MCG-NJU/videomae-huge-finetuned-kinetics": 4 / 30,
        "MCG-NJU/videomae-small-finetuned-ssv2": 1 / 4,
        "MCG-NJU/videomae-base-finetuned-ssv2": 1 / 4,
        "MCG-NJU/videomae-base-short-finetuned-ssv2": 1 / 4,
    }

    def cells(self, config: Any, frames: int) -> Cells:
        tubelet = config.tubelet_size, *pair(config.patch_size)
        grid = self.grid(config, frames, tubelet)
        last = config.num_hidden_layers - 1
        if config.use_mean_pooling:
            head = Head(("net.classifier",), norm="net.fc_norm", epsilon=EPSILON)
            return Cells(f"videomae.encoder.layer.{last}", grid, tubelet, 0, head=head)
        # The first token alone is classified; it reads the others in the last block.
        return Cells(f"videomae.encoder.layer.{last}.layernorm_before", grid, tubelet, 0)

    def attention(self, config: Any, cells: Cells) -> Attention | None:
        return attention_of(cells, "plain") if config.use_mean_pooling else None


FAMILY = VideoMAE()
