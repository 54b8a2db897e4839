"""Gives the evidence of a clip its places and times in the video."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from vidcam.methods.core import PlacedAttribution, Target
from vidcam.values import Clip, CropGeometry, Evidence

__all__ = ["place_evidence"]


def place_evidence(
    found: Sequence[PlacedAttribution],
    targets: Sequence[Target],
    clip: Clip,
    views: Sequence[CropGeometry],
    labels: Sequence[str],
    interval_s: float,
    *,
    first: int = 0,
) -> Iterator[Evidence]:
    """Yield the evidence of one clip by each method, for each target and crop, at its places in the video and its seconds.

    Args:
        found: What each method found in a batch of crops, of which those from ``first`` on are the clip's.
        targets: The classes.
        clip: The clip.
        views: Its crops.
        labels: The names of all classes.
        interval_s: The seconds between the frames of a clip.
        first: The row of the clip's first crop.
    """
    for placed in found:
        cells = placed.cells
        times = cells.cell_times(clip.times, interval_s)
        for target in targets:
            n = placed.attribution.targets.index(target)
            for v, view in enumerate(views, first):
                ys, xs = cells.cell_centres(view)
                yield Evidence(
                    values=placed.maps[v, n],
                    times=times,
                    ys=ys,
                    xs=xs,
                    seen=view.seen,
                    span=clip.span,
                    cell_s=cells.time.stride * interval_s,
                    label=labels[target.index],
                    versus=None if target.versus is None else labels[target.versus],
                    method=placed.method.name,
                    complete=placed.totals is not None,
                    total=math.nan if placed.totals is None else float(placed.totals[v, n]),
                )
