"""What a layer of a network gives, found by running the network once: its cells, and whether the head after it is linear in them.

Used where nobody wrote the facts down: networks of your own, and ``--layer``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from vidcam.errors import UnknownNameError, UsageError, VidcamError
from vidcam.models.registry import ORDERS, Head, Layout, ModelSpec

__all__ = [
    "NO_LAYER", "check_layer", "exact_head", "find_layer", "has_gradients", "last_activation", "outputs_of", "point_at",
    "random_clips", "reproduces",
]  # fmt: skip

NO_LAYER = ""
"""In the place of a layer's name: nothing inside the network is looked at; methods that need no more than its answers work."""

TOLERANCE = 1e-4
"""How far, relative to the largest evidence, a head's logits may be from the network's before it is called inexact."""


@dataclass(frozen=True)
class Candidate:
    """A module that was seen to give cells ``(B,C,T',h,w)``; ``mean (B,C)`` is their average."""

    name: str
    shape: tuple[int, ...]
    mean: Tensor


def random_clips(frames: int, crop: tuple[int, int]) -> Tensor:
    """Two different normalised clips ``(2,3,frames,H,W)``, always the same: coarse random shapes, the second with three times the
    contrast, so that a clipping nonlinearity after the pooling shows."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(2, 3, 4, 5, 5, generator=generator)
    clips = nn.functional.interpolate(coarse, size=(frames, *crop), mode="trilinear", align_corners=True)
    clips += 0.3 * torch.randn(clips.shape, generator=generator)
    return clips * torch.tensor([1.0, 3.0]).view(2, 1, 1, 1, 1)


def check_layer(module: nn.Module, layer: str) -> None:
    """UnknownNameError, with the nearest names, where the network has no module called ``layer``."""
    known = [name for name, _ in module.named_modules() if name]
    if layer not in known:
        raise UnknownNameError("layer", layer, known)


def point_at(
    module: nn.Module, spec: ModelSpec, layer: str, *, keep_head: bool, measure_order: bool = False
) -> tuple[ModelSpec, int]:
    """The row with ``layer`` as the explained layer, cells and layout as seen in one run; and the number of the network's
    outputs.

    ``head`` is set where it is seen to be exact: the row's own with ``keep_head`` (UsageError where it is not), else any linear
    layer that is. UnknownNameError for a layer that does not exist; UsageError where its output has no cells.
    With ``measure_order`` the order of tokens is measured (:func:`token_order`).
    """
    check_layer(module, layer)
    caught: list[object] = []
    logits = _run(module, random_clips(spec.frames, spec.crop), {layer: lambda output: caught.append(_copy(output))})
    if len(caught) != 1:
        times = f"runs {len(caught)} times in one pass" if caught else "is never run"
        raise UsageError(f"layer {layer!r} of {spec.name} {times}: name one that runs once")
    given = caught[0] if isinstance(caught[0], list) else [caught[0]]
    maps = [one for one in given if isinstance(one, Tensor)]
    if not maps or len(maps) != len(given):
        raise UsageError(f"layer {layer!r} of {spec.name} gives no tensor: name one whose output is (B,C,T,h,w)")
    layout, grids = _read_layout(layer, spec, [tuple(m.shape) for m in maps])
    if layout == "folded":
        _check_folding(module, spec, layer, maps[0])
    pooled = torch.cat([_pooled(m, layout) for m in maps], dim=1)
    head = spec.head if keep_head else None
    if head and not reproduces(module, head, pooled, logits):
        raise UsageError(
            f"{spec.name}: the head {', '.join(head.linears)} applied to the average of layer {layer!r} does not give the "
            "network's logits, so it is not exact: leave the head out, or name the layer whose output is pooled"
        )
    seen = replace(
        spec,
        layer=layer,
        layout=layout,
        grid=grids[0] if layout == "tokens" else None,
        time_cells=tuple(t for t, _, _ in grids),
        head=head or exact_head(module, pooled, logits),
    )
    if layout == "tokens" and measure_order:
        seen = replace(seen, order=token_order(module, seen))
    return seen, logits.shape[1]


def token_order(module: nn.Module, spec: ModelSpec) -> str:
    """Measure in which order the tokens of the explained layer run over time, rows and columns.

    Noise in the last frames, the lowest rows and the rightmost columns of a clip moves those tokens most that look there. In the
    right order they are the last along time, rows and columns, each for itself.

    Returns:
        One of :data:`~vidcam.models.registry.ORDERS`.

    Raises:
        UsageError: No order is clearly the best, as in a network that mixes all tokens evenly.
    """
    assert spec.grid is not None
    clip = random_clips(spec.frames, spec.crop)[:1]
    clips = [clip]
    for axis, cells in enumerate(spec.grid, start=2):
        changed = clip.clone()
        last = changed.narrow(axis, clip.shape[axis] - (length := max(1, clip.shape[axis] // cells)), length)
        last += torch.randn(last.shape, generator=torch.Generator().manual_seed(axis))
        clips.append(changed)
    caught: list[Tensor] = []
    _run(module, torch.cat(clips), {spec.layer: lambda output: caught.append(_tensor(output).detach().clone())})
    tokens = caught[0][:, 1:].double()
    moved = (tokens[1:] - tokens[:1]).norm(dim=2)  # (3 probes, tokens)
    scores = {}
    for order in ORDERS:
        sides = [spec.grid["thw".index(axis)] for axis in order]
        where = moved.reshape(3, *sides).permute(0, *(1 + order.index(axis) for axis in "thw"))
        last = torch.stack([where[i].select(i, -1).mean() / where[i].mean().clamp(min=1e-30) for i in range(3)])
        scores[order] = float(last.prod())
    best = max(scores, key=lambda order: scores[order])
    same = [order for order in ORDERS if _same_cells(spec.grid, order, best)]
    others = max((score for order, score in scores.items() if order not in same), default=0.0)
    if scores[best] < CLEAR * others:
        raise UsageError(
            f"layer {spec.layer!r} of {spec.name} gives tokens, and their order over time, rows and columns cannot be told from "
            f"what they look at: state it as the fact order, one of {', '.join(ORDERS)} (the last letter runs fastest)"
        )
    return same[0]


CLEAR = 1.2
"""How much better the best order of tokens must fit than any other."""


def _same_cells(grid: tuple[int, int, int], one: str, other: str) -> bool:
    """Do two orders lay the tokens out alike? They do where they differ by axes of a single cell."""
    long = [axis for axis, cells in zip("thw", grid, strict=True) if cells > 1]
    return [axis for axis in one if axis in long] == [axis for axis in other if axis in long]


def _tensor(output: object) -> Tensor:
    while isinstance(output, list | tuple):
        output = output[0]
    assert isinstance(output, Tensor)
    return output


def _check_folding(module: nn.Module, spec: ModelSpec, layer: str, output: Tensor) -> None:
    """UsageError unless the first half of a folded output is that of the first of two clips."""
    caught: list[Tensor] = []
    _run(module, random_clips(spec.frames, spec.crop)[:1], {layer: lambda found: caught.append(_tensor(found).detach().clone())})
    alone = caught[0]
    if len(alone) * 2 != len(output) or (alone - output[: len(alone)]).abs().max() > TOLERANCE * alone.abs().max():
        raise UsageError(
            f"layer {layer!r} of {spec.name} gives {list(output.shape)}, whose first half is not what the first clip "
            "alone gives: its frames are not folded clip by clip, so they cannot be told apart"
        )


def find_layer(module: nn.Module, *, name: str, frames: int, crop: tuple[int, int]) -> tuple[str, str]:
    """Find the layer whose output is what is pooled, in a network of convolutions, global average pooling and a linear layer.

    It is not guessed: that layer's average through the linear layer must give the network's logits. Of several such modules the
    one nearest to the root wins, then the last.

    Returns:
        Its name and nothing more; or :data:`NO_LAYER` and a sentence that lists candidates, if there is none.
    """
    seen: list[Candidate] = []

    def note(module_name: str) -> Callable[[object], None]:
        def hook(output: object) -> None:
            if isinstance(output, Tensor) and output.ndim == 5 and output.shape[2:].numel() > 1:
                seen.append(Candidate(module_name, tuple(output.shape), output.detach().mean(dim=(2, 3, 4))))
            elif isinstance(output, Tensor) and output.ndim == 4 and len(output) % 2 == 0 and output.shape[2:].numel() > 1:
                unfolded = output.detach().reshape(2, -1, *output.shape[1:]).movedim(1, 2)  # two clips
                seen.append(Candidate(module_name, tuple(unfolded.shape), unfolded.mean(dim=(2, 3, 4))))

        return hook

    every = [module_name for module_name, _ in module.named_modules() if module_name]
    logits = _run(module, random_clips(frames, crop), {module_name: note(module_name) for module_name in every})
    runs = [candidate.name for candidate in seen]
    once = [candidate for candidate in seen if runs.count(candidate.name) == 1]
    exact = [candidate for candidate in once if exact_head(module, candidate.mean, logits)]
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


def outputs_of(module: nn.Module, *, frames: int, crop: tuple[int, int]) -> int:
    """Return the number of the network's outputs, checked to be logits."""
    return _run(module, random_clips(frames, crop), {}).shape[1]


