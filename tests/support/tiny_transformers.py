"""Small random checkpoints in the official layout, written by transformers itself: a folder for each family."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()

LABELS = ("wave", "sit down", "jump")
FRAMES, PATCH, ROWS = 8, 8, 3
SIZE = PATCH * ROWS
WIDTH = {"hidden_size": 32, "num_attention_heads": 2, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
BLOCKS = {**WIDTH, "intermediate_size": 64, "num_hidden_layers": 3}
CROP = {"size": {"shortest_edge": SIZE}, "crop_size": {"height": SIZE, "width": SIZE}}

FAMILIES = ("videomae", "vivit", "timesformer", "vjepa2", "videoprism_vision_model")
"""The families with labels of their own."""


def config(family: str, **more: Any) -> transformers.PretrainedConfig:
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}
    facts: dict[str, Any] = {
        "videomae": {**BLOCKS, "image_size": SIZE, "patch_size": PATCH, "num_frames": FRAMES, "tubelet_size": 2},
        "vivit": {**BLOCKS, "image_size": SIZE, "tubelet_size": [2, PATCH, PATCH], "num_frames": FRAMES},
        "timesformer": {**BLOCKS, "image_size": SIZE, "patch_size": PATCH, "num_frames": FRAMES},
        "vjepa2": {
            **{"hidden_size": 36, "num_attention_heads": 2, "num_hidden_layers": 2, "mlp_ratio": 2, "num_pooler_layers": 1},
            **{"crop_size": SIZE, "patch_size": PATCH, "frames_per_clip": FRAMES, "tubelet_size": 2, "pred_hidden_size": 36},
            **{"pred_num_attention_heads": 2, "pred_num_hidden_layers": 1, "pred_num_mask_tokens": 1},
        },
        "videoprism_vision_model": {
            **WIDTH,
            **{"intermediate_size": 64, "num_spatial_layers": 2, "num_temporal_layers": 2, "num_frames": FRAMES},
            **{"image_size": SIZE, "tubelet_size": [1, PATCH, PATCH]},
        },
    }[family]
    return transformers.AutoConfig.for_model(family, **(facts | names | more))


def network(family: str, *, seed: int = 0, spread: float = 1.0, **more: Any) -> transformers.PreTrainedModel:
    """A random network; ``spread`` multiplies its matrices, so that attention is far from even."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = transformers.AutoModelForVideoClassification.from_config(config(family, **more)).eval()
        with torch.no_grad():
            for name, values in net.named_parameters():
                if values.ndim > 1:
                    values.copy_(
                        torch.randn_like(values) * (0.3 if "position" in name or "query_tokens" in name else 0.1) * spread
                    )
                else:  # norms and biases that are not the neutral ones
                    values.add_(0.1 * torch.randn_like(values))
    return net


def processor(family: str) -> Any:
    """transformers' own processor for clips of the network's size."""
    if family == "vivit":
        return transformers.VivitImageProcessor(**CROP)
    if family == "vjepa2":
        return transformers.VJEPA2VideoProcessor(crop_size=SIZE)
    if family == "videoprism_vision_model":
        square = {"height": SIZE, "width": SIZE}
        return transformers.LlavaOnevisionVideoProcessor(size=square, image_mean=[0.0] * 3, image_std=[1.0] * 3)
    return transformers.VideoMAEImageProcessor(**CROP)


def save(folder: Path, family: str, **more: Any) -> Path:
    network(family, **more).save_pretrained(folder)
    processor(family).save_pretrained(folder)
    return folder


WORDS = ("a", "person", "waves", "sits", "down", "jumps")


