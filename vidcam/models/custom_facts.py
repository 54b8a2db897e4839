"""The facts about a custom network: stated, assumed, or found by running it.

They are stated by its attribute ``vidcam`` or by the user.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from vidcam.errors import UnknownNameError, UsageError
from vidcam.models.calling import CALL_FACTS
from vidcam.models.labels import read_labels
from vidcam.models.spec import ORDERS, Head, Layout, ModelSpec

if TYPE_CHECKING:
    from torch import nn

__all__ = ["DEFAULTS", "Described", "clip_facts", "describe", "given_labels", "parse_facts"]


DEFAULTS: Mapping[str, Any] = {
    "frames": 16,
    "interval_s": 1 / 15,
    "resize": 128,
    "crop": (112, 112),
    "mean": (0.43216, 0.394666, 0.37645),
    "std": (0.22803, 0.22145, 0.216989),
    "layer": None,
    "layout": "channels-first",
    "grid": None,
    "order": None,
    "class_tokens": 1,
    "head": None,
    "labels": None,
    "own_weights": False,
}
"""The facts of a module that states none: the clips and pixels of torchvision's 18-layer networks (16 frames at 15 per second,
short side 128, centre crop 112, mean and deviation of Kinetics). The layer is found if that can be proven. Labels are ``class 0``
and so on. ``own_weights`` states that the weights of the factory are meant; otherwise a note says that none were given."""


ASSUMED = ("frames", "interval_s", "resize", "crop", "mean", "std")
"""The facts that are assumed if nobody states them, with a note."""


NUMBERS = {"frames": 1, "interval_s": 1, "resize": (1, 2), "crop": (1, 2), "mean": 3, "std": 3, "grid": 3, "class_tokens": 1}


WORDS = ("layout", "order")
"""The facts that can be given as words: how many numbers each has, and those that are a name."""


def parse_facts(words: Sequence[str]) -> dict[str, object]:
    """Return the facts that ``KEY=VALUE`` words state.

    A value is numbers with commas between them, or a name.

    >>> parse_facts(["mean=0.5,0.5,0.5", "frames=8"])
    {'mean': (0.5, 0.5, 0.5), 'frames': 8}

    Raises:
        UsageError: A word is not a fact.
    """
    facts: dict[str, object] = {}
    for word in words:
        key, equals, text = (part.strip() for part in word.partition("="))
        if not equals or key not in (*NUMBERS, *WORDS):
            raise UsageError(f"a fact is KEY=VALUE with a key of {', '.join((*NUMBERS, *WORDS))}, got {word!r}")
        if key in WORDS:
            facts[key] = text
            continue
        try:
            values = tuple(int(v) if v.strip().lstrip("+-").isdigit() else float(v) for v in text.split(","))
        except ValueError:
            raise UsageError(f"the fact {key} is numbers with commas between them, got {text!r}") from None
        if key == "crop" and len(values) == 1:
            values *= 2  # a square
        facts[key] = values[0] if len(values) == 1 else values
    return facts


@dataclass(frozen=True)
class Described:
    """The facts about a custom network.

    Attributes:
        spec: Its facts.
        outputs: The number of its outputs.
        notes: What the user should know about it, in sentences.
        own_weights: Whether the weights that its code gave it are meant.
    """

    spec: ModelSpec
    outputs: int
    notes: tuple[str, ...]
    own_weights: bool


def describe(name: str, module: nn.Module, *, layer: str | None = None, facts: Mapping[str, object] | None = None) -> Described:
    """Collect the facts about a custom network and check them in one run.

    ``facts`` take precedence over the attribute ``vidcam``, and both over :data:`DEFAULTS`; a note lists what is assumed.

    Args:
        name: The name of the model, for messages.
        module: The network.
        layer: The layer to explain; it overrides the stated one. If none is stated, it is found only if the network is provably
            global average pooling and a linear layer (:func:`~vidcam.models.head_detection.find_layer`). Otherwise no layer is
            explained, and methods that need one are refused.
        facts: Facts with the keys of :data:`DEFAULTS`.

    Returns:
        The facts; the head is set only if a run shows it to be exact.

    Raises:
        UnknownNameError: A fact has an unknown key, or there is no such layer.
        UsageError: A fact has a wrong value, or contradicts the network.
        VidcamError: The network fails.
    """
    from vidcam.models.head_detection import NO_LAYER, find_layer, inspect_layer
    from vidcam.models.trial_run import count_outputs, has_gradients

    known = _read_attribute(name, module) | dict(facts or {})
    of_clips, note = clip_facts(name, known, where="in its attribute `vidcam`, or ")
    notes = [note] if note else []
    all_facts = dict(DEFAULTS) | known
    numbers = partial(_numbers, name, all_facts)
    stated_layer = all_facts["layer"]
    frames, crop = of_clips["num_frames"], of_clips["crop"]
    head = all_facts["head"]
    if all_facts["layout"] not in get_args(Layout):
        raise UsageError(f"{name}: the fact layout must be one of {', '.join(get_args(Layout))}, got {all_facts['layout']!r}")
    if all_facts["order"] is not None and all_facts["order"] not in ORDERS:
        raise UsageError(f"{name}: the fact order must be one of {', '.join(ORDERS)}, got {all_facts['order']!r}")
    spec = ModelSpec(
        name=name,
        title=f"{type(module).__name__}, yours",
        family="custom",
        build=lambda: module,
        labels=lambda: _labels(name, all_facts["labels"], outputs),
        **of_clips,
        target_layer=str(stated_layer),
        layout=all_facts["layout"],
        grid=all_facts["grid"] and numbers("grid", int, 3),
        order=all_facts["order"] or ORDERS[0],
        class_tokens=numbers("class_tokens", int, 1, positive=False)[0],
        head=head if isinstance(head, Head | None) else Head((head,) if isinstance(head, str) else tuple(head)),
        time_cells=(),
        paper="",
    )
    target_layer = layer or stated_layer
    if target_layer is None:
        target_layer, why = find_layer(module, name=name, frames=frames, crop=crop)
        notes += [why] if why else []
    if target_layer == NO_LAYER:
        spec, outputs = replace(spec, target_layer=NO_LAYER, head=None), count_outputs(module, frames=frames, crop=crop)
    else:
        spec, outputs = inspect_layer(
            module, spec, target_layer, keep_head=layer in (None, stated_layer), measure_order=all_facts["order"] is None
        )
    if not has_gradients(module, frames=frames, crop=crop):
        # The position of the cells of a layer is measured by gradients too.
        spec = replace(spec, target_layer=NO_LAYER, head=None, time_cells=(), differentiable=False)
        notes.append(f"{name} computes without gradients (torch.no_grad or detach in its forward): only perturbation works on it")
    return Described(spec, outputs, tuple(notes), bool(all_facts["own_weights"]))


def clip_facts(name: str, known: Mapping[str, object], *, where: str = "") -> tuple[dict[str, Any], str]:
    """Return how clips are made, as the arguments of a :class:`~vidcam.models.spec.ModelSpec`, from what is known or assumed.

    ``where`` is where else than with ``--fact`` they can be stated, for the note, such as "in this file, or ".

    Returns:
        The facts, and the sentence that lists what is assumed; empty if everything is known.

    Raises:
        UnknownNameError: A fact has an unknown key.
        UsageError: A fact has a wrong value.
    """
    all_facts = dict(DEFAULTS) | _check_keys(f"the facts given for {name}", known)
    numbers = partial(_numbers, name, all_facts)
    facts = {
        "num_frames": numbers("frames", int, 1)[0],
        "seconds_between_frames": numbers("interval_s", float, 1)[0],
        "resize": numbers("resize", int, 1)[0] if isinstance(all_facts["resize"], int) else numbers("resize", int, 2),
        "crop": numbers("crop", int, 2),
        "mean": numbers("mean", float, 3, positive=False),
        "std": numbers("std", float, 3),
    }
    return facts, _assumption_note(name, known, where) if any(key not in known for key in ASSUMED) else ""


def given_labels(name: str, file: str | os.PathLike[str] | None, outputs: int) -> tuple[str, ...]:
    """Return the labels of a file, or ``class 0`` and so on; raise UsageError if there are not as many as outputs."""
    labels = _labels(name, None if file is None else os.fspath(file), outputs)
    if len(labels) != outputs:
        raise UsageError(f"{name} has {outputs} outputs, but there are {len(labels)} labels in {file}")
    return labels


def _assumption_note(name: str, known: Mapping[str, object], where: str) -> str:
    """Return the sentence that lists the assumed facts."""
    missing = [key for key in ASSUMED if key not in known]
    words = ", ".join(f"{key} {_to_words(DEFAULTS[key])}" for key in missing)
    return (
        f"{name} does not say how its clips are made, so those of torchvision's 18-layer networks are assumed: {words}. "
        f"State them {where}with --fact KEY=VALUE"
    )


def _to_words(value: Any) -> str:
    """Return a value of DEFAULTS as text."""
    values = value if isinstance(value, tuple) else (value,)
    return " × ".join(map(str, values)) if len(values) == 2 else ",".join(f"{v:.4g}" for v in values)


def _read_attribute(name: str, module: nn.Module) -> dict[str, Any]:
    """Return the facts in the network's attribute ``vidcam``."""
    facts = getattr(module, "vidcam", {})
    if not isinstance(facts, Mapping):
        raise UsageError(f"{name}: the attribute `vidcam` must be a dict of facts, got a {type(facts).__name__}")
    stated = _check_keys(f"the attribute `vidcam` of {name}", facts, more=CALL_FACTS)
    return {key: value for key, value in stated.items() if key not in CALL_FACTS}


