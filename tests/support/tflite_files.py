"""Writes TFLite files: a flatbuffer of plain dicts, and MoViNet-A0's stream as Google's converter lays it out."""

from __future__ import annotations

import struct

import numpy as np

from vidcam.models.movinet_net import BLOCKS

CODES = {"ADD": 0, "AVERAGE_POOL_2D": 1, "CONCATENATION": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "DEQUANTIZE": 6, "MUL": 18}
CODES |= {"RESHAPE": 22, "DIV": 42, "CAST": 53, "SLICE": 65, "SUM": 74, "LOGISTIC": 14}
OPTIONS = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 2, "AVERAGE_POOL_2D": 5, "CONCATENATION": 10, "ADD": 11, "RESHAPE": 17, "MUL": 21}
OPTIONS |= {"SUM": 27, "DIV": 29, "CAST": 37, "DEQUANTIZE": 38, "SLICE": 48}
TYPES = {np.dtype(np.float32): 0, np.dtype(np.float16): 1, np.dtype(np.int32): 2, np.dtype(np.uint8): 3, np.dtype(np.int8): 9}
SAME, VALID, RELU6 = 0, 1, 3


def flatbuffer(root: dict, identifier: bytes) -> bytearray:
    """The bytes of a table. A table is ``{field: value}``; a value is an int (a scalar of up to 4 bytes), a table, a list of
    tables, or an array (a vector of numbers)."""
    data = bytearray(4) + identifier
    struct.pack_into("<I", data, 0, _place(data, root))
    return data


def _place(data: bytearray, value) -> int:
    if isinstance(value, np.ndarray):
        while (len(data) + 4) % 16:
            data.append(0)
        at = len(data)
        data += struct.pack("<I", value.size) + value.tobytes()
        return at
    while len(data) % 4:
        data.append(0)
    if isinstance(value, list):
        at = len(data)
        data += struct.pack("<I", len(value)) + bytes(4 * len(value))
        children = [(at + 4 + 4 * i, child) for i, child in enumerate(value)]
    else:
        fields = sorted(value)
        slots = {field: 4 + 4 * i for i, field in enumerate(fields)}
        names = range(max(fields, default=-1) + 1)
        table = struct.pack("<HH", 4 + 2 * len(names), 4 + 4 * len(fields)) + b"".join(
            struct.pack("<H", slots.get(field, 0)) for field in names
        )
        table += bytes(-len(table) % 4)
        at = len(data) + len(table)
        data += table + struct.pack("<i", len(table)) + bytes(4 * len(fields))
        children = []
        for field in fields:
            slot = at + slots[field]
            if isinstance(value[field], int):
                struct.pack_into("<i", data, slot, value[field])
            else:
                children.append((slot, value[field]))
    for slot, child in children:
        struct.pack_into("<I", data, slot, _place(data, child) - slot)
    return at


