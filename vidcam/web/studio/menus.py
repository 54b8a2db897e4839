"""The menus of models, methods and classes, with the reasons why some cannot be chosen."""

from __future__ import annotations

from functools import cache
from typing import Any

from vidcam.engine import BUILT_IN, choose_default_model
from vidcam.errors import IncompatibleError, UsageError
from vidcam.methods.lookup import BEST, all_methods, check_method, choose_method, get_method
from vidcam.models import loading, weights
from vidcam.models.spec import ModelSpec
from vidcam.models.table import get_spec, list_models, list_specs

__all__ = [
    "check_model",
    "default_model",
    "labels",
    "method_items",
    "methods_table",
    "model_items",
    "models_table",
    "one_method_items",
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
    """Return the model that ``wanted`` names; ``auto`` is the best on this machine. UnknownNameError if there is none."""
    if wanted != "auto":
        return get_spec(wanted).name
    best, _ = choose_default_model()
    return best if loading.is_available(get_spec(best)) else BUILT_IN


@cache
def labels(model: str) -> tuple[str, ...]:
    """Return the classes that a model of the table knows."""
    return get_spec(model).labels()


def own_method(model: str) -> str:
    """Return the method that explains the model if the user has not chosen one."""
    return choose_method(None, get_spec(model)).name


def refusal(method: str, model: str) -> str | None:
    """Return why the method does not work on the model; None if it does."""
    if method == BEST:
        return None
    try:
        check_method(get_method(method), get_spec(model))
    except IncompatibleError as error:
        return str(error).partition(";")[0]
    return None


def model_items() -> list[dict[str, Any]]:
    """Return the models: their names, what they are, and why some are not available."""
    return [_model_item(spec) for spec in list_specs()]


def _model_item(spec: ModelSpec) -> dict[str, Any]:
    here = loading.is_available(spec)
    reason = None
    if not here and spec.weights is None:
        reason = "it has no weights that could be fetched"
    elif not here and weights.is_offline():
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
    """Return the methods, with the reason for those that do not work on this model."""
    own = own_method(model)
    return [
        {
            "name": m.name,
            "title": m.title,
            "detail": m.cost + (" · the usual one here" if m.name == own else ""),
            "group": FAMILIES.get(m.family, m.family),
            "reason": refusal(m.name, model),
        }
        for m in all_methods()
    ]


def one_method_items(model: str) -> list[dict[str, Any]]:
    """Return the methods of which one is chosen: those of :func:`method_items`, after the best of several."""
    best = {
        "name": BEST,
        "title": "The best of several",
        "detail": "tests a method of each family on this video and takes the one that explains it best; takes minutes",
        "group": "Chosen by a test",
        "reason": None,
    }
    return [best, *method_items(model)]


def models_table() -> list[dict[str, Any]]:
    """Return the table of models for the Models tab."""
    rows = []
    for spec in list_specs():
        w, item = spec.weights, _model_item(spec)
        rows.append(
            {
                "name": spec.name,
                "title": spec.title,
                "here": item["group"] == "On this machine",
                "reason": item["reason"],
                "clip": f"{spec.num_frames} × {spec.seconds_between_frames:.3g} s",
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
    """Return the table of methods for the Models tab."""
    return [
        {
            "name": m.name,
            "title": m.title,
            "family": FAMILIES.get(m.family, m.family),
            "signed": m.signed,
            "complete": m.is_complete,
            "requires": ", ".join(sorted(m.requires - {"features", "gradient"})),
            "cost": m.cost,
            "paper": m.paper,
        }
        for m in all_methods()
    ]


def check_model(name: object) -> str:
    """Return the name if it is a model of the table. UsageError for anything else, which a page never sends."""
    if not isinstance(name, str) or name not in list_models():
        raise UsageError(f"{name!r} is not one of the models in the table: choose one of the menu")
    return name