def has_gradients(module: nn.Module, *, frames: int, crop: tuple[int, int]) -> bool:
    """Return whether the logits can be differentiated down to the clips: not if the forward switches gradients off."""
    with torch.enable_grad(), _nothing_saved():
        return bool(module(random_clips(frames, crop)[:1].requires_grad_().clone()).requires_grad)


def exact_head(module: nn.Module, pooled: Tensor, logits: Tensor) -> Head | None:
    """The linear layer that turns ``pooled (B,C)`` into ``logits (B,K)``, None where none does."""
    for name, _ in module.named_modules():
        linear = _linear(module, name)
        if linear and linear[0].shape == (logits.shape[1], pooled.shape[1]) and reproduces(module, Head((name,)), pooled, logits):
            return Head((name,))
    return None


def reproduces(module: nn.Module, head: Head, pooled: Tensor, logits: Tensor) -> bool:
    """Does ``head`` turn ``pooled (B,C)`` into the network's ``logits (B,K)``, to 1e-4 of the largest evidence?"""
    value, bias = pooled.float(), torch.zeros(())
    for i, name in enumerate(head.linears):
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
    """Weight ``(out, in)`` and bias (0 where there is none) of a linear layer or pointwise convolution, else None."""
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


def _run(module: nn.Module, clips: Tensor, watchers: Mapping[str, Callable[[object], None]]) -> Tensor:
    """The network's logits ``(B,K)`` for ``clips``; each watcher is shown the output of the module it is named for."""
    with ExitStack() as stack:
        for name, see in watchers.items():
            handle = module.get_submodule(name).register_forward_hook(lambda _module, _inputs, output, see=see: see(output))
            stack.callback(handle.remove)
        try:
            # The graph tells what the last operation is; what a backward pass would need is not kept.
            with torch.enable_grad(), _nothing_saved():
                logits = module(clips.clone().requires_grad_().clone())
        except VidcamError:
            raise
        except Exception as err:
            raise VidcamError(
                f"the network fails on a clip of shape {tuple(clips.shape)} (batch, RGB, frames, height, width): "
                f"{type(err).__name__}: {err}"
            ) from err
    if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[0] != len(clips):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise UsageError(f"a network must turn clips (B,3,T,H,W) into logits (B,K); for {tuple(clips.shape)} it gave {got}")
    if not bool(logits.isfinite().all()):
        raise UsageError("the network gives logits that are not finite on a random clip")
    if activation := last_activation(logits):
        raise UsageError(
            f"the network gives probabilities; vidcam explains logits: take the {activation} out of it, its last operation"
        )
    if bool((logits >= 0).all()) and bool(((logits.sum(1) - 1).abs() < 1e-4).all()):
        raise UsageError("the network gives probabilities; vidcam explains logits: take the softmax out of it")
    return logits.detach().float()


