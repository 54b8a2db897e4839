"""A torch network as an OpenVINO model whose outputs are the logits and the cells of the target layer.

OpenVINO is imported here as ``ov``, without its telemetry: importing it would send a note to its makers unless the user has opted
out with a command of theirs. It works without the telemetry package.
"""

from __future__ import annotations

import sys
import warnings
from functools import cache
from typing import TYPE_CHECKING

from vidcam.engine.base import Float32Array, ForwardOutput, to_numpy
from vidcam.models.spec import ModelSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["convert", "get_core", "ov", "trace"]

TELEMETRY = "openvino_telemetry"

_is_absent = TELEMETRY not in sys.modules
if _is_absent:
    sys.modules[TELEMETRY] = None  # type: ignore[assignment]  # makes its import fail
try:
    import openvino as ov
    import openvino.passes  # makes it an attribute of ov
finally:
    if _is_absent:
        del sys.modules[TELEMETRY]


@cache
def get_core() -> ov.Core:
    """Return OpenVINO's core, which a process makes once and keeps.

    The core's CPU plugin gives the thread that first uses it a stack for signal handlers, and frees that stack when the core is
    dropped. If another thread drops it, the next signal that the process handles, such as a Ctrl-C, crashes it.
    """
    return ov.Core()


def convert(module: nn.Module, spec: ModelSpec, clip: Float32Array) -> tuple[ov.Model, ForwardOutput]:
    """Convert a network by tracing it once with ``clip (1, 3, T, H, W)``.

    A network whose control flow depends on its input is frozen to the path that this clip takes; do not convert such networks.

    Returns:
        The OpenVINO model for clips of this shape, and torch's output for ``clip``: a large network takes seconds for a clip, so
        it runs only once.

    Raises:
        RuntimeError: torch cannot trace the network, or OpenVINO lacks an operation.
    """
    import torch
    from torch import nn

    from vidcam.engine.hooks import frozen, run_with_cells

    computed: list[Float32Array] = []

    class WithCells(nn.Module):
        """The network with the cells of each pathway as further outputs."""

        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, clips: Tensor) -> tuple[Tensor, ...]:
            outputs = run_with_cells(self.module, spec, clips)
            computed[:] = (to_numpy(t).copy() for t in outputs)
            return outputs

    with frozen(module):
        model = trace(WithCells(), (torch.from_numpy(clip),))
    model.reshape({0: ov.PartialShape(list(clip.shape))})
    logits, *activations = computed
    return model, ForwardOutput(logits, tuple(activations))


def trace(network: nn.Module, arguments: tuple[Tensor, ...]) -> ov.Model:
    """Return what the network does with these arguments as an OpenVINO model; it must be in eval mode and without gradients.

    Raises:
        RuntimeError: torch cannot trace the network, or OpenVINO lacks an operation.
    """
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    frontend = ov.frontend.FrontEndManager().load_by_framework("pytorch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated; torch.export takes three times as long
        # The decoder must outlive the conversion.
        decoder = TorchScriptPythonDecoder(network, example_input=arguments, trace_kwargs={"check_trace": False})
        return frontend.convert(frontend.load(decoder))
