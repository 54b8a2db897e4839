"""What a file that vidcam exported says about itself, as JSON inside the file, and the names of what is in its graph.

:mod:`vidcam.exporting` writes it and :mod:`vidcam.engine.graph` reads it back; docs/export.md describes it for others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vidcam.errors import UsageError
from vidcam.models.spec import Head

if TYPE_CHECKING:
    from vidcam.engine.base import Linear

__all__ = [
    "KEY",
    "VERSION",
    "GraphHead",
    "cells_name",
    "clip_facts_of",
    "head_facts",
    "head_of",
    "layer_names",
    "read_facts",
    "trained_facts_of",
]

KEY = "vidcam"
"""The key of the JSON text among the file's metadata."""

VERSION = 1
"""The version of the JSON; it changes if a reader of the old one would go wrong."""


@dataclass(frozen=True)
class GraphHead:
    """The end of a graph of OpenVINO: an average of cells, and linear layers.

    Attributes:
        cells: For each pathway the output of a node that gives ``(1,C,T',h,w)``.
        linears: The linear layers, first to last; the linear part of a norm belongs to the first.
        head: What is between them.
        placements: Where the cells are, for ``TorchModel.placements``; None if the file does not say it.
    """

    cells: tuple[Any, ...]
    linears: tuple[Linear, ...]
    head: Head
    placements: object = None


def cells_name(pathway: int) -> str:
    """Return the name of the tensor ``(B,C,T',h,w)`` that holds the cells of a pathway, inside the graph."""
    return f"cells_{pathway}"


def layer_names(layer: int) -> tuple[str, str]:
    """Return the names of weight ``(out,in)`` and bias ``(out,)`` of a linear layer of the head, among the graph's constants."""
    return f"head_{layer}_weight", f"head_{layer}_bias"


def read_facts(name: str, graph: Any) -> dict[str, Any] | None:
    """Return what the graph of OpenVINO says about itself; None if vidcam did not export it.

    Raises:
        UsageError: A later version of vidcam exported it.
    """
    for path in ([KEY], ["framework", KEY]):  # OpenVINO's own file, and what it makes of the metadata of an ONNX file
        with suppress(RuntimeError, TypeError, ValueError):
            info = graph.get_rt_info(path)
            facts = json.loads(info if isinstance(info, str) else info.astype(str))
            if isinstance(facts, dict) and "schema_version" in facts:
                break
    else:
        return None
    if facts["schema_version"] != VERSION:
        raise UsageError(f"{name} was exported by vidcam {facts.get('vidcam')}, which is newer than this one: update vidcam")
    return facts


def clip_facts_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return how clips are made, as :func:`~vidcam.models.custom_facts.clip_facts` takes it; ``fit`` is no fact there."""
    found = {
        "frames": facts["frames"],
        "interval_s": facts["interval_s"],
        "crop": tuple(facts["crop"]),
        "mean": tuple(value / 255 for value in facts["mean"]),
        "std": tuple(value / 255 for value in facts["scale"]),
    }
    resize = facts["resize"]
    return found if resize == "fit" else found | {"resize": resize if isinstance(resize, int) else tuple(resize)}


def trained_facts_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what else a :class:`~vidcam.models.spec.ModelSpec` holds about a network that vidcam exported."""
    return {
        "title": facts["title"],
        "paper": facts["paper"],
        "temperature": facts["temperature"],
        "multi_label": facts["multi_label"],
        "rejects": tuple(facts["rejects"]),
        "architecture": facts["architecture"],
    }


def head_facts(head: Head) -> dict[str, Any]:
    """Return a head in JSON's own types."""
    return {
        "layers": len(head.classifiers),
        "ceiling": head.ceiling if math.isfinite(head.ceiling) else None,
        "norm_epsilon": head.epsilon if head.norm is not None else None,
    }


def head_of(graph: Any, facts: Mapping[str, Any]) -> GraphHead | None:
    """Return the head of a graph that vidcam exported; None if another tool has renamed what belongs to it."""
    stated = facts["head"]
    tensors: dict[str, Any] = {}
    for node in graph.get_ordered_ops():
        tensors |= {name.rpartition(".")[2]: output for output in node.outputs() for name in output.get_names()}
    layers = [layer_names(i) for i in range(stated["layers"])]
    cells = [cells_name(i) for i in range(len(facts["pathways"]))]
    if not all(name in tensors for name in (*cells, *(name for pair in layers for name in pair))):
        return None
    linears = tuple((_values(tensors[weight]), _values(tensors[bias])) for weight, bias in layers)
    epsilon = stated["norm_epsilon"]
    head = Head(
        tuple(weight for weight, _ in layers),
        ceiling=math.inf if stated["ceiling"] is None else stated["ceiling"],
        norm=None if epsilon is None else "norm",
        epsilon=epsilon or 0.0,
    )
    return GraphHead(tuple(tensors[name] for name in cells), linears, head, facts["pathways"])


def _values(output: Any) -> Any:
    """Return a copy of a constant's values, which its graph would take along."""
    return np.array(output.get_node().get_data(), np.float32)
