"""One row of the table of methods: what is known about a method without importing it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from vidcam.engine.base import Clips
    from vidcam.engine.network import TorchModel
    from vidcam.methods.cell_geometry import CellGeometry
    from vidcam.methods.core import Attribution, Targets
    from vidcam.models.spec import ModelSpec

    Explain = Callable[[TorchModel, Clips, Targets], Attribution]

__all__ = ["Family", "Method", "gradient_cam_row"]

Family = Literal["cam", "gradient", "input", "perturbation", "propagation", "attention"]


@dataclass(frozen=True)
class Method:
    """The facts about one explanation method. Functions are given as ``"module:name"``, imported when first used, or as they are.

    Attributes:
        name: What people type.
        title: A few words for menus.
        paper: Authors, title, venue, year and address.
        family: Where the evidence comes from.
        requires: What a model must provide (``ModelSpec.provides``).
        cost: In words, relative to a forward pass.
        function: ``(model, clips, targets) -> Attribution``. A random method takes the keyword ``seed`` too.
        signed: May the values be negative, that is, evidence against the target?
        is_complete: Do the values sum to the score less its bias?
        adapter: A function that gets ``function`` as its first argument and does the explaining; None: ``function`` does.
        cells: ``(spec) -> CellGeometry``, where the cells of the maps are; None: where those of the explained layer are.
        wraps: ``(method) -> method``, for a method that works on others: ``smoothgrad:cam`` is ``smoothgrad`` of ``cam``.
        random: Does it draw from a seed?
    """

    name: str
    title: str
    paper: str
    family: Family
    requires: frozenset[str]
    cost: str
    function: str | Callable[..., Any]
    signed: bool = False
    is_complete: bool = False
    adapter: str | None = None
    cells: str | Callable[[ModelSpec], CellGeometry] | None = None
    wraps: str | Callable[[Method], Method] | None = None
    random: bool = False

    @property
    def explain(self) -> Explain:
        """The function ``(model, clips, targets) -> Attribution``; imports what it needs."""
        function: Explain = _load(self.function)
        return partial(_load(self.adapter), function) if self.adapter else function

    def geometry(self, spec: ModelSpec) -> CellGeometry | None:
        """Return where the cells of the maps are in clips of the model; None if they are the explained layer's."""
        if self.cells is None:
            return None
        geometry: CellGeometry = _load(self.cells)(spec)
        return geometry

    def wrap(self, method: Method) -> Method:
        """Return this method applied to another one. Only methods with ``wraps`` can."""
        assert self.wraps is not None, f"{self.name!r} wraps no other method"
        wrapped: Method = _load(self.wraps)(method)
        return wrapped

    def with_seed(self, seed: int) -> Method:
        """Return the method with its random numbers drawn from ``seed``; a method that draws none is returned as it is."""
        if not self.random:
            return self
        explain: Callable[..., Attribution] = self.explain
        return replace(self, function=partial(explain, seed=seed), adapter=None)


def _load(function: str | Callable[..., Any]) -> Callable[..., Any]:
    return _import(function) if isinstance(function, str) else function


@cache
def _import(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def gradient_cam_row(name: str, function: str | Callable[..., Any], *, title: str, paper: str, signed: bool = True) -> Method:
    """Return the row of a gradient CAM, whose ``function`` is ``(activations, gradients) -> relevance``."""
    return Method(
        name=name,
        title=title,
        paper=paper,
        family="gradient",
        requires=frozenset({"features", "gradient"}),
        cost="one forward pass, and a backward pass through the head for each class",
        function=function,
        signed=signed,
        adapter="vidcam.methods.gradient_cam:explain_gradient_cam",
    )
