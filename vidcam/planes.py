"""A picture as codecs hold it: brightness in full, colour at half the resolution (8 bits, 4:2:0, limited range).

Most video is decoded to this and encoded from it, so what is drawn in these planes costs no conversion, and what is not drawn
over stays identical to the last bit. :mod:`vidcam.yuv` converts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError

__all__ = ["Matrix", "Planes"]

UInt8Array = npt.NDArray[np.uint8]
Matrix = Literal["bt601", "bt709"]


@dataclass(frozen=True, eq=False)
class Planes:
    """``y (H, W)``, ``u`` and ``v (ceil(H/2), ceil(W/2))``, all uint8, limited range; ``matrix`` is what they were made with."""

    y: UInt8Array
    u: UInt8Array
    v: UInt8Array
    matrix: Matrix = "bt709"

    def __post_init__(self) -> None:
        height, width = self.y.shape
        chroma = (height + 1) // 2, (width + 1) // 2
        for name, plane, shape in (("y", self.y, (height, width)), ("u", self.u, chroma), ("v", self.v, chroma)):
            if plane.dtype != np.uint8 or plane.shape != shape or plane.size == 0:
                raise UsageError(f"plane {name} must be uint8 {shape}, got {plane.dtype} {plane.shape}")

    def __repr__(self) -> str:
        return f"Planes({self.size[0]}x{self.size[1]}, {self.matrix})"

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the picture."""
        return self.y.shape[0], self.y.shape[1]

    @classmethod
    def empty(cls, size: tuple[int, int], matrix: Matrix = "bt709") -> Planes:
        """Planes for a picture of ``size`` (H, W), holding anything."""
        y, u, v = (np.empty(shape, np.uint8) for shape in (size, *2 * [((size[0] + 1) // 2, (size[1] + 1) // 2)]))
        return cls(y, u, v, matrix)

    def part(self, y0: int, x0: int, y1: int, x1: int) -> Planes:
        """Rows ``y0:y1``, columns ``x0:x1`` as a view; ``y0`` and ``x0`` must be even."""
        if y0 % 2 or x0 % 2:
            raise UsageError(f"a part of 4:2:0 planes begins at an even row and column, got {y0}, {x0}")
        rows, columns = slice(y0 // 2, (y1 + 1) // 2), slice(x0 // 2, (x1 + 1) // 2)
        return Planes(self.y[y0:y1, x0:x1], self.u[rows, columns], self.v[rows, columns], self.matrix)

    def paste(self, other: Planes, y: int = 0, x: int = 0) -> None:
        """Copy ``other`` to row ``y``, column ``x``, both even. It must have the same matrix."""
        if other.matrix != self.matrix:
            raise UsageError(f"planes of {other.matrix} cannot be pasted into planes of {self.matrix}")
        part = self.part(y, x, y + other.size[0], x + other.size[1])
        part.y[:], part.u[:], part.v[:] = other.y, other.u, other.v
