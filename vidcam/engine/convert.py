"""A torch network as OpenVINO's, with the explained layer's cells as further outputs."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from vidcam.engine.base import Float32Array, ForwardOutput, to_numpy
from vidcam.engine.hooks import frozen, look
from vidcam.engine.quiet import ov
from vidcam.models.registry import ModelSpec

__all__ = ["convert"]


class _Looking(nn.Module):
    """The network that gives the logits and then the cells of each pathway, and keeps their numbers as ``seen``."""

    def __init__(self, module: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        self.module = module
        self.spec = spec
        self.seen: list[Float32Array] = []

    def forward(self, clips: Tensor) -> tuple[Tensor, ...]:
        found = look(self.module, self.spec, clips)
        self.seen = [to_numpy(t).copy() for t in found]
        return found


def convert(module: nn.Module, spec: ModelSpec, clip: Float32Array) -> tuple[ov.Model, ForwardOutput]:
    """The network for one clip ``(1, 3, T, H, W)``: what torch does with ``clip``, operation by operation, for any other.

    And what torch gave for it: a large network takes seconds for a clip, so it runs only once. A network that decides by what
    it sees which way to go is frozen to the way of this clip, so give it no such network. Raises RuntimeError where torch cannot
    trace it or OpenVINO does not know an operation.
    """
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder  # not before `quiet`

    frontend = ov.frontend.FrontEndManager().load_by_framework("pytorch")
    with frozen(module), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that tracing is deprecated; torch.export takes three times as long
        # The decoder must outlive the conversion.
        looking = _Looking(module, spec)
        example = (torch.from_numpy(clip),)
        decoder = TorchScriptPythonDecoder(looking, example_input=example, trace_kwargs={"check_trace": False})
        model = frontend.convert(frontend.load(decoder))
    model.reshape({0: ov.PartialShape(list(clip.shape))})
    logits, *features = looking.seen
    return model, ForwardOutput(logits, tuple(features))
