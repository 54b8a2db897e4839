"""Find where the evidence is, as objects: connected tubes in space and time, with a box and a mask for each moment.

This is weak localisation: the tubes come from the classifier's evidence alone, by a threshold. JSON, CSV and COCO-style video
annotations hold the same tubes (:mod:`vidcam.reports.coco`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.evidence.heat import render_heat
from vidcam.values import Box, FloatArray, Track

if TYPE_CHECKING:
    from vidcam.analysis import Analysis

__all__ = ["THRESHOLD", "Outline", "Tube", "find_tubes", "run_lengths"]

Bools = npt.NDArray[np.bool_]
Sign = Literal[1, -1]

THRESHOLD = 0.3
"""The share of the video's scale from which on evidence belongs to a tube."""

MIN_SHARE = 0.005
"""Tubes with a smaller share of the label's evidence are left out."""


@dataclass(frozen=True)
class Outline:
    """A tube at one moment: its ``box`` in source pixels, and its mask as :func:`run_lengths`, () if masks were not asked for."""

    time: float
    box: Box
    runs: tuple[int, ...]


@dataclass(frozen=True)
class Tube:
    """One connected piece of the evidence for (``sign`` +1) or against (-1) a label, which lasts for ``[start_s, end_s)``.

    ``share`` is its part of all evidence of that sign and label in the video, 0 to 1; ``outlines`` are in the order of time, one
    for each step of the timeline.
    """

    id: int
    label: str
    sign: Sign
    start_s: float
    end_s: float
    share: float
    outlines: tuple[Outline, ...]


def find_tubes(analysis: Analysis, *, threshold: float = THRESHOLD, masks: bool = True) -> tuple[Tube, ...]:
    """Return the tubes of every explained label, those of one label and sign by falling share.

    Two pixels belong together if they touch (also at a corner), or if they are the same pixel in two neighbouring steps of the
    timeline.

    Args:
        analysis: The evidence of a video.
        threshold: The share of the video's scale from which on evidence counts, in (0, 1).
        masks: Whether outlines have masks. They take most of the memory that grows with the video.

    Raises:
        UsageError: The threshold is out of range.
    """
    if not 0 < threshold < 1:
        raise UsageError(f"a tube's threshold is a share of the scale between 0 and 1, got {threshold}")
    tubes: list[Tube] = []
    for label, tracks in analysis.drawn.items():
        has_negative = any(np.nanmin(block) < 0 for track in tracks for block in track.blocks())
        for sign in (1, -1) if has_negative else (1,):
            tubes += _tubes_of(label, sign, tracks, analysis, threshold, masks)
    return tuple(replace(tube, id=i) for i, tube in enumerate(tubes, 1))


def run_lengths(mask: Bools) -> tuple[int, ...]:
    """Return a mask ``(H,W)`` as COCO's uncompressed run lengths: down the columns, how many are outside, then inside, ..."""
    return _run_lengths(mask.ravel(order="F"))


def _tubes_of(label: str, sign: Sign, tracks: Sequence[Track], analysis: Analysis, threshold: float, masks: bool) -> list[Tube]:
    """Return the tubes of one label and sign, not yet numbered."""
    times = np.unique(np.concatenate([t.times for t in tracks]))
    step = float(np.median(np.diff(times))) if len(times) > 1 else tracks[0].cell_s
    size = analysis.source.height, analysis.source.width

    def heats() -> Iterator[tuple[float, FloatArray | None]]:
        for time in times.tolist():
            heat = render_heat(tracks, time=time, scale=analysis.scale, size=size, against=sign < 0)
            yield time, None if heat is None else heat.values if sign > 0 else heat.against

    tubes = [
        Tube(0, label, sign, outlines[0].time, outlines[-1].time + step, share, tuple(outlines))
        for share, outlines in _connect(heats(), threshold, masks=masks)
        if share >= MIN_SHARE
    ]
    return sorted(tubes, key=lambda t: -t.share)


class _Piece(NamedTuple):
    """A connected component of one moment, and the sum of its heat."""

    outline: Outline
    mass: float


def _measure(time: float, values: FloatArray, inside: Bools, bounds: Sequence[float], masks: bool) -> _Piece:
    x, y, w, h = map(float, bounds)
    outline = Outline(time, Box(y, x, y + h, x + w), run_lengths(inside) if masks else ())
    return _Piece(outline, float(values[inside].sum(dtype=np.float64)))


def _connect(
    heats: Iterable[tuple[float, FloatArray | None]], threshold: float, *, masks: bool = True
) -> list[tuple[float, list[Outline]]]:
    """Connect the heats ``(H,W)`` of successive moments, None where nothing was seen.

    Returns for each tube its share of all the heat, and its outlines: one for each moment, of all its pieces then.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pieces: list[_Piece] = []
    links: list[npt.NDArray[np.intp]] = [np.empty((0, 2), np.intp)]  # pairs of pieces that overlap in neighbouring moments
    total = 0.0
    before: npt.NDArray[np.intp] | None = None  # for each pixel the index of its piece in the moment before, or -1
    for time, values in heats:
        if values is None:
            before = None
            continue
        total += float(values.sum(dtype=np.float64))
        count, components, stats, _ = cv2.connectedComponentsWithStats((values >= threshold).astype(np.uint8), connectivity=8)
        first = len(pieces)
        pieces += [_measure(time, values, np.asarray(components == k), stats[k, :4].tolist(), masks) for k in range(1, count)]
        now = np.concatenate([[-1], np.arange(first, len(pieces))]).astype(np.intp)[components]
        if before is not None:
            both = (now >= 0) & (before >= 0)
            links.append(np.unique(np.stack([now[both], before[both]], 1), axis=0))
        before = now
    if not pieces:
        return []
    ends = np.concatenate(links)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(pieces), len(pieces)))
    members: dict[int, list[_Piece]] = {}
    for number, piece in zip(connected_components(graph, directed=False)[1].tolist(), pieces, strict=True):
        members.setdefault(number, []).append(piece)
    return [(sum(p.mass for p in group) / max(total, 1e-12), _outlines_of(group)) for group in members.values()]


def _outlines_of(pieces: Sequence[_Piece]) -> list[Outline]:
    """Return one outline for each moment of a tube's pieces, which are in the order of time."""
    moments: dict[float, list[Outline]] = {}
    for piece in pieces:
        moments.setdefault(piece.outline.time, []).append(piece.outline)
    return [_union(outlines) for outlines in moments.values()]


def _union(outlines: list[Outline]) -> Outline:
    """Return the outline of several pieces of one moment, which belong to one tube through another moment."""
    if len(outlines) == 1:
        return outlines[0]
    boxes = [o.box for o in outlines]
    box = Box(min(b.y0 for b in boxes), min(b.x0 for b in boxes), max(b.y1 for b in boxes), max(b.x1 for b in boxes))
    if not outlines[0].runs:
        return Outline(outlines[0].time, box, ())
    flat = np.zeros(sum(outlines[0].runs), bool)
    for o in outlines:
        flat |= np.repeat(np.arange(len(o.runs)) % 2 == 1, o.runs)
    return Outline(outlines[0].time, box, _run_lengths(flat))


def _run_lengths(flat: Bools) -> tuple[int, ...]:
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.r_[0, edges, flat.size])
    return tuple((np.r_[0, runs] if flat.size and flat[0] else runs).tolist())
