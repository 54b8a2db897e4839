"""The only code that touches a model: look at one layer, or differentiate all of it, and leave everything as it was.

A module's backward hooks break on in-place operations, and ``backward()`` writes into the parameters. So a layer is seen by a
forward hook that copies its output (:func:`capture`), and gradients, also with other rules than the derivative, are a matter of
autograd's graph of one forward pass (:func:`differentiable`), which knows every operation, whoever called it.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import Node, allow_mutation_on_saved_tensors

from vidcam.engine.base import to_numpy
from vidcam.errors import IncompatibleError, UsageError

if TYPE_CHECKING:
    from vidcam.engine.base import Linear, TorchModel
    from vidcam.models.registry import ModelSpec

__all__ = [
    "ClipRun", "Run", "capture", "differentiable", "frozen", "instead", "linear", "logits_after", "logits_of", "look", "nodes",
]  # fmt: skip

Differentiate = Literal["nothing", "head", "trunk"]


@dataclass(frozen=True)
class Run:
    """One forward pass, seen at the explained layer.

    ``logits (B, K) float32``; ``features``: for each pathway ``(B, C, T', h, w) float32``, the class token dropped. Which of them
    are part of a graph depends on :func:`capture`'s ``differentiate``.
    """

    logits: Tensor
    features: tuple[Tensor, ...]
    explained: TorchModel
    leaves: tuple[Tensor, ...]

    def gradients(self, target: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
        """The gradient of ``target(logits) (B,)`` with respect to the features: for each pathway ``(B, C, T', h, w) float32``.

        Needs ``differentiate="head"``. May be asked for several targets of the same run. No parameter's ``grad`` is touched.
        Raises UsageError where the logits do not depend on the layer.
        """
        if not self.leaves:
            raise UsageError('gradients need a run made with differentiate="head"')
        name, spec = self.explained.layer, self.explained.spec
        with torch.enable_grad():
            score = target(self.logits).sum()
        if not score.requires_grad:
            raise UsageError(f"the logits do not depend on layer {name!r}: choose a layer that leads to them")
        # Clips do not see each other in eval mode, so one pass gives every clip its own gradient.
        found = torch.autograd.grad(score, self.leaves, retain_graph=True, allow_unused=True)
        grads = []
        for pathway, (leaf, grad) in enumerate(zip(self.leaves, found, strict=True)):
            if grad is None:
                raise UsageError(f"the logits do not depend on output {pathway} of layer {name!r}: choose another layer")
            if spec.layout == "tokens" and grad[:, :1].any() and not grad[:, 1:].any():
                raise UsageError(
                    f"after layer {name!r} only the class token leads to the logits, so its {leaf.shape[1] - 1} other tokens say "
                    "nothing: choose an earlier layer, such as the last block's first norm"
                )
            grads.append(_cells(grad, spec, len(self.logits)))
        return tuple(grads)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """``module`` in eval mode, with constant parameters, without gradients; every flag is put back at the end, on errors too.

    Flags are set directly, because a network may override ``train()`` with side effects.
    """
    training = [(m, m.training) for m in module.modules()]
    differentiable = [(p, p.requires_grad) for p in module.parameters()]
    # A caller's inference mode would forbid the head's gradient, hence it is left first.
    with torch.inference_mode(False), torch.no_grad():
        try:
            for m, _ in training:
                m.training = False
            for p, _ in differentiable:
                p.requires_grad_(False)
            yield
        finally:
            for m, mode in training:
                m.training = mode
            for p, flag in differentiable:
                p.requires_grad_(flag)


def logits_of(module: nn.Module, clips: Tensor) -> Tensor:
    """``(B, K) float32``: what the network says of clips ``(B, 3, T, H, W)``, without gradients."""
    with frozen(module):
        return _logits(module(clips.clone()), len(clips))  # a copy: networks may work in place


def look(module: nn.Module, spec: ModelSpec, clips: Tensor) -> tuple[Tensor, ...]:
    """The logits ``(B, K)``, then for each pathway of the explained layer its cells ``(B, C, T', h, w)``, all float32.

    A bare forward pass in whatever mode the network and torch are: for an engine's own copy of a network that :func:`capture`
    has proven, and for tracing. One thread at a time.
    """
    seen: list[Tensor] = []

    def hook(_module: nn.Module, _inputs: object, output: object) -> None:
        # Copies: what follows may work in place.
        seen.extend(_cells(t.float().clone(), spec, len(clips)) for t in _tensors(output, spec.layer))

    if not spec.layer:
        return (_logits(module(clips), len(clips)),)
    handle = _find(module, spec.layer).register_forward_hook(hook)
    try:
        logits = _logits(module(clips), len(clips))
    finally:
        handle.remove()
    return logits, *seen


def linear(module: nn.Module, name: str) -> Linear:
    """Weight ``(out, in)`` and bias ``(out,)`` float32 of an ``nn.Linear`` or a pointwise convolution, else IncompatibleError."""
    known = dict(module.named_modules())
    if name not in known:
        raise IncompatibleError(f"the head names {name!r}, which the network does not have")
    layer = known[name]
    weight = getattr(layer, "weight", None)
    if not isinstance(layer, nn.Linear | nn.Conv3d) or weight is None or weight[0, 0].numel() != 1:
        raise IncompatibleError(f"'cam' needs {name!r} to be a linear layer or a convolution with kernel 1, but it is {layer}")
    weight = weight.detach().flatten(1)
    return to_numpy(weight), to_numpy(weight.new_zeros(len(weight)) if layer.bias is None else layer.bias)


def logits_after(explained: TorchModel, clip: Tensor, copies: int, edit: Callable[[tuple[Tensor, ...]], None]) -> Tensor:
    """``(copies, K) float32``: what the network says of one clip ``(1, 3, T, H, W)`` when ``edit`` changes the layer's output.

    ``edit`` is given that many copies of it, for each pathway ``(copies, C, T', h, w)``, to write into. Only what follows the
    layer is computed for each copy. A path around the layer carries the one clip; it must meet the copies in an operation that
    broadcasts.
    """

    def hook(_module: nn.Module, _inputs: object, output: object) -> object:
        raw = [t.repeat(copies, *[1] * (t.ndim - 1)) for t in _tensors(output, explained.layer)]
        edit(tuple(_cells(t, explained.spec, copies) for t in raw))
        return _packed(raw, output)

    with frozen(explained.module):
        handle = _find(explained.module, explained.layer).register_forward_hook(hook)
        try:
            return _logits(explained.module(clip), copies)
        finally:
            handle.remove()


@contextmanager
def capture(explained: TorchModel, *, differentiate: Differentiate = "nothing") -> Iterator[Callable[[Tensor], Run]]:
    """A function that runs the network on clips ``(B, 3, T, H, W)`` and returns the :class:`Run`; valid inside the ``with``.

    Grad mode is off inside the ``with``, except while the network runs.

    ``differentiate="nothing"`` gives plain numbers. ``"head"`` runs the trunk without gradients and lets :meth:`Run.gradients`
    differentiate what follows the layer. ``"trunk"`` keeps the features attached to the clips (whose ``requires_grad`` the caller
    sets) and runs what follows without gradients.

    Features are float32 copies, whatever the network's own precision, and safe from in-place operations that follow. Raises
    UsageError where the layer does not exist, is not called exactly once, or gives something that is no map.
    """
    module, spec = explained.module, explained.spec
    layer = _find(module, explained.layer)
    seen: list[tuple[tuple[Tensor, ...], tuple[Tensor, ...]]] = []
    batch = 1  # clips in the present run

    def hook(_module: nn.Module, _inputs: object, output: object) -> object:
        if seen:
            raise UsageError(
                f"layer {explained.layer!r} is called more than once in a forward pass, so its output is not one map: "
                "choose another layer"
            )
        tensors = _tensors(output, explained.layer)
        raw = tuple((t if differentiate == "trunk" else t.detach()).float().clone() for t in tensors)
        if differentiate == "head":
            raw = tuple(t.requires_grad_() for t in raw)
        plain = raw if differentiate == "trunk" else tuple(t.detach() for t in raw)
        features = tuple(_cells(t, spec, batch) for t in plain)
        seen.append((features, raw))
        torch.set_grad_enabled(differentiate == "head")  # for the rest of this forward; `run` puts the mode back
        if differentiate == "nothing":
            return None
        # What follows may work in place, which a leaf forbids and a saved map does not survive: it gets a copy of its own.
        sources = raw if differentiate == "head" else tuple(t.detach() for t in tensors)
        return _packed([source.clone().to(t.dtype) for source, t in zip(sources, tensors, strict=True)], output)

    def run(clips: Tensor) -> Run:
        nonlocal batch
        batch = len(clips)
        seen.clear()
        with torch.set_grad_enabled(differentiate == "trunk"):
            logits = _logits(module(clips), len(clips))
        if not seen:
            raise UsageError(f"layer {explained.layer!r} is never called in a forward pass: choose another layer")
        features, raw = seen.pop()
        return Run(logits, features, explained, raw if differentiate == "head" else ())

    with frozen(module):
        handle = layer.register_forward_hook(hook)
        try:
            yield run
        finally:
            handle.remove()


@dataclass(frozen=True)
class ClipRun:
    """One forward pass that can be differentiated down to the ``clips (B, 3, T, H, W)``: ``logits (B, K) float32``."""

    logits: Tensor
    clips: Tensor

    def gradients(self, target: Callable[[Tensor], Tensor]) -> Tensor:
        """The gradient of ``target(logits) (B,)`` with respect to the clips: ``(B, 3, T, H, W) float32``.

        May be asked for several targets of the same run. No parameter's ``grad`` is touched.
        """
        with torch.enable_grad():
            score = target(self.logits).sum()
        # Clips do not see each other in eval mode, so one pass gives every clip its own gradient.
        return torch.autograd.grad(score, self.clips, retain_graph=True)[0].float()


@contextmanager
def differentiable(explained: TorchModel, *, guided: bool = False) -> Iterator[Callable[[Tensor], ClipRun]]:
    """A function that runs the network on clips ``(B, 3, T, H, W)`` and returns the :class:`ClipRun`, valid inside the ``with``.

    Grad mode is off inside the ``with``, except while the network runs. A run keeps all that a backward pass needs, until the
    next one. The network may overwrite that in place, even where no training would survive it: it is copied then. One thread at
    a time; others wait.

    ``guided`` lets only positive gradients pass back through a ReLU (Springenberg et al. 2015), be it a module, a function or in
    place. ReLUs with a ceiling (ReLU6, ``clamp(0, c)``) are guided too: their derivative is 1 or 0 like a ReLU's. Raises
    IncompatibleError where the network has other activations (a sigmoid or a softmax included), for which the rule says nothing,
    or no ReLU at all. UsageError where the logits do not depend on the clips.
    """
    with frozen(explained.module), _MUTATION, allow_mutation_on_saved_tensors() as kept:

        def run(clips: Tensor) -> ClipRun:
            kept.clear()
            leaf = clips.detach().clone().requires_grad_()
            with torch.enable_grad():
                logits = _logits(explained.module(leaf.clone()), len(clips))  # a copy: a leaf must not be overwritten
            if not logits.requires_grad:
                raise UsageError(f"no differentiable way leads from the clips to the logits of model {explained.spec.name!r}")
            if guided:
                _guide(logits, explained.spec.name)
            return ClipRun(logits, leaf)

        yield run


_MUTATION = RLock()
"""Allowing such mutation is a switch of the whole process."""


@contextmanager
def instead(module: nn.Module, functions: Mapping[str, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """The outputs of modules whose class has one of these names are computed by its function, of the module's only input."""

    def hook(function: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, tuple[Tensor], Tensor], Tensor]:
        return lambda _module, inputs, _output: function(inputs[0])

    named = [(m, functions[type(m).__name__]) for m in module.modules() if type(m).__name__ in functions]
    handles = [m.register_forward_hook(hook(function)) for m, function in named]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


OTHER_ACTIVATIONS = (
    *("Celu", "Elu", "Gelu", "Glu", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyRelu", "LogSigmoid"),
    *("LogSoftmax", "Mish", "Prelu", "Rrelu", "ScaledDotProduct", "Sigmoid", "Silu", "Softmax", "Softplus", "Softshrink"),
    *("Tanh", "Threshold"),
)
"""How the names of autograd's nodes begin. A Hardtanh or Threshold that starts at 0 is a ReLU; see :func:`_is_relu`."""


def _guide(logits: Tensor, model: str) -> None:
    """Guide every ReLU in the graph of these logits; the graph is this run's own and goes away with it."""
    relus = []
    others: Counter[str] = Counter()
    for node in nodes(logits):
        name = node.name()
        if _is_relu(node):
            relus.append(node)
        elif isinstance(node, BackwardCFunction) or name.startswith(OTHER_ACTIVATIONS):
            others[name.split("Backward")[0]] += 1
    if others or not relus:
        found = ", ".join(f"{name} ({n} times)" for name, n in sorted(others.items())) or "no ReLU at all"
        raise IncompatibleError(
            f"guided backpropagation is a rule for ReLUs, but model {model!r} has {found}: use 'gradient' or 'smoothgrad'"
        )
    for node in relus:
        node.register_prehook(_only_positive)


def nodes(logits: Tensor) -> Iterator[Node]:
    """Every node of the graph once."""
    assert logits.grad_fn is not None
    seen = {logits.grad_fn}
    waiting = [logits.grad_fn]
    while waiting:
        node = waiting.pop()
        yield node
        fresh = {parent for parent, _ in node.next_functions if parent is not None} - seen
        seen |= fresh
        waiting.extend(fresh)


def _is_relu(node: Node) -> bool:
    """Is this the derivative of ``clip(x, 0, ceiling)``, the ceiling finite or not?"""
    kind = node.name().split("Backward")[0]
    start = {"Relu": None, "Hardtanh": "min_val", "Threshold": "threshold", "Clamp": "min", "ClampMin": "min"}
    if kind not in start:
        return False
    low = 0 if kind == "Relu" else getattr(node, f"_saved_{start[kind]}")
    return isinstance(low, int | float) and low == 0


def _only_positive(gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    return tuple(g if g is None else g.clamp(min=0) for g in gradients)


def _cells(output: Tensor, spec: ModelSpec, clips: int) -> Tensor:
    """The layer's output for so many clips as ``(B, C, T', h, w)``. Raises UsageError where its shape does not fit the layout."""
    shape, layer, grid = tuple(output.shape), spec.layer, spec.grid
    if spec.layout == "tokens":
        if grid is None:
            raise UsageError(f"layer {layer!r} gives tokens, so it needs a grid (T', h, w)")
        if output.ndim != 3 or shape[1] != 1 + grid[0] * grid[1] * grid[2]:
            raise UsageError(
                f"layer {layer!r} should give (clips, 1 + {grid[0]}*{grid[1]}*{grid[2]} tokens, channels) for the grid {grid}, "
                f"but it gives {shape}: choose another layer, or correct the grid"
            )
        sides = [grid["thw".index(axis)] for axis in spec.order]
        return output[:, 1:].reshape(shape[0], *sides, shape[2]).permute(0, 4, *(1 + spec.order.index(axis) for axis in "thw"))
    if spec.layout == "folded":
        if output.ndim != 4 or 0 in shape or shape[0] % clips:
            raise UsageError(f"layer {layer!r} should give (clips * T', channels, h, w), but it gives {shape} for {clips} clips")
        return output.reshape(clips, -1, *shape[1:]).movedim(1, 2)
    if output.ndim != 5 or 0 in shape:
        wanted = "(clips, channels, T', h, w)" if spec.layout == "channels-first" else "(clips, T', h, w, channels)"
        raise UsageError(f"layer {layer!r} should give {wanted}, but it gives {shape}: choose a layer of the 3-D trunk")
    return output if spec.layout == "channels-first" else output.movedim(-1, 1)


def _find(module: nn.Module, layer: str) -> nn.Module:
    try:
        return module.get_submodule(layer)
    except AttributeError:
        known = [name for name, _ in module.named_modules() if name]
        close = difflib.get_close_matches(layer, known, n=3, cutoff=0.5) or [name for name, _ in module.named_children()]
        raise UsageError(f"the network has no layer {layer!r}; it has, for example, {', '.join(close)}") from None


def _tensors(output: object, layer: str) -> tuple[Tensor, ...]:
    """The output's tensors, one for each pathway. Networks overwrite such lists later, so this is a new tuple."""
    tensors = tuple(output) if isinstance(output, list | tuple) else (output,)
    if not tensors or not all(isinstance(t, Tensor) and t.is_floating_point() for t in tensors):
        kinds = ", ".join(type(t).__name__ for t in tensors) or "nothing"
        raise UsageError(f"layer {layer!r} should give a tensor or a list of tensors, but it gives {kinds}: choose another layer")
    return tensors


def _packed(tensors: list[Tensor], output: object) -> object:
    """The tensors in the kind of container in which the layer's ``output`` came."""
    return tensors[0] if isinstance(output, Tensor) else tensors if isinstance(output, list) else tuple(tensors)


def _logits(output: object, clips: int) -> Tensor:
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != clips:
        what = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise UsageError(f"the network should give logits ({clips} clips, classes), but it gives {what}")
    return output.float()
