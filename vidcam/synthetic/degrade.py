"""Degradation of pictures by cheap cameras and codecs: exposure, colour, blur, noise and blocks."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.synthetic.arrays import Floats, Picture, Rng, to_picture

Step = Callable[[Picture], Picture]

REPAINTED = 0.5
"""How often the colours and textures of a clip are mixed at random."""


def degrade(rng: Rng, clip: Picture, t: Floats) -> Picture:
    """Return the clip ``(T,H,W,3)`` as a cheap camera and a codec would deliver it; ``t (T,)`` in seconds."""
    h, w = clip.shape[1:3]
    gain, gamma, lift = _exposure(rng, t)
    grey: Step = _to_grey if rng.random() < 0.06 else _unchanged
    tables = _tone_tables(rng, gain, gamma, lift)
    soften = (_repaint(rng), _shrink(rng, h, w), _blur(rng), _sharpen(rng))
    noise, compress = _noise(rng, h, w), _jpeg(rng)
    freezes = rng.random() < 0.05  # a camera that drops frames
    each = int(rng.integers(2, 4)) if rng.random() < 0.06 else 1  # a camera that takes few
    out = np.empty_like(clip)
    for i, f in enumerate(clip):
        for step in soften:
            f = step(f)
        f = grey(cv2.LUT(f, tables[i]))  # type: ignore[arg-type]
        out[i] = compress(noise(f))
        if i % each or (freezes and i and rng.random() < 0.3):
            out[i] = out[i - 1]
    return out


def _unchanged(f: Picture) -> Picture:
    return f


def _repaint(rng: Rng) -> Step:
    """Return a step that replaces the colours and textures of a picture by a random mixture of them, or none.

    A random convolution keeps shapes and movements and nothing else of how vidcam draws (Xu et al., Robust and Generalizable
    Visual Representation Learning via Random Convolutions, ICLR 2021).
    """
    if rng.random() >= REPAINTED:
        return _unchanged
    size, share = int(rng.choice([1, 3, 5])), float(rng.uniform(0.3, 1.0))
    kernels = rng.normal(0, 1 / np.sqrt(3 * size * size), (3, 3, size, size)).astype(np.float32)
    fixed: list[tuple[Floats, Floats]] = []  # the offset and gain of all frames of a clip, from the first one

    def step(f: Picture) -> Picture:
        planes = cv2.split(f.astype(np.float32) - 128)
        mixed = np.stack([sum(cv2.filter2D(p, -1, k) for p, k in zip(planes, row, strict=True)) for row in kernels], -1)
        if not fixed:
            spread = mixed.std((0, 1)) + 1e-3
            fixed.append((mixed.mean((0, 1)), rng.uniform(25, 70, 3) / spread))
        middle, gain = fixed[0]
        return to_picture(f * (1 - share) + (128 + (mixed - middle) * gain) * share)

    return step


def _exposure(rng: Rng, t: Floats) -> tuple[Floats, float, Floats]:
    """Return the gain ``(n,3)`` of each frame and colour, the gamma, and the lift ``(3,)`` of all pixels."""
    gain, lift = np.ones((len(t), 3)), np.zeros(3)
    if rng.random() < 0.7:  # white balance
        gain *= 1 + rng.normal(0, 0.07, 3)
    gamma = float(np.exp(rng.normal(-0.08, 0.2))) if rng.random() < 0.6 else 1.0
    gain *= rng.uniform(0.82, 1.22)
    if rng.random() < 0.25:
        lift = lift + rng.uniform(-25, 30)
    if rng.random() < 0.15:  # a light that changes, or automatic exposure
        k = rng.uniform(0, 0.35) * (1 if rng.random() < 0.5 else -1)
        gain *= (1 + k / (1 + np.exp(-(t - rng.choice(t)) * rng.uniform(2, 20))))[:, None]
    if rng.random() < 0.12:  # mains flicker
        gain *= (1 + rng.uniform(0, 0.06) * np.sin(t * rng.uniform(10, 60)))[:, None]
    return gain, gamma, lift


def _tone_tables(rng: Rng, gain: Floats, gamma: float, lift: Floats) -> list[Picture]:
    """Return a look-up table ``(1,256,3)`` for each frame: gamma, contrast, gain, lift and range."""
    limits = rng.choice(["full", "squeezed", "stretched"], p=[0.8, 0.1, 0.1])
    middle, contrast = rng.uniform(90, 150), rng.uniform(0.85, 1.45)
    ramp = (255.0 * (np.arange(256) / 255.0) ** gamma - middle) * contrast + middle
    tables = []
    for row in gain:
        table = ramp[:, None] * row + lift
        if limits == "squeezed":
            table = 16 + table * 219 / 255
        elif limits == "stretched":
            table = (table - 16) * 255 / 219
        tables.append(np.clip(table, 0, 255).astype(np.uint8)[None])
    return tables


def _to_grey(f: Picture) -> Picture:
    return cv2.cvtColor(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)  # type: ignore[return-value]


def _shrink(rng: Rng, h: int, w: int) -> Step:
    """Return a step that loses resolution, or none."""
    k = float(rng.uniform(0.4, 0.85)) if rng.random() < 0.18 else 1.0
    if k == 1:
        return _unchanged
    small = (max(8, int(w * k)), max(8, int(h * k)))

    def step(f: Picture) -> Picture:
        return cv2.resize(cv2.resize(f, small, interpolation=cv2.INTER_AREA), (w, h), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]

    return step


def _blur(rng: Rng) -> Step:
    """Return a step that blurs, or none."""
    sigma = float(rng.uniform(0.3, 1.0)) if rng.random() < 0.22 else 0.0
    return (lambda f: cv2.GaussianBlur(f, (0, 0), sigma)) if sigma else _unchanged  # type: ignore[return-value]


def _sharpen(rng: Rng) -> Step:
    """Return a step that sharpens, as cameras do, or none."""
    k = float(rng.uniform(0.2, 1.2)) if rng.random() < 0.3 else 0.0
    return (lambda f: cv2.addWeighted(f, 1 + k, cv2.GaussianBlur(f, (0, 0), 1.2), -k, 0)) if k else _unchanged  # type: ignore[return-value]


@lru_cache(maxsize=1)
def _grain() -> npt.NDArray[np.int16]:
    """Return a pool of sensor noise of which each frame takes a piece.

    Drawing noise for each frame would cost more than drawing the people.
    """
    return (np.random.default_rng(7).standard_normal((700, 700, 3), dtype=np.float32) * 64).astype(np.int16)


def _noise(rng: Rng, h: int, w: int) -> Step:
    """Return a step that adds sensor noise, fine or coarse, or none."""
    size = rng.uniform(1, 10) if rng.random() < 0.6 else 0.0
    coarse = rng.random() < 0.3
    ph, pw = ((h + 1) // 2, (w + 1) // 2) if coarse else (h, w)

    def step(f: Picture) -> Picture:
        y, x = rng.integers(0, max(1, 700 - ph)), rng.integers(0, max(1, 700 - pw))
        piece = _grain()[y : y + ph, x : x + pw]
        grain = cv2.resize(piece, (w, h), interpolation=cv2.INTER_LINEAR) if piece.shape[:2] != (h, w) else piece
        return to_picture(cv2.scaleAdd(grain, size / 64, f.astype(np.int16)))

    return step if size else _unchanged


def _jpeg(rng: Rng) -> Step:
    """Return a step that compresses, or none."""
    quality = int(rng.choice([rng.integers(8, 35), rng.integers(35, 80)])) if rng.random() < 0.4 else 0

    def step(f: Picture) -> Picture:
        return cv2.imdecode(cv2.imencode(".jpg", f, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)  # type: ignore[return-value]

    return step if quality else _unchanged
