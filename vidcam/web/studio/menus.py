"""The menus of models, methods and classes, with the reasons why some cannot be chosen."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from vidcam.engine import BUILT_IN, choose_default_model
from vidcam.errors import IncompatibleError, UsageError
from vidcam.methods.lookup import BEST, all_methods, check_method, choose_method, get_method
from vidcam.methods.method import Method
from vidcam.models import loading, weights
from vidcam.models.spec import ModelSpec
from vidcam.models.table import get_spec, list_models, list_specs
from vidcam.web import words

from .teach_models import find_spec, is_taught, model_shelf, shown_name
from .uploads import megabytes

__all__ = [
    "availability",
    "check_model",
    "choice_reason",
    "count_actions",
    "default_model",
    "download",
    "is_known",
    "labels",
    "method_choices",
    "method_note",
    "methods_table",
    "model_choices",
    "models_table",
    "own_method",
    "reach",
    "refusal",
    "refusals",
    "rejects",
    "sorted_labels",
]


def default_model(wanted: str) -> str:
    """Return the model that ``wanted`` names; ``auto`` is the best on this machine. UnknownNameError if there is none."""
    if wanted != "auto":
        return get_spec(wanted).name
    best, _ = choose_default_model()
    return best if loading.is_available(get_spec(best)) else BUILT_IN


@cache
def labels(model: str) -> tuple[str, ...]:
    """Return the classes that a model knows."""
    return find_spec(model).labels()


def sorted_labels(model: str, first: Sequence[str] = ()) -> list[str]:
    """Return the classes of a model in alphabetical order, after those that come ``first``."""
    return [*first, *sorted(set(labels(model)) - set(first), key=str.casefold)]


def rejects(model: str) -> tuple[str, ...]:
    """Return the classes by which a model says that it recognises nothing; none if the model was deleted."""
    try:
        return find_spec(model).rejects
    except UsageError:
        return ()


def own_method(model: str) -> str:
    """Return the method that explains the model if the user has not chosen one."""
    return choose_method(None, find_spec(model)).name


def refusal(method: str, model: str) -> str | None:
    """Return why the method does not work on the model; None if it does."""
    return None if method == BEST else _refused(get_method(method), find_spec(model))


def refusals(model: str) -> dict[str, str | None]:
    """Return for each method why it does not work on the model, None if it does; the model's facts are read once."""
    spec = find_spec(model)
    return {m.name: _refused(m, spec) for m in all_methods()}


def _refused(method: Method, spec: ModelSpec) -> str | None:
    try:
        check_method(method, spec)
    except IncompatibleError as error:
        return str(error).partition(";")[0]
    return None


def choice_reason(wanted: str) -> str:
    """Return why the model that is selected at first was selected, as a sentence; empty if the user has named it."""
    if wanted != "auto":
        return ""
    if default_model(wanted) == BUILT_IN:
        return words.Menus.LARGER_ONES
    return words.Menus.BEST_HERE


def model_choices(owner: Path | None = None) -> list[tuple[str, str]]:
    """Return the models that can be used, with what they are: first those on this machine.

    Those that were taught in the browser whose runs lie in the folder ``owner`` come before all others.
    """
    models = [] if owner is None else model_shelf().list(owner.name)
    taught = [(words.Menus.taught_model(name=m.short_name, right=m.right, tested=m.tested), m.name) for m in models]
    usable = [(not here, spec) for spec in list_specs() for here, reason in [availability(spec)] if reason is None]
    return taught + [(_in_menu(spec), spec.name) for _, spec in sorted(usable, key=lambda row: row[0])]


def _in_menu(spec: ModelSpec) -> str:
    return words.Menus.model(name=spec.name, title=spec.title, actions=count_actions(spec), download=download(spec))


def download(spec: ModelSpec) -> str:
    """Return what to add to the name of a model that has to be downloaded; nothing if it is on this machine."""
    return "" if loading.is_available(spec) else words.Menus.download(size=download_size(spec))


def count_actions(spec: ModelSpec) -> int:
    """Return how many actions a model knows."""
    return len(labels(spec.name)) - len(spec.rejects)


def download_size(spec: ModelSpec) -> str | None:
    """Return the size of a model's download in words, None if it is not known."""
    return None if spec.weights is None or spec.weights.size is None else megabytes(spec.weights.size)


def availability(spec: ModelSpec) -> tuple[bool, str | None]:
    """Return whether a model is on this machine, and why it cannot be had; None if it can."""
    here = loading.is_available(spec)
    if not here and spec.weights is None:
        return here, words.Menus.NO_WEIGHTS
    if not here and weights.is_offline():
        return here, words.Menus.OFFLINE
    return here, None


def reach(model: str) -> str:
    """Return in one line what a model knows."""
    spec = find_spec(model)
    return words.Menus.reach(actions=count_actions(spec), everyday=spec.name == BUILT_IN, clip_s=spec.clip_s)


def method_choices(model: str, *, several: bool = False) -> list[tuple[str, str]]:
    """Return the methods that work on the model; if one is to be chosen, also the best of several, chosen by a test."""
    own, refused = own_method(model), refusals(model)
    rows = [m for m in all_methods() if refused[m.name] is None]
    choices = [
        (words.Menus.method(name=m.name, family=m.family, complete=m.is_complete, recommended=m.name == own), m.name)
        for m in rows
    ]
    return choices if several else [*choices, (words.Menus.BEST, BEST)]


def method_note(model: str) -> str:
    """Return in one line which methods do not work on the model, and why."""
    reasons = [reason for reason in refusals(model).values() if reason]
    if len(reasons) == 1:
        return words.Menus.one_unavailable(reason=reasons[0])
    return words.Menus.unavailable(count=len(reasons), model=shown_name(model)) if reasons else ""


def models_table() -> list[dict[str, Any]]:
    """Return the table of models for the Models tab."""
    rows = []
    for spec in list_specs():
        w, (here, reason) = spec.weights, availability(spec)
        rows.append(
            {
                "name": spec.name,
                "title": spec.title,
                "here": here,
                "size": download_size(spec),
                "reason": reason,
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


def methods_table() -> str:
    """Return the table of methods for the Models tab, as Markdown."""
    rows = [words.Menus.METHOD_COLUMNS, ["---"] * len(words.Menus.METHOD_COLUMNS)]
    for m in all_methods():
        paper, _, address = m.paper.partition("http")
        paper = paper.rstrip(", ")
        rows.append(
            [
                f"**{m.name}** {m.title}",
                words.Menus.FAMILIES.get(m.family, m.family),
                words.Menus.FOR_AND_AGAINST if m.signed else words.Menus.FOR,
                words.Menus.ADDS_UP if m.is_complete else "",
                m.cost,
                f"[{paper}](http{address})" if address else paper,
            ]
        )
    return f"## {words.Menus.METHODS}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)


def is_known(name: object) -> bool:
    """Return whether there is a model of this name; one that was taught here may have been deleted."""
    try:
        check_model(name)
    except UsageError:
        return False
    return True


def check_model(name: object) -> str:
    """Return the name if it is a model of the table, or one that was taught here. UsageError for anything else."""
    if is_taught(name):
        return model_shelf().find(name).name
    if not isinstance(name, str) or name not in list_models():
        raise UsageError(words.Menus.unknown_model(name=name))
    return name
