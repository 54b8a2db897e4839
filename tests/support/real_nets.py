"""What the tests of the registered networks share: these are large, so they are tried on small clips unless all is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

EVERYTHING = bool(os.environ.get("VIDCAM_TEST_EVERY_MODEL"))
"""Try every network with all that takes minutes, on clips of their own size."""


@contextmanager
def fitted_pools(module: nn.Module) -> Iterator[None]:
    """Let a network whose last pooling is over so many cells take a smaller clip: it is over all there are from then on."""

    def fit(pool: nn.AvgPool3d, inputs: tuple[torch.Tensor]) -> None:
        pool.kernel_size = tuple(map(min, pool.kernel_size, inputs[0].shape[2:]))

    pools = [m for m in module.modules() if isinstance(m, nn.AvgPool3d)]
    handles = [pool.register_forward_pre_hook(fit) for pool in pools]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
