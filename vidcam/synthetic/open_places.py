"""Places without things in them: studios, open ground, and parts of photographs."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from vidcam.synthetic.arrays import Picture, Rng, to_picture
from vidcam.synthetic.body import rgb
from vidcam.synthetic.textures import calm, octaves

GROUNDS = ((190, 160, 140), (95, 130, 60), (125, 122, 118), (235, 237, 242), (150, 120, 90), (70, 70, 75))
"""The colours of sand, grass, stone, snow, earth and asphalt."""


def photo(rng: Rng, h: int, w: int, floor: float | None, photos: Sequence[Picture]) -> Picture:
    """Return a part of a photograph, of a panorama best; its middle row is taken for the horizon."""
    whole = photos[int(rng.integers(len(photos)))]
    height, width = whole.shape[:2]
    if rng.random() < 0.5:
        whole = whole[:, ::-1]
    part_w = max(1, int(rng.uniform(0.16, 0.5) * width))
    part_h = max(1, min(int(part_w * h / w), height))
    horizon = (floor / h if floor is not None else rng.uniform(0.3, 1.0)) - rng.uniform(0.0, 0.15)
    y = int(np.clip(0.5 * height - horizon * part_h, 0, height - part_h))
    x = int(rng.integers(0, width - part_w + 1))
    part = np.ascontiguousarray(whole[y : y + part_h, x : x + part_w])
    out = cv2.resize(part, (w, h), interpolation=cv2.INTER_AREA if part_w > w else cv2.INTER_CUBIC)
    if rng.random() < 0.3:
        out = cv2.GaussianBlur(out, (0, 0), float(np.exp(rng.uniform(-1.0, 1.2))))
    return to_picture(out * np.float32(rng.uniform(0.5, 1.2)) * rng.normal(1, 0.06, 3).astype(np.float32))


def studio(rng: Rng, h: int, w: int, floor: float | None) -> Picture:
    """Return an even wall that runs into an even floor, white, dark or coloured, lit in the middle."""
    base = np.array(rng.choice([(245.0,) * 3, (20.0,) * 3, calm(rng), rgb(np.array(calm(rng)) * 0.3 + 170)]), np.float32)
    yy, xx = np.mgrid[0:h, 0:w].astype(np.float32)
    cx, cy = rng.uniform(0.2, 0.8) * w, rng.uniform(0.2, 0.8) * h
    glow = np.exp(-((xx - cx) ** 2 + (yy - cy) ** 2) / (2 * (rng.uniform(0.3, 1.0) * max(h, w)) ** 2))
    img = base * (1 - np.float32(rng.uniform(0.0, 0.5)) * (1 - glow[..., None]))
    if floor is not None and floor < h and rng.random() < 0.7:
        img[int(max(floor, 0)) :] *= np.float32(rng.uniform(0.75, 1.15))
        img = cv2.GaussianBlur(img, (0, 0), float(rng.uniform(0.5, 4)))
    return to_picture(img)


def ground(rng: Rng, h: int, w: int, floor: float | None) -> Picture:
    """Return sand, grass, stone or snow that fills the picture, or all of it below a pale sky."""
    base = np.array(GROUNDS[int(rng.integers(len(GROUNDS)))], np.float32) * np.float32(rng.uniform(0.6, 1.1))
    base += rng.normal(0, 8, 3).astype(np.float32)
    fine = octaves(rng, h, w, roughness=float(rng.uniform(0.7, 1.1)), first=int(rng.integers(4, 16)))[..., None]
    coarse = octaves(rng, h, w, roughness=0.5, first=2)[..., None] * rng.normal(1, 0.3, 3).astype(np.float32)
    img = base + np.float32(rng.uniform(4, 28)) * fine + np.float32(rng.uniform(0, 25)) * coarse
    if rng.random() < 0.4:
        y = int(np.clip(floor if floor is not None else rng.uniform(0.05, 0.5) * h, 0, 0.6 * h))
        img[:y] = np.array([200, 210, 220], np.float32) * np.float32(rng.uniform(0.5, 1.2))
    return to_picture(img)
