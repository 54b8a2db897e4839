"""Tubes of evidence as files: JSON, CSV, and COCO as pycocotools reads it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from vidcam.analysis import Analysis
from vidcam.errors import UsageError
from vidcam.evidence.tubes import THRESHOLD, Tube, find_tubes
from vidcam.io.files import atomic_write, check_output, save
from vidcam.io.json_text import to_json_text
from vidcam.reports.csv_report import escape_formula
from vidcam.reports.frame_numbers import category, nearest_steps, tubes_at
from vidcam.values import Box

__all__ = ["to_coco", "to_csv", "to_json", "write_coco", "write_tubes"]


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
    return {**_coco_head(analysis, tubes), "images": [*_images(analysis)], "annotations": [*_annotations(analysis, tubes)]}


def write_coco(analysis: Analysis, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write the same tubes as :func:`to_coco`, one image or annotation a line, of which only one is in memory at a time.

    Raises OutputError if the file cannot be written.
    """
    _save_coco(analysis, find_tubes(analysis), Path(path), overwrite=overwrite)


def _save_coco(analysis: Analysis, tubes: Sequence[Tube], path: Path, *, overwrite: bool) -> None:
    check_output(path, overwrite=overwrite, source=analysis.source.path)
    with atomic_write(path, overwrite=overwrite) as part, open(part, "w", encoding="utf-8") as file:
        file.write(to_json_text(_coco_head(analysis, tubes)).removesuffix("\n}\n"))
        for key, rows in (("images", _images(analysis)), ("annotations", _annotations(analysis, tubes))):
            file.write(f',\n"{key}": [')
            for number, row in enumerate(rows):
                file.write((",\n" if number else "\n") + to_json_text(row).replace("\n", " ").strip())
            file.write("\n]")
        file.write("\n}\n")


def _coco_head(analysis: Analysis, tubes: Sequence[Tube]) -> dict[str, object]:
    """Return all but the images and the annotations."""
    name = Path(analysis.source.path).name
    size = {"height": analysis.source.height, "width": analysis.source.width}
    return {
        "info": {"description": f"Evidence found by vidcam in {name} ({analysis.method})"},
        "licenses": [],
        "videos": [{"id": 1, "file_name": name, **size, "length": len(analysis.frame_times_s)}],
        "categories": [{"id": i, "name": name} for i, name in enumerate(_categories(tubes), 1)],
    }


def _categories(tubes: Sequence[Tube]) -> list[str]:
    return list(dict.fromkeys(map(category, tubes)))


def _images(analysis: Analysis) -> Iterator[dict[str, object]]:
    name = Path(analysis.source.path).name
    size = {"height": analysis.source.height, "width": analysis.source.width}
    for n, time in enumerate(analysis.frame_times_s.tolist()):
        yield {"id": n + 1, "video_id": 1, "frame_id": n, "time_s": time, "file_name": f"{name}#{n}", **size}


def _annotations(analysis: Analysis, tubes: Sequence[Tube]) -> Iterator[dict[str, object]]:
    size = [analysis.source.height, analysis.source.width]
    ids = {name: i for i, name in enumerate(_categories(tubes), 1)}
    number = 0
    for n, pairs in enumerate(tubes_at(tubes, nearest_steps(analysis))):
        for t, o in pairs:
            number += 1
            yield {
                "id": number, "image_id": n + 1, "video_id": 1, "track_id": t.id, "category_id": ids[category(t)],
                "iscrowd": 0, "score": t.share, "bbox": _xywh(o.box), "area": sum(o.runs[1::2]),
                "segmentation": {"size": size, "counts": list(o.runs)},
            }  # fmt: skip


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
    if name.endswith(".coco.json"):
        _save_coco(analysis, tubes, path, overwrite=overwrite)
        return
    text = to_csv(tubes) if name.endswith(".csv") else to_json_text(to_json(analysis, tubes))
    save(path, text, overwrite=overwrite, source=analysis.source.path)
