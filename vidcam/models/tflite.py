"""Reads a TFLite file as a graph of operators and the values stored in it.

The file is a flatbuffer: tables whose fields are found through offsets. The few tables needed are read directly, and every offset
is checked, so that a damaged file raises :class:`Damaged` and nothing else, within bounded memory. Field numbers, codes and the
meaning of scale and zero point are those of TensorFlow's ``schema.fbs`` and its 8-bit quantisation specification.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["Damaged", "Graph", "Operator", "Stored", "Table", "Unsupported", "pick"]

# Limits far above the real files (455 tensors), so that a corrupt count cannot fill the memory.
MAX_TABLES, MAX_INTS = 4096, 256

# BuiltinOperator and TensorType of schema.fbs
ADD, AVERAGE_POOL_2D, CONCATENATION, CONV_2D, DEPTHWISE_CONV_2D, DEQUANTIZE, FULLY_CONNECTED, MUL = 0, 1, 2, 3, 4, 6, 9, 18
RESHAPE, MEAN, DIV, SUM, QUANTIZE = 22, 40, 42, 74, 114
DTYPES = {0: "<f4", 1: "<f2", 2: "<i4", 9: "<i1"}
FLOATS, INT32 = (0, 1), 2

Values = npt.NDArray[np.float32]
Vector = npt.NDArray[np.number]
T = TypeVar("T")


class Damaged(Exception):
    """The bytes are not what the format promises."""


class Unsupported(Exception):
    """A valid file in a form that is not supported here."""


def pick(items: Sequence[T], i: int) -> T:
    """Return ``items[i]`` for an index from the file.

    Raise :class:`Damaged` if it is negative or too large.
    """
    if not 0 <= i < len(items):
        raise Damaged
    return items[i]


def _number(data: bytes, form: str, at: int) -> int:
    if at < 0 or at + struct.calcsize(form) > len(data):
        raise Damaged
    return int(struct.unpack_from("<" + form, data, at)[0])


class Table:
    """One flatbuffer table: fields by their number in the schema, with the schema's defaults."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at
        self.fields = at - _number(data, "i", at)
        self.fields_end = self.fields + _number(data, "H", self.fields)

    @staticmethod
    def root(data: bytes) -> Table:
        """Return the root table of the file."""
        return Table(data, _number(data, "I", 0))

    def number(self, field: int, form: str = "i", default: int = 0) -> int:
        """Return a number field."""
        at = self._position(field)
        return default if at is None else _number(self.data, form, at)

    def table(self, field: int) -> Table | None:
        """Return a table field; None if the file omits it."""
        at = self._target(field)
        return None if at is None else Table(self.data, at)

    def tables(self, field: int) -> Iterator[Table]:
        """Yield the tables of a vector field."""
        first, count = self._vector(field)
        if count > MAX_TABLES:
            raise Damaged
        for slot in range(first, first + 4 * count, 4):
            yield Table(self.data, slot + _number(self.data, "I", slot))

    def vector(self, field: int, form: str) -> Vector:
        """Return the numbers of a vector as a read-only view of the file; it is empty if the field is omitted."""
        first, count = self._vector(field)
        if first + count * np.dtype(form).itemsize > len(self.data):
            raise Damaged
        return np.frombuffer(self.data, form, count, first)

    def ints(self, field: int) -> tuple[int, ...]:
        """Return a vector field of int32 as a tuple."""
        vector = self.vector(field, "<i4")
        if vector.size > MAX_INTS:
            raise Damaged
        return tuple(vector.tolist())

    def _position(self, field: int) -> int | None:
        slot = self.fields + 4 + 2 * field
        offset = _number(self.data, "H", slot) if slot + 2 <= self.fields_end else 0
        return self.at + offset if offset else None

    def _target(self, field: int) -> int | None:
        at = self._position(field)
        return None if at is None else at + _number(self.data, "I", at)

    def _vector(self, field: int) -> tuple[int, int]:
        """Return the position of the first element, and the number of elements."""
        at = self._target(field)
        return (0, 0) if at is None else (at + 4, _number(self.data, "I", at))


