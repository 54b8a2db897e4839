"""The protocol that every explanation method follows, the table of methods, and the targets that can be explained.

torch stops in the methods: what comes out of them is numpy. Those that need no more than the features do not import it at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar, cast

import numpy as np

from vidcam.engine.base import Clips, Float32Array, TorchModel, finite
from vidcam.errors import IncompatibleError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from vidcam.engine import Engine
    from vidcam.methods.cell_geometry import CellGeometry
    from vidcam.models.registry import ModelSpec
    from vidcam.values import UInt8Array

__all__ = [
    "Attribution",
    "Clips",
    "Float32Array",
    "Method",
    "Target",
    "Targets",
    "TorchModel",
    "check",
    "choose",
    "explain",
    "get",
    "methods",
    "names",
    "register",
    "resolve",
    "scores_of",
    "seeded",
]

_Numbers = TypeVar("_Numbers", Float32Array, "Tensor")


@dataclass(frozen=True)
class Target:
    """What is explained, as a function of the logits: ``logit[index]``, or ``logit[index] - logit[versus]``."""

    index: int
    versus: int | None = None

    def __post_init__(self) -> None:
        if self.index < 0 or (self.versus is not None and self.versus < 0):
            raise UsageError(f"a class index counts from 0, got {self.index} and {self.versus}")
        if self.index == self.versus:
            raise UsageError(f"class {self.index} versus itself has nothing to explain: give two different classes")

    def __call__(self, logits: _Numbers) -> _Numbers:
        """``(B, K)`` logits to ``(B,)`` scores."""
        score = logits[:, self.index]
        return score if self.versus is None else score - logits[:, self.versus]

    def of_rows(self, rows: Float32Array) -> Float32Array:
        """The same combination of rows ``(..., K, C)`` along the class axis -2: ``(..., C)``."""
        row = rows[..., self.index, :]
        return row if self.versus is None else row - rows[..., self.versus, :]


Targets = Sequence[Target] | Callable[[Float32Array], Sequence[Target]]
"""What to explain: the targets themselves, or a function that chooses them once the logits ``(B, K)`` are known."""


def resolve(targets: Targets, logits: Float32Array) -> tuple[Target, ...]:
    """The targets to explain for these logits ``(B, K)``. Raises UsageError for none at all, or a class that does not exist."""
    chosen = tuple(targets(logits) if callable(targets) else targets)
    if not chosen:
        raise UsageError("there is no class to explain: give at least one target")
    top = max(k for target in chosen for k in (target.index, target.versus or 0))
    if top >= logits.shape[1]:
        raise UsageError(f"class {top} does not exist: the model has {logits.shape[1]}, counted from 0")
    return chosen


def scores_of(logits: Float32Array, targets: Sequence[Target]) -> Float32Array:
    """``(B, N)``: the score of each target."""
    return np.stack([target(logits) for target in targets], axis=1)


@dataclass(frozen=True)
class Attribution:
    """What a method returns for a batch of B clips and its N ``targets``.

    ``logits (B, K) float32``; ``maps``: for each pathway of the explained layer ``(B, N, T', h, w) float32``, signed and raw;
    ``totals (B, N)``: what all the maps of a clip and a target should sum to, so that the error can be shown; None where they
    need not sum to anything.
    """

    targets: tuple[Target, ...]
    logits: Float32Array
    maps: tuple[Float32Array, ...]
    totals: Float32Array | None = None


Explain = Callable[[TorchModel, Clips, Targets], Attribution]


@dataclass(frozen=True)
class Method:
    """One row of the table of methods.

    ``requires`` is compared with a model's ``provides``. ``signed``: may the values be negative, which then is evidence against
    the target? ``complete``: do they sum to the score less its bias? ``cost`` in words, relative to a forward pass. ``cells``
    says where the cells of its maps are in the clips of a model; None: they are the explained layer's. A method that works
    ``around`` others says how: ``get("smoothgrad:cam")`` is ``get("smoothgrad").around(get("cam"))``. One that is ``random``
    draws from a seed, which its ``explain`` takes as the keyword ``seed`` (:func:`seeded`).
    """

    name: str
    title: str
    paper: str
    requires: frozenset[str]
    signed: bool
    complete: bool
    cost: str
    explain: Explain
    family: Literal["cam", "gradient", "input", "perturbation", "propagation", "attention"]
    cells: Callable[[ModelSpec], CellGeometry] | None = None
    around: Callable[[Method], Method] | None = None
    random: bool = False


_METHODS: dict[str, Method] = {}


def register(method: Method) -> Method:
    """Add a row to the table; a name that is taken is refused."""
    if method.name in _METHODS:
        raise UsageError(f"a method named {method.name!r} is registered already")
    _METHODS[method.name] = method
    return method


def names() -> tuple[str, ...]:
    """The registered names, in the table's order."""
    _load()
    return tuple(_METHODS)


def methods() -> tuple[Method, ...]:
    """The table's rows, in its order."""
    _load()
    return tuple(_METHODS.values())


def get(name: str) -> Method:
    """The method called ``name``, also one around another, such as ``smoothgrad:layercam``.

    UnknownNameError (with the nearest names) where there is none.
    """
    _load_light()
    if name in _METHODS:  # the usual ones, without importing torch
        return _METHODS[name]
    _load()
    outer, _, inner = name.partition(":")
    if inner and outer in _METHODS and (around := _METHODS[outer].around):
        return around(get(inner))
    try:
        return _METHODS[name]
    except KeyError:
        raise UnknownNameError("method", name, _METHODS) from None


def check(method: Method, spec: ModelSpec) -> None:
    """Refuse a method that the model cannot bear, saying what is missing and which methods work."""
    missing = method.requires - spec.provides
    if missing:
        works = [m.name for m in methods() if m.requires <= spec.provides]
        raise IncompatibleError(
            f"method {method.name!r} needs {', '.join(sorted(missing))}, which model {spec.name!r} does not have; "
            f"these methods work on it: {', '.join(works)}"
        )


def choose(name: str | None, spec: ModelSpec, *, seed: int = 0) -> Method:
    """The method called ``name``, checked and :func:`seeded`.

    For None it is the first of ``cam`` (where it is exact), ``gradcam``, ``smoothgrad``, ``occlusion`` that works on the model.
    """
    usual = ("cam", "gradcam", "smoothgrad", "occlusion")
    method = get(name or next(m for m in usual if get(m).requires <= spec.provides))
    check(method, spec)
    return seeded(method, seed)


def seeded(method: Method, seed: int) -> Method:
    """The method with whatever it draws drawn from ``seed``; one that draws nothing as it is."""
    if not method.random:
        return method
    return replace(method, explain=partial(cast("Callable[..., Attribution]", method.explain), seed=seed))


def explain(engine: Engine, frames: UInt8Array, targets: Targets, method: Method) -> Attribution:
    """Logits and evidence of clips ``(B, T, H, W, 3) uint8``, from one forward pass of each clip; all numbers are finite.

    (A function of the logits that meets more clips than the engine computes at once costs a second pass: it sees all of them.)
    Raises IncompatibleError where the method does not work on the model, UsageError for clips or classes that do not fit,
    VidcamError where the network fails or gives numbers that are not finite.
    """
    check(method, engine.spec)
    if callable(targets) and len(frames) > engine.chunk:
        targets = targets(engine.predict(frames))
    parts = list(engine.map(frames, lambda clips: method.explain(engine.explained, clips, targets)))
    totals = [part.totals for part in parts if part.totals is not None]
    name = engine.spec.name
    return Attribution(
        targets=parts[0].targets,
        logits=finite(np.concatenate([part.logits for part in parts]), f"model {name!r} gives logits"),
        maps=tuple(
            finite(np.concatenate(maps), f"method {method.name!r} gives maps on model {name!r}")
            for maps in zip(*(part.maps for part in parts), strict=True)
        ),
        totals=np.concatenate(totals) if totals else None,
    )


def _load_light() -> None:
    from vidcam.methods import cam, gradient_cam  # noqa: F401  (each registers its rows when imported)


def _load() -> None:
    _load_light()
    from vidcam.methods import input_gradients, noise_tunnel  # noqa: F401

    # isort: split
    from vidcam.methods import attention, lrp, perturbation, score_cam  # noqa: F401
