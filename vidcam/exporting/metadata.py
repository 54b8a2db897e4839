"""What an exported file says about itself: how clips are made, what the outputs mean, and where the cells are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from vidcam.engine.exported import KEY, VERSION, head_facts
from vidcam.methods.cell_geometry import CellGeometry, join, to_json
from vidcam.sampling import MAX_STRETCH
from vidcam.values import PADDING

if TYPE_CHECKING:
    from vidcam.engine.base import Float32Array
    from vidcam.models.loading import LoadedModel

__all__ = ["describe", "model_api_info", "time_shares", "to_text"]

MODEL_TYPE = "Action Classification"
"""The class of OpenVINO's Model API that reads the file."""


def describe(model: LoadedModel, placements: Sequence[CellGeometry], *, layout: str, one_class: bool) -> dict[str, Any]:
    """Return the facts about an exported network, in JSON's own types; docs/export.schema.json describes each.

    Args:
        model: The network; its head is exact.
        placements: Where the cells of each pathway are.
        layout: The axes of the input, such as ``BCTHW``.
        one_class: Whether the file takes the class to explain as an input.
    """
    spec = model.spec
    assert spec.head is not None
    finest = max(placements, key=lambda placement: placement.time.count)
    return {
        "schema_version": VERSION,
        "vidcam": version("vidcam"),
        "model": spec.name,
        "title": spec.title,
        "paper": spec.paper,
        "architecture": spec.architecture or spec.name,
        "weights_sha256": model.weights_sha256,
        "licence": None if spec.weights is None else spec.weights.licence,
        "labels": list(model.labels),
        "rejects": list(spec.rejects),
        "multi_label": spec.multi_label,
        "temperature": spec.temperature,
        "layout": layout,
        "colours": "RGB",
        "frames": spec.num_frames,
        "interval_s": spec.seconds_between_frames,
        "resize": spec.resize if isinstance(spec.resize, int | str) else list(spec.resize),
        "crop": list(spec.crop),
        "mean": [round(255 * value, 6) for value in spec.mean],
        "scale": [round(255 * value, 6) for value in spec.std],
        "padding": PADDING,
        "max_stretch": MAX_STRETCH,
        "class_index": one_class,
        "unit": "logit",
        "cells": to_json([finest])[0],
        "pathways": to_json(placements),
        "layer": spec.target_layer,
        "head": head_facts(spec.head),
    }


def to_text(facts: dict[str, Any]) -> dict[str, str]:
    """Return the facts as the one entry of a file's metadata."""
    return {KEY: json.dumps(facts, ensure_ascii=False)}


def model_api_info(facts: dict[str, Any]) -> dict[str, str]:
    """Return what the class :data:`MODEL_TYPE` of OpenVINO's Model API reads, by its own keys.

    Model API takes a list of words apart at spaces, so labels get underscores. It resizes pictures by itself, and knows no centre
    crop for actions: a picture that is not yet of the network's size is squeezed into it.
    """
    is_fit = facts["resize"] == "fit"
    return {
        "model_type": MODEL_TYPE,
        "labels": " ".join("_".join(label.split()) for label in facts["labels"]),
        "mean_values": " ".join(map(str, facts["mean"])),
        "scale_values": " ".join(map(str, facts["scale"])),
        "reverse_input_channels": "False",
        "resize_type": "fit_to_window_letterbox" if is_fit else "standard",
        "pad_value": str(facts["padding"]),
    }


def time_shares(placements: Sequence[CellGeometry]) -> list[Float32Array]:
    """Return for each pathway ``(T', T'_i) float32``: how its time cells are shared out among those of the finest.

    :func:`~vidcam.methods.cell_geometry.join` does that to maps; here it gets one that is 1 at each time cell in turn. Raises
    IncompatibleError for pathways whose cells are at different places of the picture.
    """
    shares = []
    for chosen, placement in enumerate(placements):
        count = placement.time.count
        maps = [np.zeros((count, *p.grid), np.float64) for p in placements]
        maps[chosen] += np.eye(count)[:, :, None, None]
        joined, _ = join(maps, placements)
        shares.append(joined[:, :, 0, 0].T.astype(np.float32))
    return shares