class Operator(NamedTuple):
    """One operator: its position in the file, its code, its tensors, and its options."""

    number: int
    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None

    def option(self, field: int, form: str = "i", default: int = 0) -> int:
        """Return a field of the options."""
        return default if self.options is None else self.options.number(field, form, default)

    @property
    def output(self) -> int:
        """The first tensor that it writes."""
        return pick(self.outputs, 0)


class Stored(NamedTuple):
    """A tensor of the graph; ``data`` are its bytes in the file, empty if it is computed."""

    shape: tuple[int, ...]
    type: int
    data: Vector
    scale: Vector
    zero_point: Vector
    axis: int

    def values(self) -> Values:
        """Return the values of the bytes: ``scale * (integer - zero point)``, or the floats themselves."""
        if self.type not in DTYPES:
            raise Unsupported(f"a weight is stored as TFLite type {self.type}; int8, int32, float16 and float32 are read")
        form = np.dtype(DTYPES[self.type])
        size = 1
        for n in self.shape:  # Python ints: a corrupt size must not overflow
            size *= max(n, 0)
        if not size or self.data.size != size * form.itemsize:
            raise Damaged
        values = self.data.view(form).reshape(self.shape).astype(np.float32)
        if self.type not in FLOATS:
            scale, zero_point = self._along(self.scale), self._along(self.zero_point) if self.zero_point.size else np.float32(0)
            values = (values - zero_point) * scale
        if not np.isfinite(values).all():
            raise Damaged
        return values

    def _along(self, numbers: Vector) -> Values:
        """Shape one number per tensor, or one per index of the quantised axis, for broadcasting."""
        shape = [1] * len(self.shape)
        if numbers.size != 1:
            if numbers.size != pick(self.shape, self.axis):
                raise Damaged
            shape[self.axis] = numbers.size
        return numbers.reshape(shape).astype(np.float32)


class Graph:
    """The tensors and operators of the first subgraph, and which operator reads and writes which tensor."""

    def __init__(self, data: bytes) -> None:
        model = Table.root(data)
        # builtin_code replaced a one-byte field, which old files still use alone
        codes = [max(table.number(0, "b"), table.number(3)) for table in model.tables(1)]
        buffers = list(model.tables(4))
        graph = pick(list(model.tables(2)), 0)
        self.tensors = [_stored(table, buffers) for table in graph.tables(0)]
        self.inputs = graph.ints(1)
        self.operators = [
            Operator(i, pick(codes, table.number(0, "I")), table.ints(1), table.ints(2), table.table(4))
            for i, table in enumerate(graph.tables(3))
        ]
        self.readers: dict[int, list[Operator]] = {}
        self.writer: dict[int, Operator] = {}
        for operator in self.operators:
            for i in operator.inputs:
                self.readers.setdefault(i, []).append(operator)
            self.writer.update(dict.fromkeys(operator.outputs, operator))

    def holder(self, tensor: int) -> int:
        """Return the tensor whose bytes are in the file: float16 files store them before a DEQUANTIZE."""
        writer = self.writer.get(tensor)
        return writer.inputs[0] if writer is not None and writer.code == DEQUANTIZE and writer.inputs else tensor

    def stored(self, tensor: int) -> Stored:
        """Return the stored tensor behind an index."""
        return pick(self.tensors, self.holder(tensor))


def _stored(table: Table, buffers: list[Table]) -> Stored:
    quantised = table.table(4)
    return Stored(
        shape=table.ints(0),
        type=table.number(1, "b"),
        data=pick(buffers, table.number(2, "I")).vector(0, "<u1"),
        scale=np.empty(0, "<f4") if quantised is None else quantised.vector(2, "<f4"),
        zero_point=np.empty(0, "<i8") if quantised is None else quantised.vector(3, "<i8"),
        axis=0 if quantised is None else quantised.number(6),
    )
