"""What editors put over a picture: captions, logos, bars and drawn skeletons."""

from __future__ import annotations

import cv2
import numpy as np

from vidcam.synthetic.arrays import Floats, Picture, Rng, to_picture
from vidcam.synthetic.body import ARM_L, HEAD, LEG_L, TORSO, Skeleton, colour, rgb
from vidcam.synthetic.draw import Limbs

LETTERS = "ABCDEFGHIJKLMNOPRSTUVWYabcdefghijklmnoprstuvwy0123456789 .:-"


def add_overlays(rng: Rng, clip: Picture) -> Picture:
    """Return the clip ``(T,H,W,3)`` with still captions, a logo, bars or a frame over every picture."""
    h, w = clip.shape[1:3]
    over, alpha = np.zeros((h, w, 3), np.uint8), np.zeros((h, w), np.uint8)
    for draw in rng.permutation(np.array([_caption, _caption, _logo, _bars, _side], object))[: int(rng.integers(1, 4))]:
        draw(rng, over, alpha)
    weight = (alpha[..., None] / np.float32(255)) * np.float32(rng.choice([1.0, rng.uniform(0.5, 0.9)]))
    return np.stack([to_picture(frame * (1 - weight) + over * weight) for frame in clip])


def _caption(rng: Rng, over: Picture, alpha: Picture) -> None:
    h, w = alpha.shape
    size = float(rng.uniform(0.2, 0.5)) * h / 112
    c = tuple(colour(rng)) if rng.random() < 0.5 else (255.0,) * 3 if rng.random() < 0.7 else (10.0,) * 3
    x, y = float(rng.uniform(0, 0.6)) * w, float(rng.choice([rng.uniform(0.06, 0.25), rng.uniform(0.75, 0.97)])) * h
    for line in range(int(rng.integers(1, 3))):
        words = "".join(rng.choice(list(LETTERS), int(rng.integers(3, 22))))
        at = (int(x), int(y + line * 26 * size))
        box, _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
        if rng.random() < 0.3:
            low, high = (at[0] - 2, at[1] - box[1] - 2), (at[0] + box[0] + 2, at[1] + 3)
            cv2.rectangle(over, low, high, rgb(255.0 - np.array(c)), -1)
            cv2.rectangle(alpha, low, high, 255, -1)
        cv2.putText(over, words, at, cv2.FONT_HERSHEY_SIMPLEX, size, c, 1, cv2.LINE_AA)
        cv2.putText(alpha, words, at, cv2.FONT_HERSHEY_SIMPLEX, size, 255, 1, cv2.LINE_AA)


def _logo(rng: Rng, over: Picture, alpha: Picture) -> None:
    h, w = alpha.shape
    x, y, r = (rng.choice([0.1, 0.9, rng.uniform(0, 1)]) * w, rng.choice([0.1, 0.9, rng.uniform(0, 1)]) * h, rng.uniform(2, 9))
    c = colour(rng)
    for image, value in ((over, c), (alpha, 255)):
        cv2.circle(image, (int(x), int(y)), int(r), value, -1 if r < 6 else 2, cv2.LINE_AA)
        cv2.line(image, (int(x - r / 2), int(y)), (int(x + r), int(y - r)), value, 1, cv2.LINE_AA)


def _bars(rng: Rng, over: Picture, alpha: Picture) -> None:
    h, w = alpha.shape
    size = int(rng.uniform(0.04, 0.2) * (h if (flat := rng.random() < 0.6) else w))
    c = (0.0, 0.0, 0.0) if rng.random() < 0.7 else colour(rng)
    for part in ((slice(0, size), slice(None)), (slice(h - size, h), slice(None))) if flat else (
        (slice(None), slice(0, size)), (slice(None), slice(w - size, w))
    ):  # fmt: skip
        over[part], alpha[part] = c, 255


def _side(rng: Rng, over: Picture, alpha: Picture) -> None:
    h, w = alpha.shape
    bw, bh = int(rng.uniform(0.1, 0.3) * w), int(rng.uniform(0.06, 0.3) * h)
    x, y = int(rng.choice([0, w - bw])), int(rng.choice([0, h - bh]))
    over[y : y + bh, x : x + bw], alpha[y : y + bh, x : x + bw] = colour(rng), 255


def wire(rng: Rng, s: Skeleton, height: float) -> Limbs:
    """Return the bones of a skeleton as thin bright limbs in front of the body, as pose estimators draw them."""
    limbs = Limbs()
    one = colour(rng) if rng.random() < 0.4 else None
    r = float(rng.uniform(0.008, 0.022)) * height
    blobs = rng.random() < 0.3

    def add(a: Floats, b: Floats, group: int) -> None:
        c = one or rgb(rng.uniform(0, 255, 3) * 0.5 + np.eye(3)[int(rng.integers(3))] * 200)
        if blobs:
            limbs.add(a, a, 3.5 * r, 3.5 * r, (250.0, 250.0, 250.0), group, front=0.6)
        else:
            limbs.add(a, b, r, r, c, group, front=0.6)

    for i in (0, 1):
        add(s.shoulder[:, i], s.elbow[:, i], ARM_L + i)
        add(s.elbow[:, i], s.wrist[:, i], ARM_L + i)
        add(s.hip[:, i], s.knee[:, i], LEG_L + i)
        add(s.knee[:, i], s.ankle[:, i], LEG_L + i)
        add(s.shoulder[:, i], s.hip[:, i], TORSO)
    add(s.shoulder[:, 0], s.shoulder[:, 1], TORSO)
    add(s.hip[:, 0], s.hip[:, 1], TORSO)
    add(s.neck, s.skull, HEAD)
    return limbs
