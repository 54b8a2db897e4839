"""Tubes of evidence as files: JSON, CSV, and COCO as pycocotools reads it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidcam.analysis import Analysis
from vidcam.errors import UsageError
from vidcam.evidence.tubes import THRESHOLD, Outline, Tube, find_tubes
from vidcam.io.files import save
from vidcam.io.json_text import to_json_text
from vidcam.reports.csv_report import escape_formula
from vidcam.values import Box

__all__ = ["to_coco", "to_csv", "to_json", "write_tubes"]


def to_json(analysis: Analysis, tubes: Sequence[Tube]) -> dict[str, object]:
    """Return the tubes in JSON's own types; boxes are ``[x, y, width, height]`` in source pixels."""
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
    """Return a CSV table with a row for each tube and time."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["id", "label", "sign", "share", "time_s", "x", "y", "width", "height"])
    for t in tubes:
        for o in t.outlines:
            rows.writerow(
                [t.id, escape_formula(t.label), t.sign, f"{t.share:.6f}", f"{o.time:.6f}", *(f"{v:g}" for v in _xywh(o.box))]
            )
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
    """Return for each frame of the source the time of the nearest step of the timeline."""
    steps = np.unique(np.concatenate([t.times for tracks in analysis.drawn.values() for t in tracks]))
    after = np.searchsorted(steps, analysis.frame_times_s).clip(0, len(steps) - 1)
    before = (after - 1).clip(0)
    closer = analysis.frame_times_s - steps[before] <= steps[after] - analysis.frame_times_s
    nearest: list[float] = np.where(closer, steps[before], steps[after]).tolist()
    return nearest


def _category(t: Tube) -> str:
    return t.label if t.sign > 0 else f"against {t.label}"


def _xywh(box: Box) -> list[float]:
    return [box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0]


def write_tubes(
    analysis: Analysis, path: str | os.PathLike[str], *, threshold: float = THRESHOLD, overwrite: bool = False
) -> None:
    """Write the tubes in the form of the file's suffix: ``.csv``, ``.coco.json`` or another ``.json``.

    ``threshold`` is the share of the scale above which evidence belongs to a tube. Raises UsageError for another suffix, and
    OutputError if the file cannot be written.
    """
    path = Path(path)
    name = path.name.lower()
    if not name.endswith((".json", ".csv")):
        raise UsageError(f"tubes are written as .csv, .json or .coco.json, got {path.name}")
    tubes = find_tubes(analysis, threshold=threshold)
    if name.endswith(".csv"):
        text = to_csv(tubes)
    else:
        text = to_json_text(to_coco(analysis, tubes) if name.endswith(".coco.json") else to_json(analysis, tubes))
    save(path, text, overwrite=overwrite, source=analysis.source.path)
