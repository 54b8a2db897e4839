"""A torch network as OpenVINO's, with the explained layer's cells as further outputs."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from vidcam.engine.base import Float32Array
from vidcam.engine.hooks import frozen, look
from vidcam.engine.quiet import ov
from vidcam.models.registry import ModelSpec

__all__ = ["convert"]


class _Looking(nn.Module):
    """The network that gives the logits and then the cells of each pathway."""

    def __init__(self, module: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        self.module = module
        self.spec = spec

    def forward(self, clips: Tensor) -> tuple[Tensor, ...]:
        return look(self.module, self.spec, clips)


def convert(module: nn.Module, spec: ModelSpec, clip: Float32Array) -> ov.Model:
    """The network for one clip ``(1, 3, T, H, W)``: what torch does with ``clip``, operation by operation, for any other.

    A network that decides by what it sees which way to go is frozen to the way of this clip, so give it no such network. Raises
    RuntimeError where torch cannot trace it or OpenVINO does not know an operation.
    """
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    frontend = ov.frontend.FrontEndManager().load_by_framework("pytorch")
    with frozen(module), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that tracing is deprecated; torch.export takes three times as long
        # The decoder must outlive the conversion.
        decoder = TorchScriptPythonDecoder(
            _Looking(module, spec), example_input=(torch.from_numpy(clip),), trace_kwargs={"check_trace": False}
        )
        model = frontend.convert(frontend.load(decoder))
    model.reshape({0: ov.PartialShape(list(clip.shape))})
    return model
