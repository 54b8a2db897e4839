"""Checks whether a drawn clip can be recognised; clips that fail are drawn again."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.synthetic.arrays import Bools, Picture
from vidcam.synthetic.draw import PART, PERSON, orders, paint
from vidcam.synthetic.stage import Stage

LEAST_SHARE, LEAST_VISIBLE, LEAST_CONTRAST = 0.007, 0.8, 38.0
"""The acting parts' least share of the picture, the least share of them that is visible, and the least contrast (of 255) across
the person's outline."""

LEAST_TEXTURE, LEAST_CHANGE = 15.0, 8.0
"""The least spread and the least change over time (of 255) of a blurred picture without people that shows more than an empty
place."""


def shows_something(pictures: Picture) -> bool:
    """Return whether pictures without people have the texture and change of more than an empty place."""
    some = [cv2.GaussianBlur(pictures[i], (0, 0), 2.5).astype(np.float32) for i in (0, len(pictures) // 2, -1)]
    texture = float(np.mean([f.std((0, 1)).max() for f in some]))
    change = max(float(np.abs(f - some[0]).max(-1).mean()) for f in some[1:])
    return texture >= LEAST_TEXTURE and change >= LEAST_CHANGE


def is_recognisable(pictures: Picture, person: Bools, acting: Bools, active: Bools, stage: Stage) -> bool:
    """Return whether the acting parts are large enough, mostly visible, and stand out.

    ``person`` and ``acting`` are masks ``(T,H,W)``, ``active (T,)`` are the frames in which something acts.
    """
    when = np.flatnonzero(active if active.any() else np.ones(len(pictures), bool))
    some = when[np.linspace(0, len(when) - 1, min(4, len(when))).round().astype(int)]
    if float(acting[some].mean()) < LEAST_SHARE:
        return False
    threshold = (PERSON + PART) // 2 if active.any() else PERSON // 2
    if _visible_share(acting, some, stage, threshold) < LEAST_VISIBLE:
        return False
    return _outline_contrast(pictures, person, some) >= LEAST_CONTRAST


def _visible_share(acting: Bools, some: npt.NDArray[np.intp], stage: Stage, threshold: int) -> float:
    """Return which share of the acting parts is not hidden, on average over ``some`` frames."""
    h, w = acting.shape[1:]
    own = [s for s in stage.shapes if s.colours[0][3] > 0]
    order = orders(own)
    shares = []
    for i in some:
        moment = int(i) * stage.subframes
        canvas = np.zeros((h, w, 4), np.uint8)
        paint(canvas, own, moment, order[moment])
        alone = canvas[..., 3] >= threshold
        shares.append(float((acting[i] & alone).sum()) / max(float(alone.sum()), 1.0))
    return float(np.mean(shares))


def _outline_contrast(pictures: Picture, person: Bools, some: npt.NDArray[np.intp]) -> float:
    """Return the mean contrast across the person's outline over ``some`` frames.

    It is 0 if no frame shows an outline, or if one of them shows a person without one. At each place it is the difference
    between the colour beside the person and the person's own colour there.
    """
    contrasts = []
    for i in some:
        mask = person[i].astype(np.uint8)
        inside = cv2.erode(mask, np.ones((3, 3), np.uint8)) > 0
        ring = cv2.dilate(mask, np.ones((7, 7), np.uint8)) > 0
        ring &= cv2.dilate(mask, np.ones((3, 3), np.uint8)) == 0
        if not inside.any() or not ring.any():
            continue
        f, near = pictures[i].astype(np.float32), cv2.blur(inside.astype(np.float32), (9, 9))
        own_colour = cv2.blur(f * inside[..., None], (9, 9)) / np.maximum(near, 1e-3)[..., None]
        edge = ring & (near > 0.02)
        if not edge.any():
            return 0.0
        contrasts.append(float(np.abs(f - own_colour).max(-1)[edge].mean()))
    return float(np.mean(contrasts)) if contrasts else 0.0
