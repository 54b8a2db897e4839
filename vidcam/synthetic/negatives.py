"""Unrelated video without an action: animals, traffic, close-ups, screens, textures and stills."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from vidcam.synthetic.arrays import Floats, Picture, Rng
from vidcam.synthetic.background import background
from vidcam.synthetic.body import colour, rgb
from vidcam.synthetic.camera import shake
from vidcam.synthetic.draw import Shape, patch
from vidcam.synthetic.motion import wander
from vidcam.synthetic.props import moving_things

_CIRCLE = np.stack(
    [np.cos(np.linspace(0, 2 * np.pi, 16, endpoint=False)), np.sin(np.linspace(0, 2 * np.pi, 16, endpoint=False))], -1
)


def _moved(maps: Floats, xy: Floats) -> Floats:
    """Return the points ``(n,P,2)`` after the motion of the camera."""
    out: Floats = np.einsum("nij,npj->npi", maps[:, :, :2], xy) + maps[:, None, :, 2]
    return out


def _stick(a: Floats, b: Floats, ra: float, rb: float) -> Floats:
    """Return tapered bars ``(n,4,2)`` between the points ``a`` and ``b (n,2)``."""
    d = b - a
    u = np.stack([-d[:, 1], d[:, 0]], -1) / np.maximum(np.linalg.norm(d, axis=-1, keepdims=True), 1e-6)
    return np.stack([a + u * ra, b + u * rb, b - u * rb, a - u * ra], 1)


def animals(rng: Rng, place: Picture, t: Floats, maps: Floats, size: tuple[int, int]) -> list[Shape]:
    """Draw four-legged creatures that stand, trot or turn their heads."""
    h, w = size
    out: list[Shape] = []
    for j in range(int(rng.integers(1, 3))):
        s, c = rng.uniform(0.1, 0.4) * w, np.array(colour(rng)) * 0.7 + 30
        way, rate = rng.choice([-1.0, 1.0]), rng.uniform(0, 2.5)
        x = rng.uniform(0.2, 0.8) * w + way * rate * 0.2 * w * (t - t.mean()) * rng.uniform(0, 1)
        y = rng.uniform(0.45, 0.8) * h + 0.05 * s * np.sin(2 * np.pi * rate * 2 * t)
        p = np.stack([x, y], -1)
        d = np.full(len(t), 50.0 - j)
        for k in range(4):
            top = p + np.array([way * s * (-0.75 + 0.5 * k), s * 0.1])
            foot = top + np.stack([0.35 * s * np.sin(2 * np.pi * rate * t + k * 2.1), np.full_like(t, 0.75 * s)], -1)
            out.append(
                patch(_moved(maps, _stick(top, foot, 0.13 * s, 0.08 * s)), d + 0.1 * (k % 2), rgb(c * (0.7 + 0.2 * (k % 2))))
            )
        out.append(patch(_moved(maps, p[:, None] + _CIRCLE * (s, 0.42 * s)), d - 0.01, rgb(c)))
        nod = np.stack([way * (s * 1.15 + wander(rng, t, 0.08 * s, 1)), -0.5 * s + wander(rng, t, 0.15 * s, 1)], -1)
        out.append(patch(_moved(maps, _stick(p + np.array([way * 0.7 * s, 0.0]), p + nod, 0.28 * s, 0.18 * s)), d - 0.02, rgb(c)))
        out.append(patch(_moved(maps, (p + nod)[:, None] + _CIRCLE * (0.36 * s, 0.27 * s)), d - 0.03, rgb(c * 1.1)))
        wag = np.stack([-way * (s * 1.3 + wander(rng, t, 0.1 * s, 3)), -0.4 * s + wander(rng, t, 0.2 * s, 3)], -1)
        out.append(
            patch(_moved(maps, _stick(p - np.array([way * 0.85 * s, 0.1 * s]), p + wag, 0.08 * s, 0.03 * s)), d, rgb(c * 0.9))
        )
    return out


def traffic(rng: Rng, place: Picture, t: Floats, maps: Floats, size: tuple[int, int]) -> list[Shape]:
    """Draw many things that move through the picture."""
    return moving_things(
        rng, t, *size, maps, count=int(rng.integers(3, 12)), near=bool(rng.random() < 0.4), fast=float(rng.uniform(0.5, 3))
    )


def close_up(rng: Rng, place: Picture, t: Floats, maps: Floats, size: tuple[int, int]) -> list[Shape]:
    """Draw hands and tools that work on large objects: cooking, crafts, instruments."""
    h, w = size
    out: list[Shape] = []
    for j in range(int(rng.integers(1, 7))):  # the objects
        p = (
            rng.uniform(0.1, 0.9, 2) * (w, h)
            + np.stack([wander(rng, t, 0.02 * w, 0.7), wander(rng, t, 0.02 * h, 0.7)], -1) * rng.random()
        )
        r = rng.uniform(0.05, 0.4, 2) * w
        shape = _CIRCLE if rng.random() < 0.6 else np.array([[-1, -1], [1, -1], [1, 1], [-1, 1.0]])
        c = np.array(colour(rng))
        for k, f in enumerate((1.0, 0.8, 0.55)[: int(rng.integers(1, 4))]):
            out.append(
                patch(_moved(maps, p[:, None] + shape * r * f), np.full(len(t), 60.0 - j - 0.1 * k), rgb(c * (1 + 0.15 * k)))
            )
    skin, sleeve = rgb(np.array([215, 165, 130]) * rng.uniform(0.35, 1.15)), colour(rng)
    for j in range(int(rng.integers(1, 3))):
        a = rng.uniform(-0.2, np.pi + 0.2) if rng.random() < 0.8 else rng.uniform(0, 6.3)
        rate, big = rng.uniform(0.4, 3.5), rng.uniform(0.01, 0.15) * w
        s = rng.uniform(0.05, 0.13) * w
        p = np.array([w, h]) * rng.uniform(0.3, 0.7, 2) + np.stack([wander(rng, t, big, rate), wander(rng, t, big, rate)], -1)
        back = p + np.array([np.cos(a), np.sin(a)]) * w * 0.9
        wrist = p + np.array([np.cos(a), np.sin(a)]) * s * 1.6
        d = np.full(len(t), 20.0 - j)
        out.append(patch(_moved(maps, _stick(wrist, back, s * 0.6, s * 1.2)), d, skin))
        cuff = wrist + (back - wrist) * rng.uniform(0.05, 0.6)
        out.append(patch(_moved(maps, _stick(cuff, back, s, s * 1.5)), d - 0.01, sleeve))
        if rng.random() < 0.5:
            b = a + np.pi + rng.normal(0, 0.7) + wander(rng, t, 0.3, rate)
            out.append(
                patch(
                    _moved(maps, _stick(p, p + np.stack([np.cos(b), np.sin(b)], -1) * s * rng.uniform(2, 7), s * 0.15, s * 0.3)),
                    d - 0.02,
                    colour(rng),
                )
            )
        out.append(patch(_moved(maps, p[:, None] + _CIRCLE * s), d - 0.03, skin))
        for k in range(4):
            b = a + np.pi + (k - 1.5) * 0.32 + wander(rng, t, 0.12, rate)
            out.append(
                patch(
                    _moved(maps, _stick(p, p + np.stack([np.cos(b), np.sin(b)], -1) * s * 1.9, s * 0.26, s * 0.18)),
                    d - 0.04,
                    rgb(np.array(skin) * 0.94),
                )
            )
    return out


def pan(rng: Rng, place: Picture, t: Floats, maps: Floats, size: tuple[int, int]) -> Picture:
    """Pan over, turn and zoom into a still picture or a texture."""
    h, w = size
    big = background(rng, 2 * h, 2 * w)
    moves = shake(rng, t, 2 * h, 2 * w, strength=float(rng.uniform(4, 14)))
    out = np.empty((len(t), h, w, 3), np.uint8)
    for i in range(len(t)):
        m = moves[i].copy()
        m[:, 2] -= (w / 2, h / 2)
        out[i] = cv2.warpAffine(big, m, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return out


def screen(rng: Rng, place: Picture, t: Floats, maps: Floats, size: tuple[int, int]) -> Picture:
    """Record a screen: windows and lines of text that scroll, a pointer, slides that change."""
    h, w = size
    dark = rng.random() < 0.4
    ink, paper = (225.0, 245.0) if not dark else (200.0, 30.0)
    if not dark:
        ink = float(rng.uniform(20, 90))

    def page() -> Picture:
        img = np.full((3 * h, w, 3), paper, np.uint8)
        y = 4
        while y < 3 * h - 8:
            if rng.random() < 0.12:
                cv2.rectangle(img, (5, y), (int(rng.uniform(0.3, 0.95) * w), y + 18), colour(rng), -1)
                y += 22
            x, step = 6, int(rng.integers(4, 8))
            while x < w * rng.uniform(0.5, 0.98):
                n = int(rng.integers(3, 16))
                cv2.line(img, (x, y), (x + n, y), rgb(ink + rng.normal(0, 12, 3)), 1 if step < 6 else 2)
                x += n + 3
            y += step
        return img

    a, speed, at = page(), float(rng.choice([0.0, rng.uniform(5, 120)])), 0
    change = rng.uniform(0.3, 3) if rng.random() < 0.5 else 99.0
    side = rng.random() < 0.5
    pointer = np.stack([0.5 * w + wander(rng, t, 0.25 * w, 0.6), 0.5 * h + wander(rng, t, 0.25 * h, 0.6)], -1)
    out = np.empty((len(t), h, w, 3), np.uint8)
    bar = colour(rng)
    for i, now in enumerate(t):
        if now > change:
            a, change = page(), change + rng.uniform(0.4, 2)
        at = int(speed * now) % (2 * h)
        f = a[at : at + h].copy()
        cv2.rectangle(f, (0, 0), (w, 7), bar, -1)
        if side:
            cv2.rectangle(f, (0, 0), (w // 6, h), rgb(np.array(bar) * 0.8), -1)
        x, y = pointer[i]
        cv2.fillConvexPoly(
            f, np.array([[x, y], [x + 5, y + 4], [x + 1, y + 7]]).astype(np.int32), (250, 250, 250) if dark else (10, 10, 10)
        )
        out[i] = f
    return out


def flow(rng: Rng, place: Picture, t: Floats, maps: Floats, size: tuple[int, int]) -> Picture:
    """Move a texture differently everywhere, like water, fire, leaves or smoke."""
    h, w = size
    img = background(rng, h, w)
    yy, xx = np.mgrid[0:h, 0:w].astype(np.float32)
    out = np.empty((len(t), h, w, 3), np.uint8)
    k = rng.uniform(0.02, 0.25, 2).astype(np.float32)
    rate, size_px = rng.uniform(1, 9, 2), rng.uniform(1, 7)
    drift = rng.normal(0, 0.2 * w, 2)
    for i, now in enumerate(t):
        dx = size_px * np.sin(yy * k[0] + np.float32(rate[0] * now)) + np.float32(drift[0] * now)
        dy = size_px * np.sin(xx * k[1] + np.float32(rate[1] * now)) + np.float32(drift[1] * now)
        f = cv2.remap(
            img, (xx + dx).astype(np.float32), (yy + dy).astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        m = maps[i]
        out[i] = cv2.warpAffine(f, m, (w, h), borderMode=cv2.BORDER_REFLECT)
    return out


KINDS: dict[str, Callable[[Rng, Picture, Floats, Floats, tuple[int, int]], list[Shape] | Picture]] = {
    "animals": animals, "traffic": traffic, "close_up": close_up, "pan": pan, "screen": screen, "flow": flow,
}  # fmt: skip
"""Each kind draws shapes on the given place, or whole pictures ``(T,H,W,3)``, for the seconds ``t`` and the camera's ``maps``."""
