"""Converts Google's TFLite file of MoViNet-A0 into weights and checks it against the network.

The graph is followed from the picture to the logits beside our own network. Names and the order of operators do not matter, but
kernel, stride, padding, activation and every shape must agree, and every stored weight must be used exactly once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from vidcam.errors import OutputError, WeightsError
from vidcam.io.files import atomic_write
from vidcam.models import tflite
from vidcam.models.movinet_net import IMAGE_SIZE, Block, CausalConv, MoViNetA0
from vidcam.models.tflite import Graph, Operator, Values, pick

__all__ = ["IMPORTED_NAME", "import_tflite", "save_imported"]

IMPORTED_NAME = "movinet_a0_stream_k600.safetensors"
"""The name of the converted file."""

MAX_BYTES = 64 << 20  # the int8 file has 3 MB, a float one 11 MB

# Padding and ActivationFunctionType of schema.fbs
SAME, VALID = 0, 1
NO_ACTIVATION, RELU6 = 0, 3

NAMES = {
    tflite.ADD: "sum",
    tflite.AVERAGE_POOL_2D: "mean",
    tflite.CONV_2D: "convolution",
    tflite.DEPTHWISE_CONV_2D: "depthwise convolution",
    tflite.MUL: "product",
}
# These pass the same numbers on; the second set does so in the average over time and space.
SHAPING = frozenset({tflite.RESHAPE, tflite.QUANTIZE, tflite.DEQUANTIZE, tflite.CONCATENATION})
AVERAGING = SHAPING | {tflite.SUM, tflite.MEAN, tflite.MUL, tflite.ADD, tflite.DIV}
WEIGHTED = frozenset({tflite.CONV_2D, tflite.DEPTHWISE_CONV_2D, tflite.FULLY_CONNECTED, tflite.MUL})


class _Different(Exception):
    """A valid file, but of another network."""


def import_tflite(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the state dict of :class:`MoViNetA0` from a TFLite file of the same graph, all float32.

    Integers become ``scale * (integer - zero point)``, so only the rounding of the weights remains of the quantisation. The float
    file in Google's repository is another network, with hard swish and squeeze-and-excitation.

    Raises:
        WeightsError: The file is not TFLite, is damaged, or holds another network.
    """
    return _convert(_read(Path(path)), Path(path))


