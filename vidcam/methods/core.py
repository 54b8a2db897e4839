"""What is explained (:class:`Target`), what a method returns (:class:`Attribution`), and :func:`explain`, which runs one.

A method takes torch tensors and returns numpy arrays. A method that needs only activations does not import torch at all.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from vidcam.engine.base import Clips, Float32Array, ForwardOutput, require_finite
from vidcam.engine.network import TorchModel
from vidcam.errors import IncompatibleError, UsageError
from vidcam.methods.cell_geometry import CellGeometry, join
from vidcam.methods.lookup import check_method
from vidcam.methods.method import Method

if TYPE_CHECKING:
    from torch import Tensor

    from vidcam.engine import Engine
    from vidcam.values import UInt8Array

__all__ = [
    "Attribution",
    "Clips",
    "Float32Array",
    "Method",
    "PlacedAttribution",
    "Target",
    "Targets",
    "TorchModel",
    "explain",
    "explain_by_each",
    "resolve",
    "scores_of",
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
        """Return the scores ``(B,)`` of logits ``(B, K)``."""
        score = logits[:, self.index]
        return score if self.versus is None else score - logits[:, self.versus]

    def of_rows(self, rows: Float32Array) -> Float32Array:
        """Return the same combination of rows ``(..., K, C)`` along the class axis -2: ``(..., C)``."""
        row = rows[..., self.index, :]
        return row if self.versus is None else row - rows[..., self.versus, :]


Targets = Sequence[Target] | Callable[[Float32Array], Sequence[Target]]
"""What to explain: the targets themselves, or a function that chooses them once the logits ``(B, K)`` are known."""


def resolve(targets: Targets, logits: Float32Array) -> tuple[Target, ...]:
    """Return the targets to explain for logits ``(B, K)``. Raises UsageError for no target, or a class that does not exist."""
    chosen = tuple(targets(logits) if callable(targets) else targets)
    if not chosen:
        raise UsageError("there is no class to explain: give at least one target")
    top = max(k for target in chosen for k in (target.index, target.versus or 0))
    if top >= logits.shape[1]:
        raise UsageError(f"class {top} does not exist: the model has {logits.shape[1]}, counted from 0")
    return chosen


def scores_of(logits: Float32Array, targets: Sequence[Target]) -> Float32Array:
    """Return the score of each target, ``(B, N)``."""
    return np.stack([target(logits) for target in targets], axis=1)


@dataclass(frozen=True)
class Attribution:
    """What a method returns for a batch of B clips and its N ``targets``.

    Attributes:
        targets: The N targets, chosen if a function was given.
        logits: ``(B, K) float32``.
        maps: For each pathway of the target layer ``(B, N, T', h, w) float32``, signed and raw.
        totals: ``(B, N)``, what all maps of a clip and a target should sum to, so that the error can be shown; None if they need
            not sum to anything.
    """

    targets: tuple[Target, ...]
    logits: Float32Array
    maps: tuple[Float32Array, ...]
    totals: Float32Array | None = None


class PlacedAttribution:
    """A method's attribution of a batch, its pathways joined to one grid whose cells have a place in the clip.

    Attributes:
        maps: ``(B, N, T', h, w) float32``.
        totals: ``(B, N)``, or None if the method promises no sums.
        cells: Where the cells of the maps lie in a clip.
    """

    def __init__(self, method: Method, attribution: Attribution, geometries: Sequence[CellGeometry], *, share: float) -> None:
        # The answer is the mean over the crops of a clip, so the evidence of each crop counts for its share.
        self.method, self.attribution = method, attribution
        maps, self.cells = join(attribution.maps, geometries)
        self.maps = (maps * share).astype(np.float32)
        self.totals = None if attribution.totals is None else attribution.totals * share


def explain(engine: Engine, frames: UInt8Array, targets: Targets, method: Method) -> Attribution:
    """Explain clips ``(B, T, H, W, 3) uint8`` by one method, from one forward pass of each clip.

    A ``targets`` function that meets more clips than the engine computes at once costs a second pass, because it sees all logits.

    Returns:
        Logits and evidence of all clips; every number is finite.

    Raises:
        IncompatibleError: The method does not work on the model.
        UsageError: The clips do not fit the model, or a class does not exist.
        VidcamError: The network fails or gives numbers that are not finite.
    """
    [result] = explain_by_each(engine, frames, targets, [method])
    if isinstance(result, IncompatibleError):
        raise result
    return result


def explain_by_each(
    engine: Engine, frames: UInt8Array, targets: Targets, methods: Sequence[Method]
) -> list[Attribution | IncompatibleError]:
    """Explain clips by several methods; those that need no more than logits and activations share one forward pass.

    Works like :func:`explain`, but a method that does not work on the model gives its error in its place.
    """
    errors: dict[str, IncompatibleError] = {}
    for method in methods:
        try:
            check_method(method, engine.spec)
        except IncompatibleError as error:
            errors[method.name] = error
    if callable(targets) and len(frames) > engine.chunk:
        targets = targets(engine.predict(frames))

    def run(clips: Clips) -> dict[str, Attribution]:
        model = engine.model if len(methods) == 1 else _with_shared_forward(engine.model)
        parts = {}
        for method in methods:
            if method.name not in errors:
                try:
                    parts[method.name] = method.explain(model, clips, targets)
                except IncompatibleError as error:
                    errors[method.name] = error
        return parts

    parts = list(engine.map(frames, run))
    return [
        errors[method.name] if method.name in errors else _concatenate(engine, method, [part[method.name] for part in parts])
        for method in methods
    ]


def _with_shared_forward(model: TorchModel) -> TorchModel:
    """Return the model with a memory for its last forward pass: asked again about the same clips, it does not compute anew."""
    shared, forward = copy.copy(model), model.forward
    last: list[tuple[Clips, ForwardOutput]] = []

    def remembered(clips: Clips) -> ForwardOutput:
        if not last or last[0][0] is not clips:
            last[:] = [(clips, forward(clips))]
        return last[0][1]

    vars(shared)["forward"] = remembered
    return shared


def _concatenate(engine: Engine, method: Method, parts: Sequence[Attribution]) -> Attribution:
    totals = [part.totals for part in parts if part.totals is not None]
    name = engine.spec.name
    return Attribution(
        targets=parts[0].targets,
        logits=require_finite(np.concatenate([part.logits for part in parts]), f"model {name!r} gives logits"),
        maps=tuple(
            require_finite(np.concatenate(maps), f"method {method.name!r} gives maps on model {name!r}")
            for maps in zip(*(part.maps for part in parts), strict=True)
        ),
        totals=np.concatenate(totals) if totals else None,
    )
