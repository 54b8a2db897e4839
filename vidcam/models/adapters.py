"""Networks that are adapted to map ``(B,3,T,H,W)`` to logits; official checkpoints still fit.

This module imports torch. The families import it inside ``build``, so the table of models can be read without torch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["S3D", "PoolShare", "SlowFast", "remove_activation", "replace_swish"]


def remove_activation(net: nn.Module, head: str) -> nn.Module:
    """Remove the activation after the classifier ``head`` of ``net``, so that it gives logits.

    Some PyTorchVideo heads end in a softmax, whose gradient vanishes where the network is confident. Activations have no
    parameters, so checkpoints still fit.
    """
    net.get_submodule(head).activation = None  # type: ignore[assignment]
    return net


class SlowFast(nn.Module):
    """A PyTorchVideo network with two pathways that takes one clip (Feichtenhofer et al. 2019).

    The fast pathway sees every frame; the slow one sees ``T // alpha`` frames spread evenly from the first to the last, as the
    released weights were trained. ``blocks.4`` gives the list [slow, fast] that is pooled.
    """

    def __init__(self, net: nn.Module, *, alpha: int = 4) -> None:
        super().__init__()
        self.blocks = net.get_submodule("blocks")
        self.alpha = alpha

    def forward(self, clip: Tensor) -> Tensor:
        frames, slow = clip.shape[2], clip.shape[2] // self.alpha
        # Integers, because linspace may give 30.999998, depending on the device, and lose the last frame.
        index = torch.tensor([i * (frames - 1) // max(1, slow - 1) for i in range(slow)], device=clip.device)
        x: Tensor | list[Tensor] = [clip.index_select(2, index), clip]
        for block in self.blocks.children():
            # The blocks write into their list, so each gets a new one; a list that a hook has captured stays unchanged.
            x = block(list(x) if isinstance(x, list) else x)
        assert isinstance(x, Tensor)
        return x


class S3D(nn.Module):
    """torchvision's S3D with its two averages written as one mean over ``weighed``.

    The logits are equal, and CAM has a closed form.

    The original averages windows of 2 x 7 x 7 cells, one step apart, classifies each, and averages the answers. So the first and
    the last time cell are in one window each and all others in two. ``weighed`` multiplies every cell by its share.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.features, self.classifier = net.get_submodule("features"), net.get_submodule("classifier")
        kernel = net.get_submodule("avgpool").kernel_size
        assert isinstance(kernel, tuple)
        self.weighed = PoolShare(kernel)

    def forward(self, clip: Tensor) -> Tensor:
        pooled = self.weighed(self.features(clip)).mean(dim=(2, 3, 4), keepdim=True)
        logits: Tensor = self.classifier(pooled)
        return logits.flatten(1)


class PoolShare(nn.Module):
    """Multiplies cells ``(B,C,T,h,w)`` by their share in an averaged sliding average pooling.

    The shares are relative to an even share.
    """

    def __init__(self, kernel: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, cells: Tensor) -> Tensor:
        for axis, k in enumerate(self.kernel, start=2):
            n = cells.shape[axis]
            windows = n - k + 1
            share = [min(i + 1, n - i, k, windows) * n / (k * windows) for i in range(n)]
            cells = cells * torch.tensor(share, dtype=cells.dtype, device=cells.device).view(-1, *[1] * (4 - axis))
        return cells


def replace_swish(network: nn.Module) -> nn.Module:
    """Replace PyTorchVideo's Swish in a network by torch's ``x * sigmoid(x)``.

    The original is an autograd function, which cannot be inspected from outside and whose backward warns on each call.
    """
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child).__name__ == "Swish":
                setattr(parent, name, nn.SiLU())
    return network
