"""Networks of your own: ``package.module:factory`` or ``path/to/file.py:factory``.

``factory()`` takes no arguments and returns a ModelSpec, or a ``torch.nn.Module`` that turns normalised RGB clips
``(B,3,T,H,W)`` into logits ``(B,K)``. What else vidcam must know about a module may stand in its attribute ``vidcam``, a dict
with any of the keys of ``DEFAULTS``; what is missing there is taken from it.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, get_args

from vidcam.errors import Terminated, UnknownNameError, UsageError, VidcamError
from vidcam.models.labels import read
from vidcam.models.registry import Head, Layout, ModelSpec

if TYPE_CHECKING:
    from torch import nn

__all__ = ["DEFAULTS", "describe", "is_custom", "make"]

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
    "head": None,
    "labels": None,
}
"""What holds for a module that says nothing: the clip and pixels of torchvision's 18-layer networks (16 frames at 15 a second,
short side 128, centre crop 112, Kinetics' mean and deviation); the layer is found where it can be proven; labels are ``class
0``, ..."""


def is_custom(name: str) -> bool:
    """Is this ``where:factory`` and not the name of a row of the table?"""
    return ":" in name


def make(name: str) -> ModelSpec | nn.Module:
    """What the factory called ``package.module:factory`` or ``file.py:factory`` returns.

    UsageError where there is no such file, module or factory, or it returns something else; VidcamError, caused by what was
    raised, where the code itself fails.
    """
    from torch import nn

    where, _, attribute = name.rpartition(":")
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
    return made


def describe(name: str, module: nn.Module, *, layer: str | None = None) -> tuple[ModelSpec, int]:
    """The row of facts of a network of your own, and the number of its outputs.

    The facts are those of its attribute ``vidcam``, completed by DEFAULTS and by one run of the network. ``layer`` overrides
    the one that is stated. Where none is, it is found only in a network that is provably global average pooling and a linear
    layer (see :func:`~vidcam.models.layers.find_layer`); ``head`` is set only where a run shows it to be exact.
    """
    from vidcam.models.layers import find_layer, point_at

    facts = dict(DEFAULTS) | _stated(name, module)
    fact = partial(_fact, name, facts)
    stated_layer = facts["layer"]
    (frames,), (interval_s,), crop = fact("frames", int, 1), fact("interval_s", float, 1), fact("crop", int, 2)
    resize = facts["resize"]
    head = facts["head"]
    if facts["layout"] not in get_args(Layout):
        raise UsageError(f"{name}: `vidcam['layout']` must be one of {', '.join(get_args(Layout))}, got {facts['layout']!r}")
    spec = ModelSpec(
        name=name,
        title=f"{type(module).__name__}, yours",
        family="custom",
        build=lambda: module,
        labels=lambda: _labels(name, facts["labels"], outputs),
        frames=frames,
        interval_s=interval_s,
        resize=fact("resize", int, 1)[0] if isinstance(resize, int) else fact("resize", int, 2),
        crop=crop,
        mean=fact("mean", float, 3, positive=False),
        std=fact("std", float, 3),
        layer=str(stated_layer),
        layout=facts["layout"],
        grid=facts["grid"] and fact("grid", int, 3),
        head=head if isinstance(head, Head | None) else Head((head,) if isinstance(head, str) else tuple(head)),
        time_cells=(),
        paper="",
    )
    chosen = layer or stated_layer or find_layer(module, name=name, frames=frames, crop=crop)
    spec, outputs = point_at(module, spec, chosen, keep_head=layer in (None, stated_layer))
    return spec, outputs


def _stated(name: str, module: nn.Module) -> dict[str, Any]:
    facts = getattr(module, "vidcam", {})
    if not isinstance(facts, Mapping):
        raise UsageError(f"{name}: the attribute `vidcam` must be a dict of facts, got a {type(facts).__name__}")
    for key in facts:
        if key not in DEFAULTS:
            raise UnknownNameError(f"fact in the attribute `vidcam` of {name}", str(key), DEFAULTS)
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
        raise UsageError(f"{name}: `vidcam[{key!r}]` must be {count} {what}, got {facts[key]!r}")
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
