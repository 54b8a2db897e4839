"""Textures: noise of several sizes, colours of walls, gradients."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.synthetic.arrays import Colour, Picture, Rng, to_picture
from vidcam.synthetic.body import colour, rgb


def octaves(rng: Rng, h: int, w: int, *, roughness: float, first: int = 2) -> npt.NDArray[np.float32]:
    """Return noise ``(h,w) float32`` of about -1..1, summed over octaves.

    Each octave is ``roughness`` times as strong as the coarser one before it.
    """
    out = np.zeros((h, w), np.float32)
    k, a = first, 1.0
    while k < min(h, w) and a > 0.04:
        grid = rng.standard_normal((k + 1, k + 1), dtype=np.float32)
        out += np.float32(a) * cv2.resize(grid, (w, h), interpolation=cv2.INTER_CUBIC)
        k, a = k * 2, a * roughness
    return out / np.float32(max(float(np.abs(out).max()), 1e-6))


def calm(rng: Rng) -> Colour:
    """Return a colour that a wall might have: mostly nearer to grey than those of clothes."""
    c = np.array(colour(rng))
    return rgb(c.mean() + (c - c.mean()) * (rng.uniform(0.1, 0.6) if rng.random() < 0.8 else 1.0) + rng.uniform(-10, 60))


def gradient(rng: Rng, h: int, w: int) -> Picture:
    """Return a smooth change of colour from corner to corner."""
    corners = np.array([[calm(rng), calm(rng)], [calm(rng), calm(rng)]], np.float32)
    if rng.random() < 0.6:
        corners = corners.mean((0, 1)) + (corners - corners.mean((0, 1))) * 0.25
    return np.clip(cv2.resize(corners, (w, h), interpolation=cv2.INTER_LINEAR), 0, 255).astype(np.uint8)


def noise(rng: Rng, h: int, w: int) -> Picture:
    """Return two colours, mixed by noise."""
    a, b = np.array(colour(rng), np.float32), np.array(colour(rng), np.float32)
    m = octaves(rng, h, w, roughness=rng.uniform(0.4, 0.95), first=int(rng.integers(2, 8)))[..., None] * 0.5 + 0.5
    out = a * m + b * (1 - m)
    if rng.random() < 0.5:
        out = out + np.float32(rng.uniform(10, 40)) * octaves(rng, h, w, roughness=0.8)[..., None] * np.array(
            rng.normal(1, 0.4, 3), np.float32
        )
    return to_picture(out)
