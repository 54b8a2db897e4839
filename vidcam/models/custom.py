"""Networks of your own: ``package.module:factory`` or ``path/to/file.py:factory``.

``factory()`` takes no arguments and returns a ModelSpec, or a ``torch.nn.Module`` that turns normalised RGB clips
``(B,3,T,H,W)`` into logits ``(B,K)``. What else vidcam must know about a module may stand in its attribute ``vidcam``, a dict
with any of the keys of ``DEFAULTS``; what is missing there is taken from it.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MethodType, ModuleType
from typing import TYPE_CHECKING, Any, get_args

from vidcam.errors import Terminated, UnknownNameError, UsageError, VidcamError
from vidcam.models.labels import read
from vidcam.models.registry import ORDERS, Head, Layout, ModelSpec

if TYPE_CHECKING:
    from torch import nn

__all__ = ["DEFAULTS", "Described", "describe", "facts_of_words", "is_custom", "is_file", "make"]

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
    "head": None,
    "labels": None,
    "own_weights": False,
}
"""What holds for a module that says nothing: the clip and pixels of torchvision's 18-layer networks (16 frames at 15 a second,
short side 128, centre crop 112, Kinetics' mean and deviation); the layer is found where it can be proven; labels are ``class
0``, ...; ``own_weights`` says that the factory's weights are meant, else it is told that none were given."""


ASSUMED = ("frames", "interval_s", "resize", "crop", "mean", "std")
"""What is assumed, and said, if nobody states it."""

NUMBERS = {"frames": 1, "interval_s": 1, "resize": (1, 2), "crop": (1, 2), "mean": 3, "std": 3, "grid": 3}
WORDS = ("layout", "order")
"""How many numbers a fact has that can be given as words."""


def is_custom(name: str) -> bool:
    """Is this ``where:factory`` and not the name of a row of the table?"""
    return ":" in name or is_file(name)


def is_file(name: str) -> bool:
    """Is this a Python file, or another file that people take for a model, without a factory?"""
    return Path(name).suffix in (".py", *FOREIGN) and Path(name).expanduser().is_file()


FOREIGN = {
    ".onnx": "an ONNX graph, whose layers and gradients cannot be looked into: give the PyTorch network that it was made of",
    ".pkl": "a pickle, which runs code when it is read: save model.state_dict() and give it as --weights",
    ".pickle": "a pickle, which runs code when it is read: save model.state_dict() and give it as --weights",
    ".pt": "a weight file: give it as --weights, and the network that it belongs to as --model",
    ".pth": "a weight file: give it as --weights, and the network that it belongs to as --model",
    ".ckpt": "a weight file: give it as --weights, and the network that it belongs to as --model",
    ".safetensors": "a weight file: give it as --weights, and the network that it belongs to as --model",
    ".torchscript": "a TorchScript archive, whose layers cannot be looked into: give the PyTorch network that it was made of",
}
"""What a file that is no Python is, by its suffix, and what to do instead."""


