"""vidcam's own small network, trained on drawn people only; its weights are part of the package.

They were written by ``vidcam train --synthetic`` to ``shipped/mini``; the facts that training found are read from there.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

from vidcam.models.spec import Head, ModelSpec, Weights

if TYPE_CHECKING:
    from torch import nn

__all__ = ["MODELS"]

FACTS: dict[str, Any] = json.loads(resources.files("vidcam.models").joinpath("shipped/mini/model.json").read_text("utf-8"))


def _build() -> nn.Module:
    from vidcam.models.mini_net import Mini

    return Mini(len(FACTS["labels"]))


MODELS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="mini",
        title="Mini, trained on drawn people",
        family="mini",
        build=_build,
        labels=lambda: tuple(FACTS["labels"]),
        num_frames=16,
        seconds_between_frames=0.15,
        resize="fit",
        crop=(112, 112),
        mean=(0.45, 0.45, 0.45),
        std=(0.225, 0.225, 0.225),
        target_layer="blocks",
        head=Head(("fc",)),
        time_cells=(16,),
        paper="https://arxiv.org/abs/1711.11248",
        weights=Weights(
            "vidcam/models/shipped/mini/model.safetensors",
            sha256=None,
            licence="no licence has been chosen yet",
            accuracy=round(100 * FACTS["accuracy"], 1),
            protocol=f"new drawn clips, {len(FACTS['labels'])} classes, 1 clip",
            file="mini/model.safetensors",
        ),
        temperature=FACTS["temperature"],
        rejects=("none of these", "no person"),
        default_method="cam-spread",  # as exact as cam, and more faithful: docs/methods.md has the figures
    ),
)
