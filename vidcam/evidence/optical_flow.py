"""Measure the motion in the picture (optical flow), and carry evidence along it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.evidence.timeline import TOLERANCE
from vidcam.interpolation import bilinear
from vidcam.values import FloatArray, Track, UInt8Array

__all__ = ["Carry", "FlowField", "follow_motion"]

Carry = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
"""``(values, weights) -> (values, weights)``, each ``(N, h, w)``: moves them to where they belong some steps away."""


def follow_motion(track: Track, flow: FlowField | None, direction: Literal[-1, 1]) -> Carry:
    """Return a function that takes the maps (and their weights) 1, 2, 3 ... steps away and moves them to where they belong now.

    It must be called for one distance after the other. Displacements are composed and each map is interpolated once, so that
    nothing is blurred by being moved again and again. Without ``flow`` nothing moves.
    """
    if flow is None:
        return lambda values, present: (values, present)
    pairs = [(a, b) if direction > 0 else (b, a) for a, b in pairwise(track.times.tolist())]
    steps = np.stack([flow.between(start, end, ys=track.ys, xs=track.xs) for start, end in pairs])
    h, w = track.maps.shape[1:]
    size = np.array([h, w])
    cells = np.moveaxis(np.mgrid[:h, :w].astype(np.float64), 0, -1)
    positions: FloatArray = np.repeat(cells[None], len(track.times), axis=0)

    def carry(values: FloatArray, present: FloatArray) -> tuple[FloatArray, FloatArray]:
        nonlocal positions
        positions = positions[1:] if direction < 0 else positions[:-1]
        step = steps[: len(values)] if direction < 0 else steps[-len(values) :]
        positions = positions + bilinear(step, positions[..., 0], positions[..., 1])
        inside = np.all((positions >= -0.5) & (positions <= size - 0.5), axis=-1, keepdims=True)
        moved = bilinear(np.stack([values, present], axis=-1), positions[..., 0], positions[..., 1]) * inside
        return moved[..., 0], moved[..., 1]

    return carry


class FlowField:
    """The motion in a video, as optical flow on a coarse lattice over the whole source picture.

    Pictures are pushed with their times; about every ``step_s`` the flow between two of them is measured, forward and backward,
    by Dense Inverse Search (Kroeger et al. 2016) on gray pictures of at most 160 pixels. Much longer steps than the default lose
    track of a quick hand. ``size`` is the source's (H, W). Memory: a few hundred numbers a step.
    """

    _LONG_SIDE, _LATTICE = 160, 16

    def __init__(self, *, size: tuple[int, int], step_s: float = 0.08) -> None:
        self._size, self._step_s = size, step_s
        self._times: list[float] = []
        self._motion: list[npt.NDArray[np.float16]] = []  # (2, lh, lw, 2): forward, backward; (dy, dx) in source pixels
        self._last: UInt8Array | None = None
        # The preset FAST misses what moves before a background at rest.
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOpticalFlow_PRESET_MEDIUM)

    def push(self, image: UInt8Array, *, time: float) -> None:
        """Take the next picture, ``(h, w, 3)`` RGB or ``(h, w)`` gray uint8, the whole source picture at any size."""
        if self._times and time < self._times[-1] + self._step_s * (1 - TOLERANCE):
            return
        # At least 32 pixels either way: the search begins on a picture several times smaller, which must have room for a patch.
        shrink = self._LONG_SIDE / max(image.shape[:2])
        width, height = (max(32, round(n * min(shrink, 1))) for n in (image.shape[1], image.shape[0]))
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        gray = np.asarray(small if image.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        if self._last is not None:
            pair = ((self._last, gray), (gray, self._last))
            flows = [self._dis.calc(a, b, None) for a, b in pair]  # type: ignore[call-overload]
            self._motion.append(np.stack([self._pool(flow) for flow in flows]).astype(np.float16))
        self._times.append(time)
        self._last = gray

    def _pool(self, flow: FloatArray) -> FloatArray:
        """Return the flow ``(h, w, 2)`` as (dy, dx) in source pixels on the lattice.

        The mean of each cell is weighted by speed: if something moves over a resting background, heat belongs to what moves.
        """
        h, w = flow.shape[:2]
        shrink = min(self._LATTICE / max(h, w), 1)
        lattice = max(1, round(w * shrink)), max(1, round(h * shrink))
        pixels = flow[..., ::-1] * np.array([self._size[0] / h, self._size[1] / w], np.float32)
        speed = np.hypot(pixels[..., 0], pixels[..., 1]) + np.float32(1e-6)
        summed = cv2.resize(np.ascontiguousarray(pixels * speed[..., None]), lattice, interpolation=cv2.INTER_AREA)
        out = summed / cv2.resize(speed, lattice, interpolation=cv2.INTER_AREA)[..., None]
        return np.asarray(out, dtype=np.float32)

    def between(self, start: float, end: float, *, ys: FloatArray, xs: FloatArray) -> FloatArray:
        """Return how far the content of each cell at ``start`` has moved at ``end``: ``(h, w, 2)`` (dy, dx) in cells.

        ``end`` may be earlier than ``start``. ``ys`` and ``xs`` are the cells' centres in source pixels. Before the first picture
        and after the last nothing moves.
        """
        origin = np.empty((len(ys), len(xs), 2))
        origin[..., 0], origin[..., 1] = ys[:, None], xs
        positions: FloatArray = origin
        early, late = min(start, end), max(start, end)
        first = max(0, bisect_right(self._times, early) - 1)
        last = min(len(self._motion), bisect_left(self._times, late))
        for i in range(first, last) if end > start else range(last - 1, first - 1, -1):
            a, b = self._times[i], self._times[i + 1]
            share = max(0.0, min(late, b) - max(early, a)) / (b - a)
            field = self._motion[i][0 if end > start else 1].astype(np.float64)
            cells: FloatArray = (positions + 0.5) / np.array(self._size) * field.shape[:2] - 0.5
            positions = positions + share * bilinear(field[None], cells[None, ..., 0], cells[None, ..., 1])[0]
        spacing = [(c[-1] - c[0]) / (len(c) - 1) if len(c) > 1 else n for c, n in zip((ys, xs), self._size, strict=True)]
        out: FloatArray = (positions - origin) / np.array(spacing)
        return out
