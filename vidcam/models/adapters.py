"""Networks whose oddities are adapted, so that each maps ``(B,3,T,H,W)`` to logits; the official checkpoints' keys still fit.

torch is imported here and the families import this file inside ``build``, so the table of models can be read without torch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["S3D", "PoolShare", "SlowFast", "plain_swish", "without_activation"]


def without_activation(net: nn.Module, head: str) -> nn.Module:
    """``net`` with the activation after its classifier taken out, so that it gives logits.

    Some PyTorchVideo heads end in a softmax, whose gradient vanishes just where the network is sure. Activations have no
    parameters, so checkpoints still fit.
    """
    net.get_submodule(head).activation = None  # type: ignore[assignment]
    return net


class SlowFast(nn.Module):
    """A two-pathway PyTorchVideo network that takes one clip ``(B,3,T,H,W)`` (Feichtenhofer et al. 2019).

    The fast pathway sees every frame; the slow one sees ``T // alpha`` frames spread evenly from the first to the last, as the
    released weights were trained. ``blocks.4`` gives the list [slow, fast] that is pooled.
    """

    def __init__(self, net: nn.Module, *, alpha: int = 4) -> None:
        super().__init__()
        self.blocks = net.get_submodule("blocks")
        self.alpha = alpha

    def forward(self, clip: Tensor) -> Tensor:
        frames, slow = clip.shape[2], clip.shape[2] // self.alpha
        # In whole numbers: out of linspace may come 30.999998, depending on who computes it, and lose the last frame.
        index = torch.tensor([i * (frames - 1) // max(1, slow - 1) for i in range(slow)], device=clip.device)
        x: Tensor | list[Tensor] = [clip.index_select(2, index), clip]
        for block in self.blocks.children():
            # The blocks write into the list they are given: each gets its own, so that what a hook saw stays true.
            x = block(list(x) if isinstance(x, list) else x)
        assert isinstance(x, Tensor)
        return x


class S3D(nn.Module):
    """torchvision's S3D with its two averages written as one plain mean over ``weighed``: the same logits, CAM in closed form.

    The original averages windows of 2 x 7 x 7 cells one step apart, classifies each, and averages the answers. So the first and
    the last time cell enter one window each and all the others two. ``weighed`` gives every cell times its share.
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
    """Cells ``(B,C,T,h,w)`` times their share in a sliding average pooling that is then averaged, relative to an even share."""

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


def plain_swish(network: nn.Module) -> nn.Module:
    """The network with torch's own ``x * sigmoid(x)`` in the place of PyTorchVideo's.

    That is an autograd function, which nothing from outside can look into and whose backward warns on each call.
    """
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child).__name__ == "Swish":
                setattr(parent, name, nn.SiLU())
    return network