def _nothing_saved() -> saved_tensors_hooks:
    """Inside, autograd notes what was done and keeps none of the numbers, which nobody will differentiate."""
    return saved_tensors_hooks(lambda tensor: torch.empty(0), lambda nothing: nothing)


RESHAPING = (
    *(
        "Alias",
        "AsStrided",
        "Cat",
        "Clone",
        "Expand",
        "Index",
        "Mean",
        "Permute",
        "Reshape",
        "Select",
        "Slice",
        "Split",
        "Squeeze",
    ),
    *("Stack", "Sum", "ToCopy", "Transpose", "T", "Unbind", "Unsqueeze", "UnsafeSplit", "View"),
)
"""Operations of autograd that move or average numbers without changing what they mean."""


def last_activation(outputs: Tensor) -> str | None:
    """Return ``sigmoid`` or ``softmax`` if that is what the outputs come out of, reshaped or averaged at most; else None."""
    node = outputs.grad_fn
    while node is not None:
        name = node.name().partition("Backward")[0].lstrip("_")
        if name in ("Sigmoid", "Softmax"):
            return name.lower()
        before = [n for n, _ in node.next_functions if n is not None]
        node = before[0] if name in RESHAPING and before else None
    return None


def _copy(output: object) -> object:
    """What a layer gave, safe from operations that work in place afterwards."""
    if isinstance(output, Tensor):
        return output.detach().clone()
    return [_copy(one) for one in output] if isinstance(output, list | tuple) else output


