"""The network that explanation methods work with: `TorchModel`.

torch is imported only by what needs it, because a compiled network that is a subclass runs without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidcam.engine.base import Clips, Float32Array, ForwardOutput, Linear, to_numpy

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vidcam.models.spec import Layout, ModelSpec

__all__ = ["TorchModel"]


class TorchModel:
    """A torch network and the facts about it (``spec``), for explanation methods.

    The network runs in eval mode and is left as it was. Engines have faster subclasses that give the same results.
    """

    placements: object = None
    """Where the cells of each pathway are, if the network's file says it, as vidcam.methods.cell_geometry.to_json writes it."""

    def __init__(self, module: nn.Module, spec: ModelSpec) -> None:
        self._module = module
        self.spec = spec

    @property
    def module(self) -> nn.Module:
        """The torch network, from normalised clips ``(B, 3, T, H, W)`` to logits.

        Methods that differentiate the network use it.
        """
        return self._module

    @property
    def target_layer(self) -> str:
        """The dotted name of the layer that is explained; empty if there is none."""
        return self.spec.target_layer

    @property
    def layout(self) -> Layout:
        """The layout of that layer's output."""
        return self.spec.layout

    @property
    def rounding(self) -> float:
        """The relative error that rounding may cause in sums that would be equal without it."""
        import torch

        is_half = next(self.module.parameters()).dtype in (torch.float16, torch.bfloat16)
        return 5e-2 if is_half else 1e-3

    def forward(self, clips: Clips) -> ForwardOutput:
        """Return the logits and the activations of one forward pass without gradients."""
        from vidcam.engine.hooks import capture, logits_of

        if not self.spec.target_layer:
            return ForwardOutput(to_numpy(logits_of(self.module, self.tensor(clips))), ())
        with capture(self) as run:
            output = run(self.tensor(clips))
        return ForwardOutput(to_numpy(output.logits), tuple(to_numpy(a) for a in output.activations))

    def logits(self, clips: Clips) -> Float32Array:
        """Return the logits ``(B, K)`` of the clips."""
        from vidcam.engine.hooks import logits_of

        return to_numpy(logits_of(self.module, self.tensor(clips)))

    def classifiers(self) -> tuple[Linear, ...]:
        """Return the layers named by ``spec.head``, first to last; the linear part of its norm belongs to the first.

        Raise IncompatibleError if one is not a linear layer, or the norm no layer norm.
        """
        from vidcam.engine.hooks import fold_norm, read_linear

        head = self.spec.head
        if head is None:
            return ()
        first, *others = (read_linear(self.module, name) for name in head.classifiers)
        return (first if head.norm is None else fold_norm(self.module, head.norm, first), *others)

    def tensor(self, clips: Clips) -> Tensor:
        """Return the clips as a torch tensor on the device of the network."""
        import torch

        return torch.as_tensor(clips)
