"""Frames and tracks of evidence as tests need them."""

from __future__ import annotations

import numpy as np

from vidcam.values import Box, Frame, Track


def red_square(n: int, *, size: tuple[int, int] = (112, 112), start: float = 0.0, step: float = 0.05) -> list[Frame]:
    """A red square that moves over grey."""
    frames = []
    for i in range(n):
        image = np.full((*size, 3), 120, np.uint8)
        at = 8 * (i % 10)
        image[40:64, at : at + 24] = 220, 20, 20
        frames.append(Frame(image, start + i * step, step))
    return frames


def track(ys, xs, seen, maps=None, *, times=(0.0, 1.0), label="a") -> Track:
    ys, xs = np.asarray(ys, float), np.asarray(xs, float)
    if maps is None:
        maps = np.random.default_rng(len(ys) * 31 + len(xs) + int(seen[1])).normal(size=(len(times), len(ys), len(xs)))
    return Track(label, np.asarray(times, float), np.asarray(maps, np.float32), ys, xs, Box(*seen), 0.1)
