"""Where the evidence is, as objects: connected tubes in space and time, with a box and a mask for each moment.

What comes out is weak localisation: found from the classifier's evidence alone, by a threshold. JSON, CSV and COCO-style video
annotations hold the same tubes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.analysis import Analysis
from vidcam.errors import UsageError
from vidcam.evidence.heat import render_heat
from vidcam.values import Box, FloatArray

__all__ = ["THRESHOLD", "Outline", "Tube", "find", "run_lengths"]

Bools = npt.NDArray[np.bool_]

THRESHOLD = 0.3
"""The share of the video's scale above which evidence belongs to a tube."""

CRUMB = 0.005
"""A tube with a smaller share of the label's evidence is left out."""


@dataclass(frozen=True)
class Outline:
    """A tube at one moment: its ``box`` in source pixels, and its mask as run lengths (:func:`run_lengths`)."""

    time: float
    box: Box
    runs: tuple[int, ...]


@dataclass(frozen=True)
class Tube:
    """One connected piece of evidence: ``sign`` +1 for the label, -1 against it; it is there in ``[start_s, end_s)``.

    ``share`` is its part of all evidence of that sign and label in the video, 0 to 1; ``outlines`` are in the order of time, one
    for each step of the timeline.
    """

    id: int
    label: str
    sign: Literal[1, -1]
    start_s: float
    end_s: float
    share: float
    outlines: tuple[Outline, ...]


def find(analysis: Analysis, *, threshold: float = THRESHOLD) -> tuple[Tube, ...]:
    """The tubes of every explained label, those of one label and sign by falling share.

    Two pixels belong together where they touch (also at a corner), or where they are the same pixel in two neighbouring steps of
    the timeline. Evidence counts from ``threshold`` times the video's scale on. Raises UsageError for a threshold outside (0, 1).
    """
    if not 0 < threshold < 1:
        raise UsageError(f"a tube's threshold is a share of the scale between 0 and 1, got {threshold}")
    found: list[Tube] = []
    for label, tracks in analysis.drawn.items():
        times = np.unique(np.concatenate([t.times for t in tracks]))
        step = float(np.median(np.diff(times))) if len(times) > 1 else tracks[0].cell_s
        signs: tuple[Literal[1, -1], ...] = (1, -1) if any(np.nanmin(t.maps) < 0 for t in tracks) else (1,)
        for sign in signs:
            pieces = _Pieces()
            for time in times:
                drawn = render_heat(
                    tracks, time=float(time), scale=analysis.scale, size=(analysis.source.height, analysis.source.width),
                    against=sign < 0,
                )  # fmt: skip
                values = None if drawn is None else drawn.values if sign > 0 else drawn.against
                pieces.push(float(time), values, threshold)
            tubes = [
                Tube(0, label, sign, outlines[0].time, outlines[-1].time + step, share, tuple(outlines))
                for share, outlines in pieces.joined()
                if share >= CRUMB
            ]
            found += sorted(tubes, key=lambda t: -t.share)
    return tuple(Tube(i, *_fields(t)) for i, t in enumerate(found, 1))


class _Pieces:
    """Components of one step after the other, joined where they overlap with those of the step before (union-find)."""

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._mass: list[float] = []
        self._outlines: list[Outline] = []
        self._before: npt.NDArray[np.int32] | None = (
            None  # the numbers of the pieces that the last step's pixels belong to, from 1
        )
        self._total = 0.0

    def push(self, time: float, values: FloatArray | None, threshold: float) -> None:
        """Take the step at ``time`` with the heat ``(H,W)``; None where nothing was seen."""
        if values is None:
            self._before = None
            return
        self._total += float(values.sum(dtype=np.float64))
        count, labels, stats, _ = cv2.connectedComponentsWithStats((values >= threshold).astype(np.uint8), connectivity=8)
        numbers = np.zeros(count, np.int32)
        for k in range(1, count):
            x, y, w, h = (int(v) for v in stats[k, :4])
            inside: Bools = np.asarray(labels == k)
            self._outlines.append(Outline(time, Box(float(y), float(x), float(y + h), float(x + w)), run_lengths(inside)))
            self._mass.append(float(values[inside].sum(dtype=np.float64)))
            self._parents.append(len(self._parents))
            numbers[k] = len(self._parents)
        now = numbers[labels]
        if self._before is not None:
            both = (now > 0) & (self._before > 0)
            for a, b in np.unique(np.stack([now[both], self._before[both]], 1), axis=0).tolist():
                self._parents[self._root(a - 1)] = self._root(b - 1)
        self._before = now

    def _root(self, i: int) -> int:
        while self._parents[i] != i:
            self._parents[i] = self._parents[self._parents[i]]
            i = self._parents[i]
        return i

    def joined(self) -> list[tuple[float, list[Outline]]]:
        """For each tube its share of all the heat, and its outlines: one for each time, of all its pieces then."""
        groups: dict[int, list[int]] = {}
        for i in range(len(self._parents)):
            groups.setdefault(self._root(i), []).append(i)
        out = []
        for members in groups.values():
            at: dict[float, list[Outline]] = {}
            for i in members:
                at.setdefault(self._outlines[i].time, []).append(self._outlines[i])
            share = sum(self._mass[i] for i in members) / max(self._total, 1e-12)
            out.append((share, [_together(pieces) for pieces in at.values()]))
        return out


def _together(pieces: list[Outline]) -> Outline:
    """Pieces of one moment that are one tube through another moment."""
    if len(pieces) == 1:
        return pieces[0]
    boxes = [p.box for p in pieces]
    box = Box(min(b.y0 for b in boxes), min(b.x0 for b in boxes), max(b.y1 for b in boxes), max(b.x1 for b in boxes))
    total = sum(pieces[0].runs)
    flat = np.zeros(total, bool)
    for p in pieces:
        flat |= np.repeat(np.arange(len(p.runs)) % 2 == 1, p.runs)
    return Outline(pieces[0].time, box, _lengths(flat))


def run_lengths(mask: Bools) -> tuple[int, ...]:
    """A mask ``(H,W)`` as COCO's uncompressed run lengths: down the columns, how many are outside, then inside, and so on."""
    return _lengths(mask.ravel(order="F"))


def _lengths(flat: Bools) -> tuple[int, ...]:
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.r_[0, edges, flat.size])
    return tuple((np.r_[0, runs] if flat.size and flat[0] else runs).tolist())


# Files -------------------------------------------------------------------------------------------------------------------------


def _fields(t: Tube) -> tuple[str, Literal[1, -1], float, float, float, tuple[Outline, ...]]:
    return t.label, t.sign, t.start_s, t.end_s, t.share, t.outlines