def facts_of_words(words: Sequence[str]) -> dict[str, object]:
    """Return the facts that ``KEY=VALUE`` words state: numbers with commas between them, or a name.

    >>> facts_of_words(["mean=0.5,0.5,0.5", "frames=8"])
    {'mean': (0.5, 0.5, 0.5), 'frames': 8}

    Raises:
        UsageError: A word is no such fact.
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
    """A network of the user's own: its row of facts, the number of its outputs, and what the user should know of it.

    ``own_weights`` says that the weights its code gave it are meant.
    """

    spec: ModelSpec
    outputs: int
    notes: tuple[str, ...]
    own_weights: bool


def make(name: str) -> ModelSpec | nn.Module:
    """What the factory called ``package.module:factory`` or ``file.py:factory`` returns.

    UsageError where there is no such file, module or factory, or it returns something else; VidcamError, caused by what was
    raised, where the code itself fails.
    """
    from torch import nn

    where, _, attribute = name.rpartition(":")
    if is_file(name):
        if what := FOREIGN.get(Path(name).suffix):
            raise UsageError(f"{name} is {what}")
        raise UsageError(f"{name} is a file: name the factory in it too, {_factories(name)}")
    if not where or not attribute.isidentifier():
        raise UsageError(f"a model of your own is package.module:factory or path/to/file.py:factory, got {name!r}")
    with _importable(where), _blaming(name):
        source = _import(where)
        factory = getattr(source, attribute, None)
        if factory is None:
            functions = [key for key, value in vars(source).items() if callable(value) and not key.startswith("_")]
            raise UnknownNameError(f"factory in {where}", attribute, functions)
        if not callable(factory):
            raise UsageError(f"{name}: {attribute} is no function but a {type(factory).__name__}")
        made = factory()
    if not isinstance(made, ModelSpec | nn.Module):
        raise UsageError(f"{name}() must return a torch.nn.Module or a ModelSpec, it returned a {type(made).__name__}")
    return made if isinstance(made, ModelSpec) else _original(name, made)


def _original(name: str, module: nn.Module) -> nn.Module:
    """The network itself of what ``torch.compile`` or a decorator that switches gradients off made of it.

    UsageError for TorchScript.
    """
    import torch

    compiled = getattr(module, "_orig_mod", None)  # of the same parameters
    if isinstance(compiled, torch.nn.Module):
        module = compiled
    if isinstance(module, torch.jit.ScriptModule):
        raise UsageError(
            f"{name}() returns a TorchScript module, whose layers cannot be looked into: return the network that it was made of"
        )
    for part in module.modules():
        forward = getattr(type(part), "forward", None)
        # torch.no_grad() and torch.inference_mode() decorate by this file.
        code, plain = getattr(forward, "__code__", None), getattr(forward, "__wrapped__", None)
        if plain is not None and code is not None and code.co_filename.endswith("_contextlib.py"):
            part.forward = MethodType(plain, part)
    return module


def _factories(name: str) -> str:
    """The functions and classes that a file defines, as ``file.py:one or file.py:two``; found without running it."""
    try:
        tree = ast.parse(Path(name).expanduser().read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return f"{name}:factory"
    kinds = ast.FunctionDef | ast.ClassDef
    found = [node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]
    return " or ".join(f"{name}:{one}" for one in found[:8]) or f"{name}:factory; it defines none"


def describe(name: str, module: nn.Module, *, layer: str | None = None, facts: Mapping[str, object] | None = None) -> Described:
    """Return the row of facts of a network of your own, as one run of it shows them.

    The facts are those given, completed by those of its attribute ``vidcam`` and by DEFAULTS; what is assumed is told.
    ``layer`` overrides the one that is stated. If none is, it is found only in a network that is provably global average pooling
    and a linear layer (see :func:`~vidcam.models.head_detection.find_layer`); in others no layer is explained, and methods that
    need one are refused. ``head`` is set only if a run shows it to be exact.
    """
    from vidcam.models.head_detection import NO_LAYER, find_layer, has_gradients, outputs_of, point_at

    stated = _checked(f"the facts given for {name}", facts or {})
    known = _stated(name, module) | stated
    notes = [_assumed(name, known)] if any(key not in known for key in ASSUMED) else []
    all_facts = dict(DEFAULTS) | known
    fact = partial(_fact, name, all_facts)
    stated_layer = all_facts["layer"]
    (frames,), (seconds_between_frames,), crop = fact("frames", int, 1), fact("interval_s", float, 1), fact("crop", int, 2)
    resize = all_facts["resize"]
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
        frames=frames,
        seconds_between_frames=seconds_between_frames,
        resize=fact("resize", int, 1)[0] if isinstance(resize, int) else fact("resize", int, 2),
        crop=crop,
        mean=fact("mean", float, 3, positive=False),
        std=fact("std", float, 3),
        layer=str(stated_layer),
        layout=all_facts["layout"],
        grid=all_facts["grid"] and fact("grid", int, 3),
        order=all_facts["order"] or ORDERS[0],
        head=head if isinstance(head, Head | None) else Head((head,) if isinstance(head, str) else tuple(head)),
        time_cells=(),
        paper="",
    )
    chosen = layer or stated_layer
    if chosen is None:
        chosen, why = find_layer(module, name=name, frames=frames, crop=crop)
        notes += [why] if why else []
    if chosen == NO_LAYER:
        spec, outputs = replace(spec, layer=NO_LAYER, head=None), outputs_of(module, frames=frames, crop=crop)
    else:
        spec, outputs = point_at(
            module, spec, chosen, keep_head=layer in (None, stated_layer), measure_order=all_facts["order"] is None
        )
    if not has_gradients(module, frames=frames, crop=crop):
        # Where the cells of a layer look is measured by gradients too.
        spec = replace(spec, layer=NO_LAYER, head=None, time_cells=(), differentiable=False)
        notes.append(f"{name} computes without gradients (torch.no_grad or detach in its forward): only perturbation works on it")
    return Described(spec, outputs, tuple(notes), bool(all_facts["own_weights"]))


def _assumed(name: str, known: Mapping[str, object]) -> str:
    missing = [key for key in ASSUMED if key not in known]
    words = ", ".join(f"{key} {_words(DEFAULTS[key])}" for key in missing)
    return (
        f"{name} does not say how its clips are made, so those of torchvision's 18-layer networks are assumed: {words}. "
        "State them in its attribute `vidcam`, or with --fact KEY=VALUE"
    )


def _words(value: Any) -> str:
    values = value if isinstance(value, tuple) else (value,)
    return " × ".join(map(str, values)) if len(values) == 2 else ",".join(f"{v:.4g}" for v in values)


def _stated(name: str, module: nn.Module) -> dict[str, Any]:
    facts = getattr(module, "vidcam", {})
    if not isinstance(facts, Mapping):
        raise UsageError(f"{name}: the attribute `vidcam` must be a dict of facts, got a {type(facts).__name__}")
    return _checked(f"the attribute `vidcam` of {name}", facts)


def _checked(where: str, facts: Mapping[Any, object]) -> dict[str, Any]:
    for key in facts:
        if key not in DEFAULTS:
            raise UnknownNameError(f"fact in {where}", str(key), DEFAULTS)
    return dict(facts)


def _fact(
    name: str, facts: Mapping[str, Any], key: str, kind: type[int] | type[float], count: int, *, positive: bool = True
) -> Any:
    """``count`` numbers as a tuple; UsageError for anything else."""
    values = facts[key] if isinstance(facts[key], Sequence) else (facts[key],)
    allowed = (int,) if kind is int else (int, float)
    right = all(isinstance(v, allowed) and not isinstance(v, bool) and (v > 0 or not positive) for v in values)
    if not right or len(values) != count:
        what = f"{'positive ' if positive else ''}{'whole ' if kind is int else ''}number{'s' if count > 1 else ''}"
        raise UsageError(f"{name}: the fact {key} must be {count} {what}, got {facts[key]!r}")
    return tuple(kind(v) for v in values)


def _labels(name: str, stated: Any, outputs: int) -> tuple[str, ...]:
    """The stated labels: a list of them, or a file; ``class 0`` and so on where none are stated."""
    if stated is None:
        return tuple(f"class {i}" for i in range(outputs))
    if isinstance(stated, str | os.PathLike):
        return read(stated)
    labels = tuple(stated)
    if not all(isinstance(label, str) and label for label in labels):
        raise UsageError(f"{name}: `vidcam['labels']` must be a list of names or the path of a file of them")
    return labels


def _import(where: str) -> ModuleType:
    """The module of a dotted name or of a ``.py`` file."""
    if not where.endswith(".py"):
        return importlib.import_module(where)
    path = Path(where).resolve()
    if not path.is_file():
        raise UsageError(f"no file {where}: check the path before the colon")
    # A name of its own, so that the file shadows nothing; it must be in sys.modules while it runs, dataclasses look there.
    name = f"_vidcam_custom_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    module_spec = importlib.util.spec_from_file_location(name, path)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[name] = module
    try:
        module_spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _importable(where: str) -> Iterator[None]:
    """Imports find what lies beside the file, or in the working folder for a dotted name, as when it is run as a script."""
    folder = str(Path(where).resolve().parent if where.endswith(".py") else Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


@contextmanager
def _blaming(name: str) -> Iterator[None]:
    """Whatever the user's own code raises becomes a VidcamError that names it and chains the cause."""
    try:
        yield
    except (VidcamError, Terminated):
        raise
    except (Exception, SystemExit) as err:
        raise VidcamError(f"{name} cannot be made, its own code raised {type(err).__name__}: {err}") from err
