"""Drawn clips in a few letters, so that two processes can compare theirs."""

from __future__ import annotations

import hashlib

import numpy as np

from vidcam.synthetic import Clip


def digest(clip: Clip) -> str:
    """Return a checksum of all that a clip holds."""
    h = hashlib.sha256(clip.label.encode())
    for a in (clip.frames, clip.person, clip.parts, clip.active, np.array(clip.fps)):
        h.update(np.ascontiguousarray(a).tobytes())
    return h.hexdigest()
