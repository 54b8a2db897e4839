"""How a network of the user is called: clips with the frames before the colours, and logits among other outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vidcam.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["CALL_FACTS", "adapt_calls", "describe_outputs"]

CALL_FACTS = ("frames_first", "output")
"""Facts that only the attribute ``vidcam`` of a network can state, because they change how it is called.

``frames_first``: it takes ``(B,T,3,H,W)`` instead of ``(B,3,T,H,W)``. ``output``: the key, attribute or index of the logits among
what it returns, a dictionary, a tuple or an object.
"""


def adapt_calls(name: str, module: nn.Module) -> nn.Module:
    """Make a network take clips ``(B,3,T,H,W)`` and return logits, as its attribute ``vidcam`` says; return it.

    The names of its layers and tensors stay as they are. Raises UsageError for a fact with a wrong value.
    """
    facts = getattr(module, "vidcam", {})
    if not isinstance(facts, Mapping):
        return module  # is refused where all facts are read
    frames_first, output = facts.get("frames_first", False), facts.get("output")
    if not isinstance(frames_first, bool):
        raise UsageError(f"{name}: the fact frames_first must be True or False, got {frames_first!r}")
    if isinstance(output, bool) or not isinstance(output, str | int | None):
        raise UsageError(f"{name}: the fact output must be a key, the name of an attribute, or an index, got {output!r}")
    if frames_first:
        module.register_forward_pre_hook(lambda _module, inputs: (inputs[0].transpose(1, 2), *inputs[1:]))
    if output is not None:
        module.register_forward_hook(lambda _module, _inputs, outputs: _pick(name, outputs, output))
    return module


def _pick(name: str, outputs: Any, key: str | int) -> Tensor:
    """Return one of the outputs of a network; raise UsageError, with the names of those that exist, if it is not there."""
    try:
        if isinstance(key, str) and not isinstance(outputs, Mapping):
            picked: Tensor = getattr(outputs, key)
        else:
            picked = outputs[key]
    except (KeyError, IndexError, AttributeError, TypeError) as err:
        raise UsageError(f"{name} has no output {key!r}: it gives {describe_outputs(outputs)}") from err
    return picked


def describe_outputs(outputs: object) -> str:
    """Return what a network gives, in words, with the names and the shapes of the parts."""
    if isinstance(outputs, Mapping):
        parts: list[tuple[object, object]] = list(outputs.items())
    elif isinstance(outputs, list | tuple):
        parts = list(enumerate(outputs))
    else:
        return str(tuple(outputs.shape)) if hasattr(outputs, "shape") else type(outputs).__name__
    shapes = [f"{key!r} {tuple(value.shape) if hasattr(value, 'shape') else type(value).__name__}" for key, value in parts]
    return f"a {type(outputs).__name__} of {', '.join(shapes[:8]) or 'nothing'}"
