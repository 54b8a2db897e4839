"""Runs a network on random clips, to learn what its layers give and whether it gives logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from vidcam.errors import UsageError, VidcamError
from vidcam.models.calling import describe_outputs

__all__ = [
    "TOLERANCE", "copy_output", "count_outputs", "first_tensor", "has_gradients", "last_activation", "random_clips", "run_once",
]  # fmt: skip

TOLERANCE = 1e-4
"""The largest difference between a head's logits and the network's, relative to the largest evidence, that counts as exact."""


def random_clips(frames: int, crop: tuple[int, int]) -> Tensor:
    """Return two different normalised clips ``(2,3,frames,H,W)``, always the same ones.

    They show coarse random shapes. The second has three times the contrast, which reveals clipping after the pooling.
    """
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(2, 3, 4, 5, 5, generator=generator)
    clips = nn.functional.interpolate(coarse, size=(frames, *crop), mode="trilinear", align_corners=True)
    clips += 0.3 * torch.randn(clips.shape, generator=generator)
    return clips * torch.tensor([1.0, 3.0]).view(2, 1, 1, 1, 1)


def first_tensor(output: object) -> Tensor:
    """Return the tensor, or the first one of nested lists."""
    while isinstance(output, list | tuple):
        output = output[0]
    assert isinstance(output, Tensor)
    return output


def count_outputs(module: nn.Module, *, frames: int, crop: tuple[int, int]) -> int:
    """Return the number of the network's outputs, checked to be logits."""
    return run_once(module, random_clips(frames, crop), {}).shape[1]


def has_gradients(module: nn.Module, *, frames: int, crop: tuple[int, int]) -> bool:
    """Return whether the logits can be differentiated down to the clips.

    A forward pass may switch gradients off.
    """
    with torch.enable_grad(), _nothing_saved():
        return bool(module(random_clips(frames, crop)[:1].requires_grad_().clone()).requires_grad)


def run_once(module: nn.Module, clips: Tensor, watchers: Mapping[str, Callable[[object], None]]) -> Tensor:
    """Run a network on ``clips`` and return its logits ``(B,K)``.

    Args:
        module: The network.
        clips: ``(B,3,T,H,W)``.
        watchers: Functions that are called with the output of the module of their name.

    Raises:
        UsageError: The outputs are not finite logits ``(B,K)``.
        VidcamError: The network fails.
    """
    with ExitStack() as stack:
        for name, watch in watchers.items():
            layer = module.get_submodule(name)
            handle = layer.register_forward_hook(lambda _module, _inputs, output, watch=watch: watch(output))
            stack.callback(handle.remove)
        try:
            # The graph shows the last operation; what a backward pass would need is not kept.
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
        among = (
            "" if isinstance(logits, Tensor) else '; if the logits are among them, state "output": KEY in its attribute `vidcam`'
        )
        raise UsageError(
            f"a network must turn clips (B,3,T,H,W) into logits (B,K); for {tuple(clips.shape)} it gave "
            f"{describe_outputs(logits)}{among}"
        )
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
    """Return a context in which autograd records the operations but keeps none of the values."""
    return saved_tensors_hooks(lambda tensor: torch.empty(0), lambda nothing: nothing)


RESHAPING = (
    *("Alias", "AsStrided", "Cat", "Clone", "Expand", "Index", "Mean", "Permute", "Reshape", "Select", "Slice", "Split"),
    *("Squeeze", "Stack", "Sum", "ToCopy", "Transpose", "T", "Unbind", "Unsqueeze", "UnsafeSplit", "View"),
)
"""Autograd operations that move or average values without changing their meaning."""


def last_activation(outputs: Tensor) -> str | None:
    """Return ``sigmoid`` or ``softmax`` if the outputs come from one, reshaped or averaged at most.

    Else None.
    """
    node = outputs.grad_fn
    while node is not None:
        name = node.name().partition("Backward")[0].lstrip("_")
        if name in ("Sigmoid", "Softmax"):
            return name.lower()
        before = [n for n, _ in node.next_functions if n is not None]
        node = before[0] if name in RESHAPING and before else None
    return None


def copy_output(output: object) -> object:
    """Copy the output of a layer, so that later in-place operations cannot change it."""
    if isinstance(output, Tensor):
        return output.detach().clone()
    return [copy_output(one) for one in output] if isinstance(output, list | tuple) else output
