"""TimeSformer: patches of single frames, in place-major order (rows, columns, time); a class token is classified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from vidcam.models.huggingface.family import Cells, Family, attention_of
from vidcam.models.huggingface.processor import IMAGENET, Pixels
from vidcam.models.spec import Attention

__all__ = ["FAMILY"]

KINDS = {"divided_space_time": "divided", "joint_space_time": "plain"}
"""The kinds of attention whose tokens keep the whole clip together; with ``space_only`` no layer does."""


class TimeSformer(Family):
    """TimeSformer (Bertasius et al. 2021)."""

    model_type = "timesformer"
    title = "TimeSformer"
    paper = "https://arxiv.org/abs/2102.05095"
    pixels = Pixels(224, (224, 224), *IMAGENET)
    licence = "CC BY-NC 4.0"
    licence_source = "the page of `timesformer-base-finetuned-k400`; the others were not verified"
    assumed_seconds = 32 / 30
    # On Kinetics every 32nd frame (high resolution: 16th) of about 30 per second; on Something-Something spread over about 4 s.
    seconds: ClassVar[Mapping[str, float]] = {
        "facebook/timesformer-base-finetuned-k400": 32 / 30,
        "facebook/timesformer-base-finetuned-k600": 32 / 30,
        "facebook/timesformer-hr-finetuned-k400": 16 / 30,
        "facebook/timesformer-hr-finetuned-k600": 16 / 30,
        "facebook/timesformer-base-finetuned-ssv2": 1 / 2,
        "facebook/timesformer-hr-finetuned-ssv2": 1 / 4,
    }

    def cells(self, config: Any, frames: int) -> Cells | None:
        if config.attention_type not in KINDS:
            return None
        tubelet = 1, config.patch_size, config.patch_size
        # The last block's other tokens no longer reach the class token, so the one before it is explained.
        before = config.num_hidden_layers - 2
        layer = f"timesformer.encoder.layer.{before}" if before >= 0 else "timesformer.embeddings"
        return Cells(layer, self.grid(config, frames, tubelet), tubelet, 1, order="hwt")

    def attention(self, config: Any, cells: Cells) -> Attention:
        return attention_of(cells, KINDS[config.attention_type])


FAMILY = TimeSformer()
