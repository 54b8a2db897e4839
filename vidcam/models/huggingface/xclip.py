"""X-CLIP: a video is compared with phrases, which are the classes; what a phrase means depends on the video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from vidcam.models.huggingface.family import Cells, Family, pair
from vidcam.models.huggingface.processor import Pixels
from vidcam.models.spec import Attention

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["FAMILY"]

CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class XCLIP(Family):
    """X-CLIP (Ni et al. 2022)."""

    model_type = "xclip"
    title = "X-CLIP"
    paper = "https://arxiv.org/abs/2208.02816"
    pixels = Pixels(224, (224, 224), *CLIP)
    is_text = True
    licence = "MIT"
    licence_source = "the page of `xclip-base-patch32`; the others were not verified"
    assumed_seconds = 10 / 8
    # Frames are spread over the videos of Kinetics, which last ten seconds.
    seconds: ClassVar[Mapping[str, float]] = {
        "microsoft/xclip-base-patch32": 10 / 8,
        "microsoft/xclip-base-patch32-16-frames": 10 / 16,
        "microsoft/xclip-base-patch16": 10 / 8,
        "microsoft/xclip-base-patch16-16-frames": 10 / 16,
        "microsoft/xclip-base-patch16-kinetics-600": 10 / 8,
        "microsoft/xclip-base-patch16-kinetics-600-16-frames": 10 / 16,
        "microsoft/xclip-base-patch16-zero-shot": 10 / 32,
        "microsoft/xclip-large-patch14": 10 / 8,
        "microsoft/xclip-large-patch14-16-frames": 10 / 16,
        "microsoft/xclip-large-patch14-kinetics-600": 10 / 8,
    }

    def frames(self, config: Any) -> int:
        return int(config.vision_config.num_frames)

    def size(self, config: Any) -> tuple[int, int]:
        return pair(config.vision_config.image_size)

    def cells(self, config: Any, frames: int) -> Cells:
        tubelet = 1, config.vision_config.patch_size, config.vision_config.patch_size
        # Within the last block the tokens of each frame are joined by a message to other frames, so the one before is explained.
        before = config.vision_config.num_hidden_layers - 2
        layer = f"vision_model.encoder.layers.{before}" if before >= 0 else "vision_model.pre_layernorm"
        return Cells(layer, self.grid(config, frames, tubelet), tubelet, 1, layout="folded-tokens")

    def attention(self, config: Any, cells: Cells) -> Attention | None:
        return None  # messages between frames and prompts that read the patches take no part in a rollout

    def load(self, folder: str, **options: Any) -> tuple[nn.Module, Mapping[str, Any]]:
        from transformers import XCLIPModel

        network, info = XCLIPModel.from_pretrained(folder, output_loading_info=True, **options)
        return network, info

    def encode(self, network: Any, folder: str, phrases: Sequence[str]) -> None:
        """Compute the features of the phrases, before the video has a say in them, and keep them in the network."""
        import torch
        from transformers import AutoTokenizer

        tokens = AutoTokenizer.from_pretrained(folder, local_files_only=True)(list(phrases), padding=True, return_tensors="pt")
        with torch.no_grad():
            features = network.get_text_features(tokens["input_ids"], attention_mask=tokens["attention_mask"])
        network.register_buffer("phrases", features.pooler_output, persistent=False)

    def logits(self, network: Any, clips: Tensor) -> Tensor:
        """Return the similarities of each clip to the phrases, ``(B, K)``, as ``XCLIPModel.forward`` computes them.

        The text encoder, which does not depend on the clip, ran once, in :meth:`encode`.
        """
        import torch
        from torch.nn.functional import normalize

        batch, frames = len(clips), clips.shape[2]
        seen = network.vision_model(pixel_values=clips.transpose(1, 2).flatten(0, 1))
        video = network.mit(network.visual_projection(seen.pooler_output).view(batch, frames, -1)).pooler_output
        patches = network.prompts_visual_layernorm(seen.last_hidden_state[:, 1:]) @ network.prompts_visual_projection
        patches = patches.view(batch, frames, -1, video.shape[-1]).mean(dim=1)
        text = network.phrases.unsqueeze(0).expand(batch, -1, -1)
        text = text + network.prompts_generator(text, patches)
        scale: Tensor = network.logit_scale.exp()
        return scale * torch.einsum("bd,bkd->bk", normalize(video, dim=-1), normalize(text, dim=-1))


FAMILY = XCLIP()
