"""The row of facts of vidcam's own small network, trained on nothing but drawn people; its weights are part of the package.

They are what ``vidcam train people`` leaves, in ``shipped/mini``: the facts that training found out are read from there.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

from vidcam.models.registry import Head, ModelSpec, Weights, register

if TYPE_CHECKING:
    from torch import nn

FACTS: dict[str, Any] = json.loads(resources.files("vidcam.models").joinpath("shipped/mini/model.json").read_text("utf-8"))


def _build() -> nn.Module:
    from vidcam.models.mini_net import Mini

    return Mini(len(FACTS["labels"]))


register(
    ModelSpec(
        name="mini",
        title="Mini, trained on drawn people",
        family="mini",
        build=_build,
        labels=lambda: tuple(FACTS["labels"]),
        frames=16,
        seconds_between_frames=0.1,
        # The full height and, of a 4:3 picture, three quarters of the width without distortion.
        resize=(112, 149),
        crop=(112, 112),
        mean=(0.45, 0.45, 0.45),
        std=(0.225, 0.225, 0.225),
        layer="blocks",
        head=Head(("fc",)),
        time_cells=(16,),
        paper="https://arxiv.org/abs/1711.11248",
        weights=Weights(
            "vidcam/models/shipped/mini/model.safetensors",
            sha256=None,
            licence="as vidcam",
            accuracy=round(100 * FACTS["accuracy"], 1),
            protocol=f"new drawn clips, {len(FACTS['labels'])} classes, 1 clip",
            file="mini/model.safetensors",
        ),
        temperature=FACTS["temperature"],
        rejects=("none of these",),
    )
)
