"""Where the evidence is, as objects: connected tubes in space and time, with a box and a mask for each moment.

What comes out is weak localisation: found from the classifier's evidence alone, by a threshold. JSON, CSV and COCO-style video
annotations hold the same tubes.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.files import save
from vidcam.placement import heat
from vidcam.plain import document
from vidcam.report import cell
from vidcam.types import Analysis, Box, FloatArray

__all__ = ["THRESHOLD", "Outline", "Tube", "find", "run_lengths", "to_coco", "to_csv", "to_json", "write"]

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
                drawn = heat(
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


def _fields(t: Tube) -> tuple[str, Literal[1, -1], float, float, float, tuple[Outline, ...]]:
    return t.label, t.sign, t.start_s, t.end_s, t.share, t.outlines


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


def to_json(analysis: Analysis, tubes: Sequence[Tube]) -> dict[str, object]:
    """The tubes as plain JSON values; boxes are ``[x, y, width, height]`` in source pixels, seconds as in the other reports."""
    return {
        "schema_version": 1,
        "input": analysis.source.path,
        "width": analysis.source.width,
        "height": analysis.source.height,
        "method": analysis.method,
        "tubes": [
            {
                "id": t.id, "label": t.label, "sign": t.sign, "start_s": t.start_s, "end_s": t.end_s, "share": t.share,
                "boxes": [{"time_s": o.time, "box": _xywh(o.box)} for o in t.outlines],
            }
            for t in tubes
        ],
    }  # fmt: skip


def to_csv(tubes: Sequence[Tube]) -> str:
    """One line for each tube and moment."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["id", "label", "sign", "share", "time_s", "x", "y", "width", "height"])
    for t in tubes:
        for o in t.outlines:
            rows.writerow([t.id, cell(t.label), t.sign, f"{t.share:.6f}", f"{o.time:.6f}", *(f"{v:g}" for v in _xywh(o.box))])
    return out.getvalue()


def to_coco(analysis: Analysis, tubes: Sequence[Tube]) -> dict[str, object]:
    """Return the tubes in COCO's format, as ``pycocotools.coco.COCO`` reads it.

    There is an image for each frame of the source (``frame_id`` counts them from the first one that was analysed, ``time_s`` is
    its second), a category for each label (evidence against a label has one of its own), and an annotation for each tube and
    frame, with the ``track_id`` of its tube. A frame has the outlines of the step of the timeline that is nearest to it.
    """
    name = Path(analysis.source.path).name
    size = [analysis.source.height, analysis.source.width]
    names = list(dict.fromkeys(_category(t) for t in tubes))
    at: dict[float, list[tuple[Tube, Outline]]] = {}
    for t in tubes:
        for o in t.outlines:
            at.setdefault(o.time, []).append((t, o))
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for n, (time, step) in enumerate(zip(analysis.frame_times_s.tolist(), _nearest_steps(analysis), strict=True)):
        images.append(
            {
                "id": n + 1, "video_id": 1, "frame_id": n, "time_s": time, "file_name": f"{name}#{n}",
                "height": size[0], "width": size[1],
            }
        )  # fmt: skip
        for t, o in at.get(step, []):
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": n + 1, "video_id": 1, "track_id": t.id,
                    "category_id": names.index(_category(t)) + 1, "iscrowd": 0, "score": t.share,
                    "bbox": _xywh(o.box), "area": sum(o.runs[1::2]), "segmentation": {"size": size, "counts": list(o.runs)},
                }
            )  # fmt: skip
    return {
        "info": {"description": f"Evidence found by vidcam in {name} ({analysis.method})"},
        "licenses": [],
        "videos": [{"id": 1, "file_name": name, "height": size[0], "width": size[1], "length": len(images)}],
        "images": images,
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, 1)],
        "annotations": annotations,
    }


def _nearest_steps(analysis: Analysis) -> list[float]:
    """For each frame of the source, the time of the nearest step of the timeline."""
    steps = np.unique(np.concatenate([t.times for tracks in analysis.drawn.values() for t in tracks]))
    after = np.searchsorted(steps, analysis.frame_times_s).clip(0, len(steps) - 1)
    before = (after - 1).clip(0)
    closer = analysis.frame_times_s - steps[before] <= steps[after] - analysis.frame_times_s
    found: list[float] = np.where(closer, steps[before], steps[after]).tolist()
    return found


def _category(t: Tube) -> str:
    return t.label if t.sign > 0 else f"against {t.label}"


def _xywh(box: Box) -> list[float]:
    return [box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0]


def write(analysis: Analysis, path: str | os.PathLike[str], *, threshold: float = THRESHOLD, overwrite: bool = False) -> None:
    """The tubes in the form that the name asks for: ``.csv``, ``.coco.json`` or another ``.json``. UsageError for other names."""
    path = Path(path)
    name = path.name.lower()
    if not name.endswith((".json", ".csv")):
        raise UsageError(f"tubes are written as .csv, .json or .coco.json, got {path.name}")
    tubes = find(analysis, threshold=threshold)
    if name.endswith(".csv"):
        text = to_csv(tubes)
    else:
        text = document(to_coco(analysis, tubes) if name.endswith(".coco.json") else to_json(analysis, tubes))
    save(path, text, overwrite=overwrite, source=analysis.source.path)