class MoViNetFile:
    """MoViNet-A0's stream with the weights of a state dict, stored as ``float32``, ``float16`` or ``int8``.

    ``buffers`` says which input tensor is updated by which output tensor from one frame to the next.
    """

    def __init__(self, state: dict, kind: str = "float32") -> None:
        self.state = {name: value.detach().numpy() for name, value in state.items()}
        self.kind = kind
        self.tensors: list[dict] = []
        self.contents: list[dict] = [{}]
        self.operators: list[dict] = []
        self.codes: list[str] = []
        self.scales: dict[int, float] = {}
        self.buffers: dict[int, int] = {}
        self.image = self.tensor((1, 1, 172, 172, 3), scale=1 / 255)
        self.logits = self._network()

    def bytes(self) -> bytearray:
        inputs = [self.image, *self.buffers]
        graph = {0: self.tensors, 1: np.array(inputs, "<i4"), 3: self.operators}
        graph[2] = np.array([self.logits, *self.buffers.values()], "<i4")
        codes = [{0: CODES[name], 2: 1, 3: CODES[name]} for name in self.codes]
        return flatbuffer({0: 3, 1: codes, 2: [graph], 4: self.contents}, b"TFL3")

    def tensor(self, shape, data=None, *, dtype=np.float32, scale=None, zero_point=-128, axis=0) -> int:
        """A computed tensor, int8 with its scale where the file is; or a stored one."""
        table = {0: np.array(shape, "<i4"), 1: TYPES[np.dtype(dtype)]}
        if data is not None:
            table[1] = TYPES[data.dtype]
            table[2] = len(self.contents)
            self.contents.append({0: np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)})
        if scale is not None and self.kind == "int8":
            if data is None:
                table[1] = TYPES[np.dtype(np.int8)]
                self.scales[len(self.tensors)] = float(scale)
            scale = np.atleast_1d(np.asarray(scale, "<f4"))
            table[4] = {2: scale, 3: np.full(scale.shape, zero_point, "<i8"), 6: axis}
        self.tensors.append(table)
        return len(self.tensors) - 1

    def op(self, name: str, inputs, output: int, **fields: int) -> int:
        if name not in self.codes:
            self.codes.append(name)
        operator = {0: self.codes.index(name), 1: np.array(inputs, "<i4"), 2: np.array([output], "<i4")}
        operator |= {3: OPTIONS.get(name, 0), 4: {int(key[1:]): value for key, value in fields.items()}}
        self.operators.append(operator)
        return output

    def constant(self, values) -> int:
        return self.tensor(np.shape(values), np.asarray(values, "<i4"))

    def weight(self, values: np.ndarray, axis: int | None) -> tuple[int, np.ndarray | float]:
        """A stored weight and its scales; ``axis`` None has one scale, and a zero point that is not zero."""
        if self.kind == "float32":
            return self.tensor(values.shape, values.astype("<f4")), 1.0
        if self.kind == "float16":
            half = self.tensor(values.shape, values.astype("<f2"))
            return self.op("DEQUANTIZE", [half], self.tensor(values.shape)), 1.0
        if axis is None:  # from 0 to the value, as the converter does for a constant
            scale = max(float(np.abs(values).max()) / 255, 1e-9)
            zero = -128 if values.flat[0] >= 0 else 127
            stored = np.clip(np.round(values / scale) + zero, -128, 127).astype(np.int8)
            return self.tensor(values.shape, stored, scale=scale, zero_point=zero), scale
        scale = np.abs(values).max(axis=tuple(i for i in range(values.ndim) if i != axis), keepdims=True) / 127
        stored = np.round(values / scale).astype(np.int8)
        return self.tensor(values.shape, stored, scale=scale.ravel(), zero_point=0, axis=axis), scale.ravel()

    def layer(self, x: int, name: str, size: int, *, relu6: bool, stride: int = 1) -> int:
        """A convolution of a picture ``size`` cells wide (a temporal one of a column of frames), as an operator; its output."""
        weight = self.state[f"{name}.weight"]
        bias = self.state[f"{name}.bias"]
        weight = weight.reshape(*weight.shape, *[1] * (5 - weight.ndim))
        temporal, depthwise = weight.shape[2] > 1, weight.shape[1] == 1 and weight.shape[0] > 1
        flat = weight[:, :, :, :, 0] if temporal else weight[:, :, 0]
        axis = 3 if depthwise else 0
        stored, scale = self.weight(flat.transpose(1, 2, 3, 0) if depthwise else flat.transpose(0, 2, 3, 1), axis)
        if self.kind == "int8":
            unit = self.scales[x] * scale
            integers = np.round(bias / unit).astype("<i4")
            offset = self.tensor(bias.shape, integers, scale=unit, zero_point=0)
        else:
            offset, _ = self.weight(bias, 0)
        out = -(-size // stride)
        shape = (1, 1, size * size, len(bias)) if temporal else (1, out, out, len(bias))
        y = self.tensor(shape, scale=6 / 255 if relu6 else 0.1)
        activation = RELU6 if relu6 else 0
        padding = VALID if temporal else SAME
        if depthwise:
            return self.op("DEPTHWISE_CONV_2D", [x, stored, offset], y, f0=padding, f1=stride, f2=stride, f3=1, f4=activation)
        return self.op("CONV_2D", [x, stored, offset], y, f0=padding, f1=stride, f2=stride, f3=activation)

    def reshape(self, x: int, shape) -> int:
        return self.op("RESHAPE", [x, self.constant(shape)], self.tensor(shape, scale=self.scales.get(x)))

    def _network(self) -> int:
        x = self.reshape(self.image, (1, 172, 172, 3))
        x, size, channels = self.layer(x, "stem.conv", 172, relu6=True, stride=2), 86, 8
        for i, block in enumerate(BLOCKS):
            x, size, channels = self._block(x, f"blocks.{i}", block, size, channels)
        x = self.layer(x, "project.conv", size, relu6=True)
        shape = (1, 1, 1, 480)
        total = self.op("SUM", [x, self.constant([1, 2])], self.tensor(shape, scale=0.8), f0=1)
        share, _ = self.weight(np.full(shape, 1 / 36, np.float32), None)
        mean = self.op("MUL", [total, share], self.tensor(shape, scale=6 / 255))
        old = self.tensor(shape, scale=0.5)
        self.buffers[old] = new = self.op("ADD", [mean, old], self.tensor(shape, scale=0.5))
        count = self.tensor((1,), dtype=np.int32)
        self.buffers[count] = later = self.op("ADD", [count, self.constant([1])], self.tensor((1,), dtype=np.int32))
        frames = self.op("CAST", [later], self.tensor((1,)), f0=2, f1=0)
        x = self.op("DIV", [new, frames], self.tensor(shape, scale=0.02))
        x = self.layer(x, "hidden", 1, relu6=True)
        x = self.layer(x, "classifier", 1, relu6=False)
        return self.reshape(x, (1, 600))

    def _block(self, x: int, name: str, block, size: int, channels: int) -> tuple[int, int, int]:
        y = self.layer(x, f"{name}.expand.conv", size, relu6=True)
        y = self.layer(y, f"{name}.spatial.conv", size, relu6=True, stride=block.stride)
        kept, out = x, -(-size // block.stride)
        if block.past > 1:
            frames = block.past - 1
            old = self.tensor((1, frames, out, out, block.inner), scale=6 / 255)
            y = self.reshape(y, (1, 1, out, out, block.inner))
            shape = (1, block.past, out, out, block.inner)
            y = self.op("CONCATENATION", [old, y], self.tensor(shape, scale=6 / 255), f0=1)
            window = [self.constant([0, 1, 0, 0, 0]), self.constant([1, frames, out, out, block.inner])]
            self.buffers[old] = self.op("SLICE", [y, *window], self.tensor((1, frames, out, out, block.inner), scale=6 / 255))
            y = self.reshape(y, (1, block.past, out * out, block.inner))
            y = self.layer(y, f"{name}.temporal.conv", out, relu6=True)
            y = self.reshape(y, (1, out, out, block.inner))
        y = self.layer(y, f"{name}.shrink", out, relu6=False)
        shape = (1, out, out, block.out)
        scale, _ = self.weight(np.full(shape, self.state[f"{name}.scale"], np.float32), None)
        y = self.op("MUL", [y, scale], self.tensor(shape, scale=0.2))
        if f"{name}.skip.conv.weight" in self.state:
            pooled = self.tensor((1, out, out, channels), scale=self.scales.get(x))
            kept = self.op("AVERAGE_POOL_2D", [x], pooled, f0=SAME, f1=2, f2=2, f3=3, f4=3)
            kept = self.layer(kept, f"{name}.skip.conv", out, relu6=False)
        return self.op("ADD", [y, kept], self.tensor(shape, scale=0.3)), out, block.out