def _read_layout(layer: str, spec: ModelSpec, shapes: Sequence[tuple[int, ...]]) -> tuple[Layout, list[tuple[int, int, int]]]:
    """How the maps of these shapes are laid out and their grids: the row's own layout where it fits the crop's shape."""
    for layout in _layouts(spec.layout):
        grids = [_grid(shape, layout, spec) for shape in shapes]
        # A single cell shows nothing. In a layout that nobody stated it must be a picture, else (C,1,1) passes for C time cells.
        fitting = [grid for grid in grids if grid and math.prod(grid if layout == spec.layout else grid[1:]) > 1]
        if len(fitting) == len(shapes):
            return layout, fitting
    raise UsageError(
        f"layer {layer!r} of {spec.name} gives {' and '.join(str(list(shape)) for shape in shapes)}, which is no map of several "
        "cells: name one whose output is (B,C,T,h,w), (B,T,h,w,C), (B*T,C,h,w), or (B,1+T*h*w,C) with a known grid"
    )


def _layouts(first: Layout) -> Iterator[Layout]:
    yield first
    yield from (layout for layout in ("channels-first", "channels-last", "tokens", "folded") if layout != first)


def _grid(shape: tuple[int, ...], layout: Layout, spec: ModelSpec) -> tuple[int, int, int] | None:
    """(T', h, w) of an output, None where it cannot be of this layout."""
    if layout == "tokens":
        # Only the rows and columns may differ from the grid that the row states: pooling attention keeps the time cells.
        if len(shape) != 3 or spec.grid is None or (shape[1] - 1) % spec.grid[0]:
            return None
        cells = (shape[1] - 1) // spec.grid[0]
        grids = [(spec.grid[0], h, cells // h) for h in range(1, cells + 1) if cells % h == 0]
        return next((grid for grid in grids if _like_the_crop(grid, spec.crop)), None)
    if layout == "folded":
        t, h, w = (shape[0] // 2, *shape[2:]) if len(shape) == 4 and shape[0] % 2 == 0 else (0, 0, 0)  # two clips
        return (t, h, w) if t and _like_the_crop((t, h, w), spec.crop) else None
    if len(shape) != 5:
        return None
    t, h, w = shape[2:] if layout == "channels-first" else shape[1:4]
    return (t, h, w) if _like_the_crop((t, h, w), spec.crop) else None


def _like_the_crop(grid: tuple[int, int, int], crop: tuple[int, int]) -> bool:
    """Do the cells keep the crop's proportions, to less than one cell?"""
    _, h, w = grid
    return abs(h - w * crop[0] / crop[1]) < 1 or abs(w - h * crop[1] / crop[0]) < 1


def _pooled(output: Tensor, layout: Layout) -> Tensor:
    """The average over the cells, ``(B,C)``."""
    if layout == "tokens":
        return output[:, 1:].mean(dim=1)
    if layout == "folded":
        return output.mean(dim=(2, 3)).reshape(2, -1, output.shape[1]).mean(dim=1)
    return output.mean(dim=(2, 3, 4) if layout == "channels-first" else (1, 2, 3))
