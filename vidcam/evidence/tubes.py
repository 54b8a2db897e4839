"""Find where the evidence is, as objects: connected tubes in space and time, with a box and a mask for each moment.

This is weak localisation: the tubes come from the classifier's evidence alone, by a threshold. JSON, CSV and COCO-style video
annotations hold the same tubes (:mod:`vidcam.reports.coco`).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, overload

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.evidence.heat import render_heat
from vidcam.values import Box, FloatArray, Track

if TYPE_CHECKING:
    from vidcam.analysis import Analysis

__all__ = ["THRESHOLD", "Outline", "Outlines", "Tube", "find_tubes", "run_lengths"]

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


class Outlines(Sequence[Outline]):
    """Outlines in the order of time. They are held as arrays: without masks, a hundred thousand boxes take 2.4 MB.

    Args:
        times: The times ``(n,)`` in seconds.
        boxes: The boxes ``(n,4)``, in the order of :class:`~vidcam.values.Box`.
        runs: The mask of each, or nothing.
    """

    def __init__(self, times: FloatArray, boxes: FloatArray, runs: Sequence[tuple[int, ...]] = ()) -> None:
        self.times, self.boxes, self.runs = times, boxes, runs

    def __len__(self) -> int:
        return len(self.times)

    @overload
    def __getitem__(self, index: int) -> Outline: ...

    @overload
    def __getitem__(self, index: slice) -> Outlines: ...

    def __getitem__(self, index: int | slice) -> Outline | Outlines:
        if isinstance(index, slice):
            return Outlines(self.times[index], self.boxes[index], self.runs[index])
        return Outline(float(self.times[index]), Box(*self.boxes[index].tolist()), self.runs[index] if self.runs else ())

    def chosen(self, which: Bools | npt.NDArray[np.intp]) -> Outlines:
        """Return some of the boxes, without masks."""
        return Outlines(self.times[which], self.boxes[which])


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
    outlines: Outlines


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
    frames = analysis.frame_times_s
    end = float(frames[0]) + analysis.duration_s if len(frames) else math.inf  # the last step may stand for more than is left

    def heats() -> Iterator[tuple[float, FloatArray | None]]:
        for time in times.tolist():
            heat = render_heat(tracks, time=time, scale=analysis.scale, size=size, against=sign < 0)
            yield time, None if heat is None else heat.values if sign > 0 else heat.against

    tubes = [
        Tube(0, label, sign, outlines[0].time, max(outlines[-1].time, min(outlines[-1].time + step, end)), share, outlines)
        for share, outlines in _connect(heats(), threshold, masks=masks, least=MIN_SHARE)
    ]
    return sorted(tubes, key=lambda t: -t.share)


def _connect(
    heats: Iterable[tuple[float, FloatArray | None]], threshold: float, *, masks: bool = True, least: float = 0.0
) -> list[tuple[float, Outlines]]:
    """Connect the heats ``(H,W)`` of successive moments, None where nothing was seen.

    Returns for each tube of at least the share ``least`` its share of all the heat, and its outlines: one for each moment, of all
    its pieces then.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # A piece is a connected component of one moment. Plain numbers, because a long video has a hundred thousand of them.
    numbers = array("d")  # for each piece its time, y0, x0, y1, x1, and the sum of its heat
    runs: list[tuple[int, ...]] = []
    links = array("q")  # pairs of pieces that overlap in neighbouring moments
    total, count = 0.0, 0
    before: npt.NDArray[np.intp] | None = None  # for each pixel the index of its piece in the moment before, or -1
    for time, values in heats:
        if values is None:
            before = None
            continue
        total += float(values.sum(dtype=np.float64))
        here, components, stats, _ = cv2.connectedComponentsWithStats((values >= threshold).astype(np.uint8), connectivity=8)
        for k in range(1, here):
            inside = np.asarray(components == k)
            x, y, w, h = stats[k, :4].tolist()
            numbers.extend((time, y, x, y + h, x + w, float(values[inside].sum(dtype=np.float64))))
            if masks:
                runs.append(run_lengths(inside))
        now = np.concatenate([[-1], np.arange(count, count + here - 1)]).astype(np.intp)[components]
        count += here - 1
        if before is not None:
            both = (now >= 0) & (before >= 0)
            links.extend(np.unique(np.stack([now[both], before[both]], 1), axis=0).ravel().tolist())
        before = now
    if not count:
        return []
    pieces, ends = np.array(numbers).reshape(-1, 6), np.array(links, np.intp).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    tube_of = connected_components(graph, directed=False)[1]
    order = np.argsort(tube_of, kind="stable")  # each tube's pieces stay in the order of time
    groups = np.split(order, np.flatnonzero(np.diff(tube_of[order])) + 1)
    shares = [float(pieces[group, 5].sum()) / max(total, 1e-12) for group in groups]
    return [
        (share, _outlines_of(pieces[group], [runs[i] for i in group] if masks else []))
        for share, group in zip(shares, groups, strict=True)
        if share >= least
    ]


def _outlines_of(pieces: FloatArray, runs: Sequence[tuple[int, ...]]) -> Outlines:
    """Return one outline for each moment of a tube's ``pieces (n,6)``, which are in the order of time."""
    times, first = np.unique(pieces[:, 0], return_index=True)
    low, high = np.minimum.reduceat(pieces[:, 1:3], first), np.maximum.reduceat(pieces[:, 3:5], first)
    stop = [*first[1:], len(pieces)]
    masks = [_union(runs[i:j]) for i, j in zip(first, stop, strict=True)] if runs else []
    return Outlines(times, np.hstack([low, high]).astype(np.float32), masks)


def _union(masks: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Return the mask of several pieces of one moment, which belong to one tube through another moment."""
    if len(masks) == 1:
        return masks[0]
    flat = np.zeros(sum(masks[0]), bool)
    for runs in masks:
        flat |= np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return _run_lengths(flat)


def _run_lengths(flat: Bools) -> tuple[int, ...]:
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.r_[0, edges, flat.size])
    return tuple((np.r_[0, runs] if flat.size and flat[0] else runs).tolist())