def save_imported(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> Path:
    """Convert a TFLite file into ``folder/movinet_a0_stream_k600.safetensors``, complete or not at all.

    Its metadata name the source file (``source``, ``source_sha256``).

    Returns:
        The path of the new file.

    Raises:
        WeightsError: As in :func:`import_tflite`.
        OutputError: The folder cannot be written.
    """
    source, target = Path(path), Path(folder) / IMPORTED_NAME
    data = _read(source)
    metadata = {"format": "pt", "source": source.name, "source_sha256": hashlib.sha256(data).hexdigest()}
    content = save(_convert(data, source), metadata)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise OutputError(f"{target} cannot be written: {err.strerror or err}; free some space or choose another folder") from err
    with atomic_write(target, overwrite=True) as part:
        part.write_bytes(content)
    return target


def _read(path: Path) -> bytes:
    """Return the bytes of a TFLite file of a plausible size; raise WeightsError for anything else."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as err:
        raise WeightsError(f"{path} cannot be read: {err.strerror or err}") from err
    if data[4:8] != b"TFL3":
        raise WeightsError(f"{path} is not a TFLite file (no 'TFL3' in its head): give MoViNet-A0's .tflite file")
    if len(data) > MAX_BYTES:
        raise WeightsError(f"{path} is larger than {MAX_BYTES >> 20} MiB, so it is not MoViNet-A0: give its .tflite file")
    return data


def _convert(data: bytes, path: Path) -> dict[str, Tensor]:
    try:
        with np.errstate(all="ignore"):  # damaged scales overflow; the result is checked to be finite
            return _Walk(Graph(data)).run()
    except tflite.Damaged:
        raise WeightsError(f"{path} is damaged or cut short, its {len(data)} bytes are no valid TFLite: fetch it again") from None
    except (_Different, tflite.Unsupported) as err:
        raise WeightsError(
            f"{path} is not the causal MoViNet-A0 of Google's int8 release: {err}; give movinet a0 stream kinetics-600 int8"
        ) from None


class _Walk:
    """Follows the graph beside the network and collects the weights by the network's names."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.state: dict[str, Tensor] = {}
        self.used: list[int] = []  # the stored tensors
        self.passed: set[int] = set()  # the operators that read them
        with torch.device("meta"):  # only its shapes are needed
            self.network = MoViNetA0()

    def run(self) -> dict[str, Tensor]:
        """Follow the whole graph and return the state dict."""
        x = self.layer(self.picture(), "stem.conv", RELU6)
        for i, block in enumerate(self.network.blocks):
            assert isinstance(block, Block)
            x = self.block(x, block, f"blocks.{i}")
        x = self.layer(x, "project.conv", RELU6)
        self.mean()
        x = self.layer(x, "hidden", RELU6, through=AVERAGING)
        self.layer(x, "classifier", NO_ACTIVATION)
        spare = {operator.number for operator in self.graph.operators if operator.code in WEIGHTED} - self.passed
        if spare or len(set(self.used)) != len(self.used):
            raise _Different(f"{len(spare)} of its operators have no place in the network, or one weight serves twice")
        return self.state

    def picture(self) -> int:
        """Return the input of the graph that is a picture; the others are stream buffers."""
        shapes = {i: pick(self.graph.tensors, i).shape for i in self.graph.inputs}
        pictures = [i for i, shape in shapes.items() if shape == (1, 1, IMAGE_SIZE, IMAGE_SIZE, 3)]
        if len(pictures) != 1:
            sizes = [f"{shape[2]}x{shape[3]}" for shape in shapes.values() if len(shape) == 5 and shape[4] == 3]
            raise _Different(f"it takes pictures of {' or '.join(sizes) or 'no known size'}, not {IMAGE_SIZE}x{IMAGE_SIZE}")
        return pictures[0]

    def block(self, x: int, block: Block, name: str) -> int:
        """Follow one block from the tensor ``x`` and return the tensor that it writes."""
        y = self.layer(x, f"{name}.expand.conv", RELU6)
        y = self.layer(y, f"{name}.spatial.conv", RELU6)
        if block.temporal is not None:
            y = self.layer(y, f"{name}.temporal.conv", RELU6)
        y = self.layer(y, f"{name}.shrink", NO_ACTIVATION)
        scaling = self.follow(y, tflite.MUL, f"{name}.scale")
        scale = self.take(scaling)
        if scaling.option(0, "b") != NO_ACTIVATION or np.ptp(scale) > 0:
            raise _Different(f"{name}.scale is not one number for the whole block")
        self.state[f"{name}.scale"] = torch.tensor(float(scale.flat[0]))
        if block.skip is not None:
            pool = self.follow(x, tflite.AVERAGE_POOL_2D, f"{name}.skip.pool")
            options = (pool.option(0, "b"), *(pool.option(i) for i in (1, 2, 3, 4)), pool.option(5, "b"))
            if options != (SAME, 2, 2, 3, 3, NO_ACTIVATION):
                raise _Different(f"{name}.skip.pool has another kernel, stride or padding")
            x = self.layer(pool.output, f"{name}.skip.conv", NO_ACTIVATION)
        total = self.follow(scaling.output, tflite.ADD, name)
        if total != self.follow(x, tflite.ADD, name) or total.option(0, "b") != NO_ACTIVATION:
            raise _Different(f"{name} does not end in the sum of its input and its scaled output")
        return total.output

    def layer(self, start: int, name: str, activation: int, *, through: Collection[int] = SHAPING) -> int:
        """Take the weights and bias of a convolution or linear layer, and return the tensor that it writes."""
        module = self.network.get_submodule(name)
        assert isinstance(module, CausalConv | nn.Linear)
        shape = tuple(module.weight.shape)
        outputs, inputs, time, height, width = shape if len(shape) == 5 else (*shape, 1, 1, 1)
        depthwise = isinstance(module, CausalConv) and module.groups > 1
        stride = module.stride[-1] if isinstance(module, CausalConv) else 1
        # time is the height of a picture here, which the stream buffer has padded already
        height, padding = (time, VALID) if time > 1 else (height, SAME)

        operator = self.follow(start, tflite.DEPTHWISE_CONV_2D if depthwise else tflite.CONV_2D, name, through)
        weight, bias = self.take(operator, 1), self.take(operator, 2)
        expected = (1, height, width, outputs) if depthwise else (outputs, height, width, inputs)
        if weight.shape != expected or bias.shape != (outputs,):
            raise _Different(f"{name} has weights {weight.shape} and a bias {bias.shape}, not {expected} and {(outputs,)}")
        fused, dilation = (4, 5) if depthwise else (3, 4)
        options = (
            operator.option(0, "b"),
            operator.option(1),
            operator.option(2),
            operator.option(fused, "b"),
            operator.option(dilation, default=1),
            operator.option(dilation + 1, default=1),
        )
        if options != (padding, stride, stride, activation, 1, 1):
            raise _Different(f"{name} has another padding, stride, activation or dilation")
        self.check_bias_unit(operator, name)

        outputs_first = weight.transpose(3, 0, 1, 2) if depthwise else weight.transpose(0, 3, 1, 2)
        self.state[f"{name}.weight"] = torch.from_numpy(outputs_first.reshape(shape).copy())
        self.state[f"{name}.bias"] = torch.from_numpy(bias)
        return operator.output

    def check_bias_unit(self, operator: Operator, name: str) -> None:
        """Check the scale of an int32 bias: it is added to sums of integer products, so it must be theirs."""
        x, weight, bias = (self.graph.stored(i) for i in operator.inputs[:3])
        if bias.type != tflite.INT32:
            return
        comparable = x.scale.size == 1 and weight.scale.size in (1, bias.scale.size)
        if not comparable or not np.allclose(bias.scale, x.scale * weight.scale, rtol=1e-3, atol=0):
            raise _Different(f"{name} has a bias whose scale is not that of the input times that of the weights")

    def mean(self) -> None:
        """Check the mean over 6x6 cells: a sum and a product with 1/36.

        It is the only product besides the blocks' scales.
        """
        for operator in self.graph.operators:
            left = operator.code == tflite.MUL and operator.number not in self.passed
            if left and not np.allclose(self.take(operator), 1 / 36, rtol=0.01):
                raise _Different("it multiplies by numbers for which the network has no place")

    def follow(self, start: int, code: int, name: str, through: Collection[int] = SHAPING) -> Operator:
        """Return the one operator of this kind that reads ``start``.

        Operators between them may only pass it on.
        """
        matches: set[int] = set()
        visited, queue = {start}, [start]
        while queue:
            for operator in self.graph.readers.get(queue.pop(), ()):
                if operator.code == code:
                    matches.add(operator.number)
                elif operator.code in through:
                    queue.extend(set(operator.outputs) - visited)
                    visited.update(operator.outputs)
        if len(matches) != 1:
            raise _Different(f"{name} needs one {NAMES[code]} at its place, found {len(matches)}")
        return self.graph.operators[matches.pop()]

    def take(self, operator: Operator, position: int | None = None) -> Values:
        """Return the values of an input that is stored in the file, by default the first stored one."""
        if position is None:
            position = pick([i for i, tensor in enumerate(operator.inputs) if self.graph.stored(tensor).data.size], 0)
        tensor = self.graph.holder(pick(operator.inputs, position))
        self.used.append(tensor)
        self.passed.add(operator.number)
        return self.graph.stored(tensor).values()
