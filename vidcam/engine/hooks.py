"""Forward hooks on the target layer of a network; every network is left as it was.

A hook copies the output of the layer, because later operations may overwrite it. See :mod:`vidcam.engine.gradients` for gradients
with respect to the clips.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from vidcam.engine.base import to_numpy
from vidcam.engine.cells import cells_of
from vidcam.errors import IncompatibleError, UsageError

if TYPE_CHECKING:
    from vidcam.engine.base import Linear
    from vidcam.engine.network import TorchModel
    from vidcam.models.spec import ModelSpec

__all__ = [
    "Run", "capture", "fold_norm", "frozen", "logits_after", "logits_of", "read_linear", "replaced_outputs", "require_logits",
    "run_with_cells",
]  # fmt: skip

Differentiate = Literal["nothing", "head", "trunk"]


@dataclass(frozen=True)
class Run:
    """One forward pass and its values at the target layer.

    Attributes:
        logits: ``(B, K) float32``.
        activations: ``(B, C, T', h, w) float32`` for each pathway, without a class token. The argument ``differentiate`` of
            :func:`capture` decides whether they are part of a graph.
        model: The network.
        leaves: The tensors that :meth:`gradients` differentiates by; empty if the run does not allow it.
    """

    logits: Tensor
    activations: tuple[Tensor, ...]
    model: TorchModel
    leaves: tuple[Tensor, ...]

    def gradients(self, target: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
        """Return the gradient of ``target(logits) (B,)`` with respect to the activations.

        It can be called for several targets of the same run. It changes no parameter's ``grad``.

        Returns:
            ``(B, C, T', h, w) float32`` for each pathway.

        Raises:
            UsageError: The run was made without ``differentiate="head"``, or the logits do not depend on the layer.
        """
        if not self.leaves:
            raise UsageError('gradients need a run made with differentiate="head"')
        name, spec = self.model.target_layer, self.model.spec
        with torch.enable_grad():
            score = target(self.logits).sum()
        if not score.requires_grad:
            raise UsageError(f"the logits do not depend on layer {name!r}: choose a layer that leads to them")
        # In eval mode clips do not affect each other, so one pass gives every clip its own gradient.
        gradients = torch.autograd.grad(score, self.leaves, retain_graph=True, allow_unused=True)
        cells = []
        for pathway, (leaf, grad) in enumerate(zip(self.leaves, gradients, strict=True)):
            if grad is None:
                raise UsageError(f"the logits do not depend on output {pathway} of layer {name!r}: choose another layer")
            if "tokens" in spec.layout and (n := spec.class_tokens) and grad[:, :n].any() and not grad[:, n:].any():
                raise UsageError(
                    f"after layer {name!r} only the class token leads to the logits, so its {leaf.shape[1] - n} other tokens "
                    "have no gradient: choose an earlier layer, such as the last block's first norm"
                )
            cells.append(cells_of(grad, spec, len(self.logits)))
        return tuple(cells)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Put a network into eval mode, with constant parameters and without gradients.

    Every flag is restored at the end.

    Flags are set directly, because a network may override ``train()`` with side effects.
    """
    training = [(m, m.training) for m in module.modules()]
    differentiable = [(p, p.requires_grad) for p in module.parameters()]
    # Inference mode of the caller is left first, because it would forbid the head's gradient.
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
    """Return the logits ``(B, K) float32`` of clips ``(B, 3, T, H, W)``, computed without gradients."""
    with frozen(module):
        return require_logits(module(clips.clone()), len(clips))  # a copy: networks may work in place


def run_with_cells(module: nn.Module, spec: ModelSpec, clips: Tensor) -> tuple[Tensor, ...]:
    """Return the logits ``(B, K)``, then the cells ``(B, C, T', h, w)`` of each pathway, all float32.

    It is a bare forward pass in the current mode of the network and of torch: for tracing, and for an engine's own copy of a
    network that :func:`capture` has checked. One thread at a time.
    """
    cells: list[Tensor] = []

    def hook(_module: nn.Module, _inputs: object, output: object) -> None:
        # Copies, because what follows may work in place.
        cells.extend(cells_of(t.float().clone(), spec, len(clips)) for t in _tensors(output, spec.target_layer))

    if not spec.target_layer:
        return (require_logits(module(clips), len(clips)),)
    handle = _find_layer(module, spec.target_layer).register_forward_hook(hook)
    try:
        logits = require_logits(module(clips), len(clips))
    finally:
        handle.remove()
    return logits, *cells


def read_linear(module: nn.Module, name: str) -> Linear:
    """Return the float32 weight ``(out, in)`` and bias ``(out,)`` of a linear layer.

    It may be a pointwise convolution.

    Raises:
        IncompatibleError: The network has no such layer, or it is of another kind.
    """
    modules = dict(module.named_modules())
    if name not in modules:
        raise IncompatibleError(f"the head names {name!r}, which the network does not have")
    layer = modules[name]
    weight = getattr(layer, "weight", None)
    if not isinstance(layer, nn.Linear | nn.Conv3d) or weight is None or weight[0, 0].numel() != 1:
        raise IncompatibleError(f"'cam' needs {name!r} to be a linear layer or a convolution with kernel 1, but it is {layer}")
    weight = weight.detach().flatten(1)
    return to_numpy(weight), to_numpy(weight.new_zeros(len(weight)) if layer.bias is None else layer.bias)


def fold_norm(module: nn.Module, name: str, linear: Linear) -> Linear:
    """Return the linear layer that takes ``x / deviation(x)`` as ``linear`` takes what the layer norm makes of ``x``.

    With the norm's scale ``s`` and shift ``t``, ``W (s * (x - mean(x)) / deviation(x) + t) + b`` is ``W' x / deviation(x) + b'``,
    where ``W'`` is ``W s`` less the mean of each row, and ``b' = b + W t``.

    Raises:
        IncompatibleError: The network has no such layer norm.
    """
    layer = dict(module.named_modules()).get(name)
    weight, bias = linear
    if not isinstance(layer, nn.LayerNorm) or tuple(layer.normalized_shape) != weight.shape[1:]:
        raise IncompatibleError(f"'cam' needs {name!r} to be a layer norm of {weight.shape[1]} channels, but it is {layer}")
    scaled = weight if layer.weight is None else weight * to_numpy(layer.weight)
    shifted = bias if layer.bias is None else bias + weight @ to_numpy(layer.bias)
    return scaled - scaled.mean(axis=1, keepdims=True), shifted


def logits_after(model: TorchModel, clip: Tensor, copies: int, edit: Callable[[tuple[Tensor, ...]], None]) -> Tensor:
    """Return the logits ``(copies, K) float32`` of one clip if ``edit`` changes its activations.

    Only what follows the layer is computed for each copy. A path around the layer carries the one clip, which must meet the
    copies in an operation that broadcasts. A network whose layer gives tokens folded into the batch remembers how many clips it
    got, so it gets a clip for each copy.

    Args:
        model: The network.
        clip: ``(1, 3, T, H, W)``.
        copies: The number of edited copies.
        edit: Is called with the copies of the output, ``(copies, C, T', h, w)`` for each pathway, and writes into them.
    """
    is_folded = model.spec.layout == "folded-tokens"

    def hook(_module: nn.Module, _inputs: object, output: object) -> object:
        repeats = 1 if is_folded else copies
        raw = [t.repeat(repeats, *[1] * (t.ndim - 1)) for t in _tensors(output, model.target_layer)]
        edit(tuple(cells_of(t, model.spec, copies) for t in raw))
        return _packed(raw, output)

    with frozen(model.module):
        handle = _find_layer(model.module, model.target_layer).register_forward_hook(hook)
        try:
            return require_logits(model.module(clip.repeat(copies, 1, 1, 1, 1) if is_folded else clip), copies)
        finally:
            handle.remove()


@contextmanager
def capture(model: TorchModel, *, differentiate: Differentiate = "nothing") -> Iterator[Callable[[Tensor], Run]]:
    """Give a function that runs the network on clips ``(B, 3, T, H, W)`` and returns the :class:`Run`.

    It is valid inside the ``with``. Grad mode is off inside the ``with``, except while the network runs. Activations are float32
    copies, whatever the precision of the network, so in-place operations that follow cannot change them.

    Args:
        model: The network.
        differentiate: ``"nothing"`` gives values without a graph. ``"head"`` runs the trunk without gradients and lets
            :meth:`Run.gradients` differentiate what follows the layer. ``"trunk"`` keeps the activations attached to the clips,
            whose ``requires_grad`` the caller sets, and runs what follows without gradients.

    Raises:
        UsageError: The layer does not exist, is not called exactly once, or its output is not a map.
    """
    module, spec = model.module, model.spec
    layer = _find_layer(module, model.target_layer)
    captured: list[tuple[tuple[Tensor, ...], tuple[Tensor, ...]]] = []
    batch = 1  # clips in the present run

    def hook(_module: nn.Module, _inputs: object, output: object) -> object:
        if captured:
            raise UsageError(
                f"layer {model.target_layer!r} is called more than once in a forward pass, so its output is not one map: "
                "choose another layer"
            )
        tensors = _tensors(output, model.target_layer)
        raw = tuple((t if differentiate == "trunk" else t.detach()).float().clone() for t in tensors)
        if differentiate == "head":
            raw = tuple(t.requires_grad_() for t in raw)
        values = raw if differentiate == "trunk" else tuple(t.detach() for t in raw)
        activations = tuple(cells_of(t, spec, batch) for t in values)
        captured.append((activations, raw))
        torch.set_grad_enabled(differentiate == "head")  # for the rest of this forward; `run` puts the mode back
        if differentiate == "nothing":
            return None
        # What follows may work in place, which a leaf forbids and which would change a saved map, so it gets its own copy.
        sources = raw if differentiate == "head" else tuple(t.detach() for t in tensors)
        return _packed([source.clone().to(t.dtype) for source, t in zip(sources, tensors, strict=True)], output)

    def run(clips: Tensor) -> Run:
        nonlocal batch
        batch = len(clips)
        captured.clear()
        with torch.set_grad_enabled(differentiate == "trunk"):
            logits = require_logits(module(clips), len(clips))
        if not captured:
            raise UsageError(f"layer {model.target_layer!r} is never called in a forward pass: choose another layer")
        activations, raw = captured.pop()
        return Run(logits, activations, model, raw if differentiate == "head" else ())

    with frozen(module):
        handle = layer.register_forward_hook(hook)
        try:
            yield run
        finally:
            handle.remove()


@contextmanager
def replaced_outputs(module: nn.Module, functions: Mapping[str, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Replace the outputs of modules, by the name of their class, with a function of their only input."""

    def hook(function: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, tuple[Tensor], Tensor], Tensor]:
        return lambda _module, inputs, _output: function(inputs[0])

    named = [(m, functions[type(m).__name__]) for m in module.modules() if type(m).__name__ in functions]
    handles = [m.register_forward_hook(hook(function)) for m, function in named]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _find_layer(module: nn.Module, layer: str) -> nn.Module:
    try:
        return module.get_submodule(layer)
    except AttributeError:
        names = [name for name, _ in module.named_modules() if name]
        close = difflib.get_close_matches(layer, names, n=3, cutoff=0.5) or [name for name, _ in module.named_children()]
        raise UsageError(f"the network has no layer {layer!r}; it has, for example, {', '.join(close)}") from None


def _tensors(output: object, layer: str) -> tuple[Tensor, ...]:
    """Return the tensors of the output, one per pathway, as a new tuple.

    Networks overwrite such lists later.
    """
    tensors = tuple(output) if isinstance(output, list | tuple) else (output,)
    if not tensors or not all(isinstance(t, Tensor) and t.is_floating_point() for t in tensors):
        kinds = ", ".join(type(t).__name__ for t in tensors) or "nothing"
        raise UsageError(f"layer {layer!r} should give a tensor or a list of tensors, but it gives {kinds}: choose another layer")
    return tensors


def _packed(tensors: list[Tensor], output: object) -> object:
    """Return the tensors in the kind of container of the layer's ``output``."""
    return tensors[0] if isinstance(output, Tensor) else tensors if isinstance(output, list) else tuple(tensors)


def require_logits(output: object, clips: int) -> Tensor:
    """Return the output of a network as float32; raise UsageError if it is not ``(clips, classes)``."""
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != clips:
        what = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise UsageError(f"the network should give logits ({clips} clips, classes), but it gives {what}")
    return output.float()
