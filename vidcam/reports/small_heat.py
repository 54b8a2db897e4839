"""Heat in a small picture, for tools that stretch a picture over the video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vidcam.values import Box, Track

__all__ = ["shrink", "small_size"]


def small_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return ``size`` (H, W) made smaller in proportion, so that no side is longer than ``longest``."""
    factor = min(1.0, longest / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def shrink(tracks: Sequence[Track], size: tuple[int, int], small: tuple[int, int]) -> tuple[Track, ...]:
    """Return the crops of a picture of ``size`` (H, W), placed in one of ``small`` (H, W) pixels; they share their maps."""
    down, across = small[0] / size[0], small[1] / size[1]

    def place(track: Track) -> Track:
        ys, xs = (track.ys + 0.5) * down - 0.5, (track.xs + 0.5) * across - 0.5
        seen = Box(track.seen.y0 * down, track.seen.x0 * across, track.seen.y1 * down, track.seen.x1 * across)
        return replace(track, ys=ys, xs=xs, seen=seen)

    return tuple(map(place, tracks))
