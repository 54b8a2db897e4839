"""Networks of other families, made by code that the repository brings: explained by what needs no layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidcam.errors import UsageError
from vidcam.models.huggingface.family import Cells, Family, pair
from vidcam.models.huggingface.processor import IMAGENET, Pixels
from vidcam.models.spec import Attention

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["OTHER"]


class Other(Family):
    """A network that transformers takes for a video classifier, of which vidcam knows no more."""

    model_type = ""
    title = "a network of remote code"
    paper = ""
    pixels = Pixels(224, (224, 224), *IMAGENET)
    assumed_seconds = 4 / 30

    def frames(self, config: Any) -> int:
        frames = getattr(config, "num_frames", None)
        if not isinstance(frames, int):
            raise UsageError("the checkpoint's config says nothing of num_frames: state it with --fact frames=N")
        return frames

    def size(self, config: Any) -> tuple[int, int]:
        return pair(getattr(config, "image_size", 224))

    def cells(self, config: Any, frames: int) -> Cells | None:
        return None

    def attention(self, config: Any, cells: Cells) -> Attention | None:
        return None

    def logits(self, network: Any, clips: Tensor) -> Tensor:
        logits: Tensor = network(**{network.main_input_name: clips.transpose(1, 2)}).logits
        return logits


OTHER = Other()
