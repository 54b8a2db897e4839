"""Sampling of labelled clips with exact ground truth."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidcam.errors import UnknownNameError, UsageError
from vidcam.synthetic.actions import CLASSES
from vidcam.synthetic.arrays import Bools, Picture
from vidcam.synthetic.degrade import degrade
from vidcam.synthetic.draw import PART, PERSON
from vidcam.synthetic.motion import NONE
from vidcam.synthetic.overlays import add_overlays
from vidcam.synthetic.scene_sampling import Shot, Take, choose_unrelated_kind, draw_unrelated, empty_stage, person_stage
from vidcam.synthetic.visibility import is_recognisable

__all__ = ["SyntheticVideo", "sample"]

MAX_ATTEMPTS = 6
"""How often a clip is drawn until it can be recognised; the last attempt is used in any case."""


@dataclass(frozen=True)
class SyntheticVideo:
    """A drawn clip with its label, and where and when the action is.

    ``frames (T,H,W,3) uint8`` RGB at ``fps`` frames per second; ``person (T,H,W)``, the visible pixels of the acting person;
    ``parts (T,H,W)``, those of the body parts that make the action (a subset; empty if nothing acts); ``active (T,)``, the frames
    in which it happens.
    """

    frames: Picture
    fps: float
    label: str
    person: Bools
    parts: Bools
    active: Bools


def sample(
    seed: int,
    *,
    label: str | None = None,
    frames: int = 16,
    size: int | tuple[int, int] = 112,
    seconds_between_frames: float | None = None,
    hard: float = 1.0,
    photos: Sequence[Picture] = (),
) -> SyntheticVideo:
    """Return one labelled clip; the same arguments always give the same bytes.

    Args:
        seed: A non-negative integer.
        label: One of ``CLASSES`` or ``NONE``; None picks one at random.
        frames: Number of frames.
        size: Pixels of a square, or (height, width).
        seconds_between_frames: None picks 1/12 to 1/7 s at random.
        hard: The share, 0 to 1, of clips that may have everything that makes an action hard to see. The others show one person
            from the front before a still, clean camera.
        photos: Pictures ``(H,W,3) uint8`` RGB without people, panoramas best, parts of which become places.

    Raises:
        UnknownNameError: The label is unknown.
        UsageError: Another argument is out of its range.
    """
    if label is not None and label not in CLASSES and label != NONE:
        raise UnknownNameError("label", label, (*CLASSES, NONE))
    h, w = (size, size) if isinstance(size, int) else size
    if frames < 1 or h < 16 or w < 16:
        raise UsageError(f"a clip needs at least 1 frame of at least 16x16 pixels, got {frames} frames of {h}x{w}")
    if seconds_between_frames is not None and not (math.isfinite(seconds_between_frames) and seconds_between_frames > 0):
        raise UsageError(f"seconds_between_frames must be positive, got {seconds_between_frames}")
    if seed < 0:
        raise UsageError(f"a seed is a non-negative integer, got {seed}")
    rng = np.random.default_rng([seed, zlib.crc32((label or "").encode()), frames, h, w])
    label = label or str(rng.choice([*CLASSES, NONE]))
    plain = bool(rng.random() >= hard)
    dt = float(rng.uniform(1 / 12, 1 / 7)) if seconds_between_frames is None else seconds_between_frames
    kind = choose_unrelated_kind(rng) if label == NONE else ""
    shot = Shot(rng, frames, dt, (h, w), photos, plain)
    for _ in range(MAX_ATTEMPTS):
        video, is_valid = _draw(shot, label, kind)
        if is_valid:
            break
    return video


def _draw(shot: Shot, label: str, kind: str) -> tuple[SyntheticVideo, bool]:
    """Return a clip, and whether it shows what its label says clearly enough."""
    rng, dt = shot.rng, shot.dt
    t = np.arange(shot.frames, dtype=np.float64) * dt
    active = np.zeros(shot.frames, bool)
    if label == NONE:
        take = draw_unrelated(shot, kind)
    elif label == "no person":
        take = Take(*empty_stage(shot).render())
    else:
        stage, action, start = person_stage(shot, label)
        take = Take(*stage.render(), stage=stage)
        active = action.active(t + start) if action.groups else active
    pictures = take.pictures
    if not shot.plain:
        if rng.random() < 0.15:
            pictures = add_overlays(rng, pictures)
        pictures = degrade(rng, pictures, t)
    person, parts = take.whose >= PERSON // 2, take.whose >= (PERSON + PART) // 2
    acting = parts if active.any() else person
    is_valid = take.is_valid and (take.stage is None or is_recognisable(pictures, person, acting, active, take.stage))
    return SyntheticVideo(pictures, 1 / dt, label, person, parts, active), is_valid
