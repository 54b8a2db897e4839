"""Checksums of drawn clips, so that two processes can compare them."""

from __future__ import annotations

import hashlib

import numpy as np

from vidcam.synthetic import SyntheticVideo


def digest(clip: SyntheticVideo) -> str:
    """Return a checksum of everything in a clip."""
    h = hashlib.sha256(clip.label.encode())
    for a in (clip.frames, clip.person, clip.parts, clip.active, np.array(clip.fps)):
        h.update(np.ascontiguousarray(a).tobytes())
    return h.hexdigest()
