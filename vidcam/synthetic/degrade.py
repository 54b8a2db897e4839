"""What cheap cameras and codecs do to pictures: colour, exposure, blur, noise, blocks."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.synthetic.body import Floats
from vidcam.synthetic.scene import Picture, Rng, to_picture


@lru_cache(maxsize=1)
def _grain() -> npt.NDArray[np.int16]:
    """A pool of sensor noise from which every frame takes its own piece: drawing it anew would cost more than the people."""
    return (np.random.default_rng(7).standard_normal((700, 700, 3), dtype=np.float32) * 64).astype(np.int16)


def degrade(rng: Rng, clip: Picture, t: Floats) -> Picture:
    """The clip ``(T,H,W,3)`` as a cheap camera and a codec would deliver it."""
    n, h, w = clip.shape[:3]
    gain, lift = np.ones((n, 3)), np.zeros(3)
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
    grey = rng.random() < 0.06
    limits = rng.choice(["full", "squeezed", "stretched"], p=[0.8, 0.1, 0.1])
    middle, contrast = rng.uniform(90, 150), rng.uniform(0.85, 1.45)
    ramp = (255.0 * (np.arange(256) / 255.0) ** gamma - middle) * contrast + middle
    shrink = float(rng.uniform(0.4, 0.85)) if rng.random() < 0.18 else 1.0
    blur = float(rng.uniform(0.3, 1.0)) if rng.random() < 0.22 else 0.0
    sharpen = float(rng.uniform(0.2, 1.2)) if rng.random() < 0.3 else 0.0  # cameras do
    noise = rng.uniform(1, 10) if rng.random() < 0.6 else 0.0
    coarse = rng.random() < 0.3
    quality = int(rng.choice([rng.integers(8, 35), rng.integers(35, 80)])) if rng.random() < 0.4 else 0
    freeze = rng.random() < 0.05  # a camera that drops frames
    out = np.empty_like(clip)
    pool: npt.NDArray[np.int16] = _grain()
    hold = None
    for i in range(n):
        f = clip[i]
        if shrink < 1:
            f = cv2.resize(f, (max(8, int(w * shrink)), max(8, int(h * shrink))), interpolation=cv2.INTER_AREA)
            f = cv2.resize(f, (w, h), interpolation=cv2.INTER_LINEAR)
        if blur:
            f = cv2.GaussianBlur(f, (0, 0), blur)
        if sharpen:
            f = cv2.addWeighted(f, 1 + sharpen, cv2.GaussianBlur(f, (0, 0), 1.2), -sharpen, 0)
        if hold is None or (gain[i] != hold[0]).any():
            table = ramp[:, None] * gain[i] + lift
            if limits == "squeezed":
                table = 16 + table * 219 / 255
            elif limits == "stretched":
                table = (table - 16) * 255 / 219
            hold = (gain[i], np.clip(table, 0, 255).astype(np.uint8)[None])
        f = cv2.LUT(f, hold[1])
        if grey:
            f = cv2.cvtColor(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        if noise:
            ph, pw = ((h + 1) // 2, (w + 1) // 2) if coarse else (h, w)
            y, x = rng.integers(0, max(1, 700 - ph)), rng.integers(0, max(1, 700 - pw))
            piece = pool[y : y + ph, x : x + pw]
            grain = cv2.resize(piece, (w, h), interpolation=cv2.INTER_LINEAR) if piece.shape[:2] != (h, w) else piece
            f = to_picture(cv2.scaleAdd(grain, noise / 64, f.astype(np.int16)))
        if quality:
            f = cv2.imdecode(cv2.imencode(".jpg", f, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
        out[i] = f
        if freeze and i and rng.random() < 0.3:
            out[i] = out[i - 1]
    return out
