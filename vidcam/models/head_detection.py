"""Finds the layer to explain, its cells, and an exact head, by running the network once.

It is used if these facts are not stated: for custom networks, and for ``--layer``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from vidcam.errors import UnknownNameError, UsageError
from vidcam.models.layouts import check_folding, measure_token_order, pool, read_layout
from vidcam.models.spec import Head, ModelSpec
from vidcam.models.trial_run import TOLERANCE, copy_output, random_clips, run_once

__all__ = ["NO_LAYER", "check_layer", "find_exact_head", "find_layer", "inspect_layer", "is_exact_head"]

NO_LAYER = ""
"""Stands for a layer's name if no layer is explained; methods that need only the network's answers still work."""


@dataclass(frozen=True)
class Candidate:
    """A module that gave cells ``(B,C,T',h,w)``; ``mean (B,C)`` is their average."""

    name: str
    shape: tuple[int, ...]
    mean: Tensor


def check_layer(module: nn.Module, layer: str) -> None:
    """Raise UnknownNameError, with the nearest names, if the network has no module called ``layer``."""
    known = [name for name, _ in module.named_modules() if name]
    if layer not in known:
        raise UnknownNameError("layer", layer, known)


def inspect_layer(
    module: nn.Module, spec: ModelSpec, layer: str, *, keep_head: bool, measure_order: bool = False
) -> tuple[ModelSpec, int]:
    """Return the facts of a network with ``layer`` as its target layer, as one run shows them.

    Args:
        module: The network.
        spec: The facts so far.
        layer: The dotted name of the layer.
        keep_head: Require that the head of ``spec`` is exact; otherwise any linear layer that is exact becomes the head.
        measure_order: Measure the order of tokens, see :func:`~vidcam.models.layouts.measure_token_order`.

    Returns:
        The facts with layout, cells and head of that layer, and the number of the network's outputs.

    Raises:
        UnknownNameError: There is no such layer.
        UsageError: The output of the layer has no cells, or the head that should be kept is not exact.
    """
    check_layer(module, layer)
    outputs: list[object] = []
    logits = run_once(
        module, random_clips(spec.num_frames, spec.crop), {layer: lambda output: outputs.append(copy_output(output))}
    )
    if len(outputs) != 1:
        times = f"runs {len(outputs)} times in one pass" if outputs else "is never run"
        raise UsageError(f"layer {layer!r} of {spec.name} {times}: name one that runs once")
    pathways = outputs[0] if isinstance(outputs[0], list) else [outputs[0]]
    maps = [one for one in pathways if isinstance(one, Tensor)]
    if not maps or len(maps) != len(pathways):
        raise UsageError(f"layer {layer!r} of {spec.name} gives no tensor: name one whose output is (B,C,T,h,w)")
    layout, grids = read_layout(layer, spec, [tuple(m.shape) for m in maps])
    if layout == "folded":
        check_folding(module, spec, layer, maps[0])
    pooled = torch.cat([pool(m, layout, class_tokens=spec.class_tokens) for m in maps], dim=1)
    head = spec.head if keep_head else None
    if head and not is_exact_head(module, head, pooled, logits):
        raise UsageError(
            f"{spec.name}: the head {', '.join(head.classifiers)} applied to the average of layer {layer!r} does not give the "
            "network's logits, so it is not exact: leave the head out, or name the layer whose output is pooled"
        )
    inspected = replace(
        spec,
        target_layer=layer,
        layout=layout,
        grid=grids[0] if "tokens" in layout else None,
        cells=spec.cells if grids[0] == spec.grid else None,
        time_cells=tuple(t for t, _, _ in grids),
        head=head or find_exact_head(module, pooled, logits),
    )
    if layout == "tokens" and measure_order:
        inspected = replace(inspected, order=measure_token_order(module, inspected))
    return inspected, logits.shape[1]


def find_layer(module: nn.Module, *, name: str, frames: int, crop: tuple[int, int]) -> tuple[str, str]:
    """Find the pooled layer in a network of convolutions, global average pooling and a linear layer.

    It is not guessed: the average of that layer through the linear layer must give the network's logits. Of several such modules
    the one nearest to the root wins, then the last.

    Returns:
        Its name and an empty text; or :data:`NO_LAYER` and a sentence that lists candidates, if there is no such layer.
    """
    candidates: list[Candidate] = []

    def watch(module_name: str) -> Callable[[object], None]:
        def hook(output: object) -> None:
            if isinstance(output, Tensor) and output.ndim == 5 and output.shape[2:].numel() > 1:
                candidates.append(Candidate(module_name, tuple(output.shape), output.detach().mean(dim=(2, 3, 4))))
            elif isinstance(output, Tensor) and output.ndim == 4 and len(output) % 2 == 0 and output.shape[2:].numel() > 1:
                unfolded = output.detach().reshape(2, -1, *output.shape[1:]).movedim(1, 2)  # two clips
                candidates.append(Candidate(module_name, tuple(unfolded.shape), unfolded.mean(dim=(2, 3, 4))))

        return hook

    every = [module_name for module_name, _ in module.named_modules() if module_name]
    logits = run_once(module, random_clips(frames, crop), {module_name: watch(module_name) for module_name in every})
    runs = [candidate.name for candidate in candidates]
    once = [candidate for candidate in candidates if runs.count(candidate.name) == 1]
    exact = [candidate for candidate in once if find_exact_head(module, candidate.mean, logits)]
    if exact:
        return min(reversed(exact), key=lambda candidate: candidate.name.count(".")).name, ""
    shown = [f"{candidate.name} {list(candidate.shape[1:])}" for candidate in once[-8:]]
    return NO_LAYER, (
        f"{name}: no layer was found whose average through a linear layer gives the logits, so only methods that need none work, "
        "unless you name the layer to explain. "
        + (
            f"Layers with cells (channels, time, rows, columns), last ones: {', '.join(shown)}"
            if shown
            else "No layer gives cells of a whole clip."
        )
    )


def find_exact_head(module: nn.Module, pooled: Tensor, logits: Tensor) -> Head | None:
    """Return the linear layer that turns ``pooled (B,C)`` into ``logits (B,K)``, after a layer norm or none.

    None if there is none.
    """
    norms = [
        (name, layer.eps)
        for name, layer in module.named_modules()
        if isinstance(layer, nn.LayerNorm) and tuple(layer.normalized_shape) == pooled.shape[1:]
    ]
    for name, _ in module.named_modules():
        linear = _linear(module, name)
        if linear is not None and linear[0].shape == (logits.shape[1], pooled.shape[1]):
            heads = [Head((name,)), *(Head((name,), norm=norm, epsilon=epsilon) for norm, epsilon in norms)]
            if exact := next((head for head in heads if is_exact_head(module, head, pooled, logits)), None):
                return exact
    return None


def is_exact_head(module: nn.Module, head: Head, pooled: Tensor, logits: Tensor) -> bool:
    """Return whether ``head`` turns ``pooled (B,C)`` into the network's ``logits (B,K)``.

    They may differ by :data:`TOLERANCE` of the largest evidence.
    """
    value, bias = pooled.float(), torch.zeros(())
    if head.norm is not None:
        with torch.no_grad():
            value = module.get_submodule(head.norm)(value)
    for i, name in enumerate(head.classifiers):
        linear = _linear(module, name)
        if linear is None:
            raise UsageError(f"the head names {name!r}, which is no linear layer or pointwise convolution of the network")
        if linear[0].shape[1] != value.shape[1]:
            return False
        weight, bias = linear
        value = (value.clamp(0, head.ceiling) if i else value) @ weight.T + bias
    if value.shape != logits.shape:
        return False
    evidence = (logits - bias).abs().max()
    return bool(evidence > 0) and bool((value - logits).abs().max() <= TOLERANCE * evidence)


def _linear(module: nn.Module, name: str) -> tuple[Tensor, Tensor] | None:
    """Return weight ``(out, in)`` and bias of a linear layer or pointwise convolution, else None.

    The bias is 0 if it has none.
    """
    try:
        linear = module.get_submodule(name)
    except AttributeError:
        return None
    pointwise = isinstance(linear, nn.Conv3d) and set(linear.kernel_size) == {1} and linear.groups == 1
    if not (pointwise or isinstance(linear, nn.Linear)):
        return None
    weight, bias = linear.weight, linear.bias
    assert isinstance(weight, Tensor)
    return weight.detach().flatten(1).float(), bias.detach().float() if isinstance(bias, Tensor) else torch.zeros(())
