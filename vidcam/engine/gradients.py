"""Gradients of a network with respect to its input clips, and guided backpropagation.

They use the autograd graph of one forward pass, which knows every operation wherever it was called. Backward hooks of modules
would break on in-place operations, and ``backward()`` would write into the parameters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import Node, allow_mutation_on_saved_tensors

from vidcam.engine.hooks import frozen, require_logits
from vidcam.errors import IncompatibleError, UsageError

if TYPE_CHECKING:
    from vidcam.engine.network import TorchModel

__all__ = ["ClipRun", "differentiable", "graph_nodes"]


@dataclass(frozen=True)
class ClipRun:
    """One forward pass that can be differentiated down to the clips.

    Attributes:
        logits: ``(B, K) float32``.
        clips: ``(B, 3, T, H, W)``.
    """

    logits: Tensor
    clips: Tensor

    def gradients(self, target: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the gradient of ``target(logits) (B,)`` by the clips, ``(B, 3, T, H, W) float32``.

        It can be called for several targets of the same run. It changes no parameter's ``grad``.
        """
        with torch.enable_grad():
            score = target(self.logits).sum()
        # In eval mode clips do not affect each other, so one pass gives every clip its own gradient.
        return torch.autograd.grad(score, self.clips, retain_graph=True)[0].float()


@contextmanager
def differentiable(model: TorchModel, *, guided: bool = False) -> Iterator[Callable[[Tensor], ClipRun]]:
    """Give a function that runs the network on clips ``(B, 3, T, H, W)`` and returns the :class:`ClipRun`.

    It is valid inside the ``with``, in one thread at a time; other threads wait. Grad mode is off inside the ``with``, except
    while the network runs. A run keeps what a backward pass needs until the next run. The network may overwrite that in place,
    even if it could not be trained then: it is copied.

    Args:
        model: The network.
        guided: Let only positive gradients pass back through a ReLU, whether it is a module, a function or in place (Springenberg
            et al. 2015). This includes ReLUs with a ceiling (ReLU6, ``clamp(0, c)``), whose derivative is 1 or 0 as well.

    Raises:
        UsageError: The logits do not depend on the clips.
        IncompatibleError: ``guided``, and the network has no ReLU, or has other activations (including a sigmoid or a softmax)
            for which the rule is not defined.
    """
    with frozen(model.module), _MUTATION, allow_mutation_on_saved_tensors() as saved:

        def run(clips: Tensor) -> ClipRun:
            saved.clear()
            leaf = clips.detach().clone().requires_grad_()
            with torch.enable_grad():
                logits = require_logits(model.module(leaf.clone()), len(clips))  # a copy: a leaf must not be overwritten
            if not logits.requires_grad:
                raise UsageError(f"no differentiable way leads from the clips to the logits of model {model.spec.name!r}")
            if guided:
                _guide(logits, model.spec.name)
            return ClipRun(logits, leaf)

        yield run


_MUTATION = RLock()
"""Mutation of saved tensors is switched for the whole process, so one thread at a time uses it."""


OTHER_ACTIVATIONS = (
    *("Celu", "Elu", "Gelu", "Glu", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyRelu", "LogSigmoid"),
    *("LogSoftmax", "Mish", "Prelu", "Rrelu", "ScaledDotProduct", "Sigmoid", "Silu", "Softmax", "Softplus", "Softshrink"),
    *("Tanh", "Threshold"),
)
"""What the names of autograd's nodes begin with. A Hardtanh or Threshold that starts at 0 is a ReLU; see :func:`_is_relu`."""


def _guide(logits: Tensor, model_name: str) -> None:
    """Guide every ReLU in the graph of these logits; the graph belongs to this run and is freed with it."""
    relus = []
    others: Counter[str] = Counter()
    for node in graph_nodes(logits):
        name = node.name()
        if _is_relu(node):
            relus.append(node)
        elif isinstance(node, BackwardCFunction) or name.startswith(OTHER_ACTIVATIONS):
            others[name.split("Backward")[0]] += 1
    if others or not relus:
        listed = ", ".join(f"{name} ({n} times)" for name, n in sorted(others.items())) or "no ReLU at all"
        raise IncompatibleError(
            f"guided backpropagation is a rule for ReLUs, but model {model_name!r} has {listed}: use 'gradient' or 'smoothgrad'"
        )
    for node in relus:
        node.register_prehook(_only_positive)


def graph_nodes(logits: Tensor) -> Iterator[Node]:
    """Yield every node of the autograd graph of these logits once."""
    assert logits.grad_fn is not None
    visited = {logits.grad_fn}
    waiting = [logits.grad_fn]
    while waiting:
        node = waiting.pop()
        yield node
        fresh = {parent for parent, _ in node.next_functions if parent is not None} - visited
        visited |= fresh
        waiting.extend(fresh)


def _is_relu(node: Node) -> bool:
    """Return whether the node is the derivative of ``clip(x, 0, ceiling)``; the ceiling may be infinite."""
    kind = node.name().split("Backward")[0]
    start = {"Relu": None, "Hardtanh": "min_val", "Threshold": "threshold", "Clamp": "min", "ClampMin": "min"}
    if kind not in start:
        return False
    low = 0 if kind == "Relu" else getattr(node, f"_saved_{start[kind]}")
    return isinstance(low, int | float) and low == 0


def _only_positive(gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    return tuple(g if g is None else g.clamp(min=0) for g in gradients)
