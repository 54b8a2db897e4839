"""The menus, from the registries: what there is, what fits, and why the rest does not."""

from __future__ import annotations

from functools import cache
from typing import Any

from vidcam.engine import BUILT_IN, automatic
from vidcam.errors import IncompatibleError, UsageError
from vidcam.methods import core
from vidcam.models import loading, registry, weights
from vidcam.models.registry import ModelSpec

__all__ = [
    "check_model",
    "default_model",
    "labels",
    "method_items",
    "methods_table",
    "model_items",
    "models_table",
    "own_method",
    "refusal",
]

FAMILIES = {
    "cam": "Class activation",
    "gradient": "Gradients",
    "input": "Input gradients",
    "perturbation": "Perturbation",
    "propagation": "Relevance propagation",
    "attention": "Attention",
}


def default_model(wanted: str) -> str:
    """The name of the table that ``wanted`` stands for: ``auto`` is what is on this machine. UnknownNameError for others."""
    if wanted != "auto":
        return registry.get(wanted).name
    best, _ = automatic()
    return best if loading.available(registry.get(best)) else BUILT_IN


@cache
def labels(model: str) -> tuple[str, ...]:
    """The classes that a model of the table knows."""
    return registry.get(model).labels()


def own_method(model: str) -> str:
    """What explains the model where nobody has named a method."""
    return core.choose(None, registry.get(model)).name


def refusal(method: str, model: str) -> str | None:
    """Why the method does not work on the model, None where it does."""
    try:
        core.check(core.get(method), registry.get(model))
    except IncompatibleError as error:
        return str(error).partition(";")[0]
    return None


def model_items() -> list[dict[str, Any]]:
    """The models: their names, what they are, and why some cannot be had."""
    return [_model_item(spec) for spec in registry.specs()]


def _model_item(spec: ModelSpec) -> dict[str, Any]:
    here = loading.available(spec)
    reason = None
    if not here and spec.weights is None:
        reason = "it has no weights that could be fetched"
    elif not here and weights.offline():
        reason = "its weights are not on this machine, and VIDCAM_OFFLINE forbids fetching them"
    facts = f"{len(labels(spec.name))} classes · looks at {spec.clip_s:.2g} s"
    return {
        "name": spec.name,
        "title": spec.title,
        "detail": facts if here else f"{facts} · is fetched first",
        "group": "On this machine" if here else "To be fetched",
        "reason": reason,
    }


def method_items(model: str) -> list[dict[str, Any]]:
    """The methods, with the reason for those that do not work on this model."""
    own = own_method(model)
    return [
        {
            "name": m.name,
            "title": m.title,
            "detail": m.cost + (" · the usual one here" if m.name == own else ""),
            "group": FAMILIES.get(m.family, m.family),
            "reason": refusal(m.name, model),
        }
        for m in core.methods()
    ]


def models_table() -> list[dict[str, Any]]:
    """The registry of models for the Models tab."""
    rows = []
    for spec in registry.specs():
        w, item = spec.weights, _model_item(spec)
        rows.append(
            {
                "name": spec.name,
                "title": spec.title,
                "here": item["group"] == "On this machine",
                "reason": item["reason"],
                "clip": f"{spec.frames} × {spec.seconds_between_frames:.3g} s",
                "crop": f"{spec.crop[0]} × {spec.crop[1]}",
                "cells": spec.time_cells_text,
                "exact": spec.head is not None,
                "classes": len(labels(spec.name)),
                "accuracy": None if w is None else f"{w.accuracy:.1f} %",
                "protocol": None if w is None else w.protocol,
                "licence": None if w is None else w.licence,
                "paper": spec.paper,
            }
        )
    return rows


def methods_table() -> list[dict[str, Any]]:
    """The registry of methods for the Models tab."""
    return [
        {
            "name": m.name,
            "title": m.title,
            "family": FAMILIES.get(m.family, m.family),
            "signed": m.signed,
            "complete": m.complete,
            "requires": ", ".join(sorted(m.requires - {"features", "gradient"})),
            "cost": m.cost,
            "paper": m.paper,
        }
        for m in core.methods()
    ]


def check_model(name: object) -> str:
    """The name of a model of the table; UsageError for anything else, which a page never sends."""
    if not isinstance(name, str) or name not in registry.names():
        raise UsageError(f"{name!r} is not one of the models in the table: choose one of the menu")
    return name
