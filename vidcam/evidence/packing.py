"""Packs the maps of a track into bytes for a browser: 8 bits a cell, one scale for the whole track.

A byte of 0 marks a map that no clip covers. From 1 to 255 a byte is ``zero + value / step``, rounded: ``zero`` is no evidence,
and ``step`` is such that the strongest value for the label and the strongest against it just fit. Nothing is cut off, because
maps are interpolated before they are cut at the colour scale. From the second map on, each byte is the difference to the same
cell of the map before, modulo 256; smooth maps then compress to a third.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vidcam.values import FloatArray, Track, UInt8Array

__all__ = ["Levels", "find_levels", "pack_maps", "pack_times"]


@dataclass(frozen=True)
class Levels:
    """What a byte of a packed map stands for: ``(byte - zero) * step`` raw evidence."""

    zero: int
    step: float


def find_levels(track: Track) -> Levels:
    """Return the levels that hold every value of a track."""
    low = high = 0.0
    for part in track.blocks():
        known = np.nan_to_num(part)
        low, high = min(low, float(known.min())), max(high, float(known.max()))
    if high == low:
        return Levels(zero=128, step=1.0)
    zero = int(np.clip(round(1 + 254 * -low / (high - low)), 2 if low else 1, 254 if high else 255))
    return Levels(zero, max(high / max(255 - zero, 1), -low / max(zero - 1, 1)))


def pack_maps(track: Track, levels: Levels) -> Iterator[bytes]:
    """Yield the maps ``(N, h, w)`` of a track as bytes, a few hundred maps at a time; NaN is where no clip covers the time."""
    before: UInt8Array = np.zeros((1, *track.maps.shape[1:]), np.uint8)
    for part in track.blocks():
        covered = ~np.isnan(part[:, :1, :1])
        rounded = np.clip(np.rint(np.nan_to_num(part) / levels.step) + levels.zero, 1, 255)
        packed: UInt8Array = np.where(covered, rounded, 0).astype(np.uint8)
        yield np.diff(packed, axis=0, prepend=before).tobytes()  # uint8 wraps around
        before = packed[-1:]


def pack_times(times: FloatArray) -> bytes:
    """Return increasing seconds ``(N,)`` as the microseconds from each to the next, N - 1 times little-endian float64.

    They are whole numbers, but uint32 would end at a pause of 71 minutes, and compressed they take about the same room.
    """
    microseconds: FloatArray = np.rint(np.asarray(times) * 1e6)
    return bytes(np.diff(microseconds).astype("<f8").tobytes())