def save_xclip(folder: Path, *, seed: int = 0) -> Path:
    """X-CLIP with a tokeniser that knows a few words."""
    side = {"intermediate_size": 64, "num_attention_heads": 2, "num_hidden_layers": 2}
    text = {
        **side,
        "hidden_size": 32,
        "vocab_size": 60,
        "max_position_embeddings": 16,
        "eos_token_id": 1,
        "bos_token_id": 0,
        "pad_token_id": 1,
    }
    vision = {
        **side,
        **{"hidden_size": 32, "image_size": SIZE, "patch_size": PATCH, "num_frames": FRAMES},
        **{"mit_hidden_size": 32, "mit_intermediate_size": 64, "mit_num_hidden_layers": 1, "mit_num_attention_heads": 2},
    }
    whole = transformers.XCLIPConfig(
        text_config=text, vision_config=vision, projection_dim=32, prompt_layers=1, prompt_num_attention_heads=2, prompt_alpha=0.5
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = transformers.XCLIPModel(whole).eval()
        with torch.no_grad():
            for name, values in net.named_parameters():
                if values.ndim > 1:
                    values.copy_(torch.randn_like(values) * 0.2)
                elif "alpha" not in name and values.ndim == 1:
                    values.add_(0.1 * torch.randn_like(values))
    net.save_pretrained(folder)
    transformers.CLIPImageProcessor(**CROP).save_pretrained(folder)
    letters = sorted(set("".join(WORDS)))
    words = [f"{word}</w>" for word in WORDS]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    merges = []
    for word in WORDS:
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:
            merges.append(f"{parts[0]} {parts[1]}")
            parts = [parts[0] + parts[1], *parts[2:]]
            vocabulary.append(parts[0])
    # As in CLIP, the end has the highest index: that is how the network finds it.
    vocabulary = [*dict.fromkeys(v for v in vocabulary if not v.startswith("<|")), "<|startoftext|>", "<|endoftext|>"]
    assert set(words) <= set(vocabulary), "every word is one token"
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(dict.fromkeys(merges)) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 16}))
    return folder


READS = {
    "videomae": ("", 0, ""),
    "vivit": ("vivit.layers.2.attention.v_proj", 0, "vivit.layers.2.attention.o_proj"),
    "timesformer": (
        "timesformer.encoder.layer.2.attention.attention.qkv",
        64,
        "timesformer.encoder.layer.2.attention.output.dense",
    ),
    "vjepa2": ("pooler.cross_attention_layer.cross_attn.v_proj", 0, ""),
    "videoprism_vision_model": ("head.v_proj", 0, "head.o_proj"),
}
"""Where the token that is classified reads the others: the layer of the values, its row of the first one, the layer behind."""


def planted(family: str) -> transformers.PreTrainedModel:
    """A network that says ``wave`` the more, the more red it sees, wherever; its tokens keep to their own place."""
    net = transformers.AutoModelForVideoClassification.from_config(config(family)).eval()
    with torch.no_grad():
        for name, values in net.named_parameters():
            if "norm" not in name:
                values.zero_()
            if name.endswith(("cls_token", "query_tokens")):
                values.copy_(pattern(values.shape[-1]))
        conv = next(m for m in net.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Conv3d) and m.in_channels == 3)
        conv.weight[0] = torch.tensor([1.0, -0.5, -0.5]).view(3, *[1] * (conv.weight.ndim - 2)) / conv.weight[0, 0].numel()
        if family == "videomae":  # its positions are fixed sines, which red must outweigh
            conv.weight.mul_(100)
        conv.bias.copy_(pattern(len(conv.bias)))
        values, row, behind = READS[family]
        if values:
            net.get_submodule(values).weight[row, 0] = 1
        if behind:
            net.get_submodule(behind).weight[0, 0] = 1
        if family == "videoprism_vision_model":  # what pools has no residual connection
            net.head.o_proj.bias.copy_(pattern(len(net.head.o_proj.bias)))
        net.classifier.weight[0, 0] = 10
    return net


def pattern(channels: int) -> torch.Tensor:
    """What norms need to tell much red from little: other channels, whose sum is 0."""
    out = torch.tensor([1.0, -1.0]).repeat(channels // 2)
    out[0] = out[-1] = 0
    return out
