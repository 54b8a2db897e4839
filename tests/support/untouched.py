"""Whether an explanation leaves a network exactly as it was, also if it is interrupted."""

from __future__ import annotations

import contextlib
import random
import zlib

import numpy as np
import pytest
import torch
from torch import nn

from vidcam.errors import IncompatibleError
from vidcam.methods import core
from vidcam.methods.core import Target, TorchModel

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks")


class Snapshot:
    """All that an explanation could change: identities, bytes, flags, hooks and the modes and random states of the process."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.facts = self._facts()
        self.sums = self._sums()

    def _tensors(self):
        return [*self.module.named_parameters(), *self.module.named_buffers()]

    def _facts(self):
        modules = [
            (name, id(m), type(m), m.training, *(len(getattr(m, hooks)) for hooks in HOOKS), tuple(vars(m)))
            for name, m in self.module.named_modules()
        ]
        tensors = [
            (name, id(t), t.data_ptr(), t.dtype, t.requires_grad, t.is_leaf, None if t.grad is None else id(t.grad))
            for name, t in self._tensors()
        ]
        process = (
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.get_default_dtype(),
            torch.get_rng_state().numpy().tobytes(),
            [part.tobytes() if isinstance(part, np.ndarray) else part for part in np.random.get_state()],
            random.getstate(),
        )
        return modules, tensors, process

    def _sums(self) -> dict[str, int]:
        """Return a checksum of each tensor's bytes and of its gradient's: that needs no second copy of a large network."""
        sums = {name: _checksum(t) for name, t in self._tensors()}
        return sums | {f"the gradient of {name}": _checksum(t.grad) for name, t in self._tensors() if t.grad is not None}

    def check(self) -> None:
        for before, after in zip(self.facts, self._facts(), strict=True):
            assert before == after
        after = self._sums()
        changed = [name for name, before in self.sums.items() if after[name] != before]
        assert not changed, f"{', '.join(changed)} changed"


def _checksum(tensor: torch.Tensor) -> int:
    return zlib.crc32(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy())


def disturb(module: nn.Module) -> None:
    """States that a caller may have left: mixed modes and flags, a gradient, hooks of their own."""
    for i, m in enumerate(module.modules()):
        m.training = i % 3 == 0
    parameters = list(module.parameters())
    for i, p in enumerate(parameters):
        p.requires_grad_(i % 4 != 0)
    parameters[1].grad = torch.ones_like(parameters[1])
    module.register_forward_hook(lambda *_: None)


def leaves_in_order(net: TorchModel, inputs: torch.Tensor) -> list[nn.Module]:
    """The modules without children in the order in which a forward pass calls them; the network is then in eval mode.

    Batch norms take this pass's statistics: with those of a new network, features of deep ones vanish or explode.
    """
    called: list[nn.Module] = []
    net.module.eval()
    norms = [m for m in net.module.modules() if isinstance(m, nn.BatchNorm3d)]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    leaves = [m for m in net.module.modules() if not list(m.children())]
    handles = [m.register_forward_pre_hook(lambda m, _: called.append(m)) for m in leaves]
    try:
        with torch.no_grad():
            net.module(inputs)
    finally:
        for handle in handles:
            handle.remove()
        net.module.eval()
    return called


def interrupted(net: TorchModel, method: core.Method, inputs: torch.Tensor, where: nn.Module, error: BaseException) -> None:
    """Explain, with ``error`` raised when the module ``where`` is called; the model must be as before."""

    def fail(*_):
        raise error

    handle = where.register_forward_pre_hook(fail)
    before = Snapshot(net.module)
    with pytest.raises(type(error), match="stopped here"):
        method.explain(net, inputs, [Target(1)])
    before.check()
    handle.remove()


def checked(net: TorchModel, method: core.Method, inputs: torch.Tensor, targets: list[Target]) -> core.Attribution | None:
    """The method's explanation, after all that must hold for any method has been seen to hold; None where it refuses the network
    once it has met an operation that it has no rule for."""
    before = Snapshot(net.module)
    found = None
    with contextlib.suppress(IncompatibleError):
        found = method.explain(net, inputs, targets)
    before.check()
    if found is None:
        assert method.family not in ("cam", "gradient", "perturbation"), f"{method.name} refuses {net.spec.name}"
        return None
    assert found.logits.ndim == 2
    assert found.logits.dtype == np.float32
    assert len(found.maps) == (len(net.spec.time_cells) if method.cells is None else 1)
    for maps in found.maps:
        assert maps.shape[:2] == (len(inputs), len(targets))
        assert maps.ndim == 5
        assert maps.dtype == np.float32
        assert np.isfinite(maps).all()
        # Cutting away what is negative may leave nothing, where features are signed and weights are random.
        assert maps.any() or not method.signed or method.family == "perturbation", f"{method.name} finds nothing"
        assert method.signed or (maps >= 0).all()
    assert found.totals is not None or not method.is_complete
    return found
