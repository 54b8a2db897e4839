"""A clip of two red squares at known places and seconds, for the network of :mod:`support.planted`, which sees only red."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from support.media import write_clip

SIZE = (128, 128)
FPS = 10
FRAMES = 50
STILL = (10, 40)
"""Frames [first, stop) of the square that does not move, at (24, 20, 48, 44) in pixel edges."""
MOVING = (25, 35)
"""Frames [first, stop) of the square that moves to the right by two pixels a frame."""


def picture(i: int) -> np.ndarray:
    """Return frame number ``i``."""
    image = np.full((*SIZE, 3), 90, np.uint8)
    for y0, x0, y1, x1 in (box for box in (still_box(i), moving_box(i)) if box is not None):
        image[y0:y1, x0:x1] = (230, 10, 10)
    return image


def still_box(i: int) -> tuple[int, int, int, int] | None:
    """Return where the square is that does not move, (y0, x0, y1, x1); None before and after."""
    return (24, 20, 48, 44) if STILL[0] <= i < STILL[1] else None


def moving_box(i: int) -> tuple[int, int, int, int] | None:
    """Return where the moving square is, (y0, x0, y1, x1); None before and after."""
    x = 60 + 2 * (i - MOVING[0])
    return (80, x, 104, x + 24) if MOVING[0] <= i < MOVING[1] else None


def write_squares(path: Path, **how: object) -> Path:
    """Write the clip; ``how`` is as for :func:`support.media.write_clip`."""
    return write_clip(path, **{"frames": FRAMES, "size": SIZE, "fps": FPS, "picture": picture, **how})  # type: ignore[arg-type]