def _check_keys(source: str, facts: Mapping[Any, object], *, more: Sequence[str] = ()) -> dict[str, Any]:
    """Return the facts; raise UnknownNameError for an unknown key."""
    for key in facts:
        if key not in (*DEFAULTS, *more):
            raise UnknownNameError(f"fact in {source}", str(key), (*DEFAULTS, *more))
    return dict(facts)


def _numbers(
    name: str, facts: Mapping[str, Any], key: str, kind: type[int] | type[float], count: int, *, positive: bool = True
) -> Any:
    """Return the fact ``key`` as a tuple of ``count`` numbers; raise UsageError for anything else."""
    values = facts[key] if isinstance(facts[key], Sequence) else (facts[key],)
    allowed = (int,) if kind is int else (int, float)
    is_valid = all(isinstance(v, allowed) and not isinstance(v, bool) and (v > 0 or not positive) for v in values)
    if not is_valid or len(values) != count:
        what = f"{'positive ' if positive else ''}{'whole ' if kind is int else ''}number{'s' if count > 1 else ''}"
        raise UsageError(f"{name}: the fact {key} must be {count} {what}, got {facts[key]!r}")
    return tuple(kind(v) for v in values)


def _labels(name: str, stated: Any, outputs: int) -> tuple[str, ...]:
    """Return the stated labels, given as a list or as the path of a file.

    ``class 0`` and so on if none are stated.
    """
    if stated is None:
        return tuple(f"class {i}" for i in range(outputs))
    if isinstance(stated, str | os.PathLike):
        return read_labels(stated)
    labels = tuple(stated)
    if not all(isinstance(label, str) and label for label in labels):
        raise UsageError(f"{name}: `vidcam['labels']` must be a list of names or the path of a file of them")
    return labels
