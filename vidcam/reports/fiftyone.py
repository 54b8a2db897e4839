"""FiftyOne: segments as temporal detections, tubes as detections of frames, and small heatmaps, as an archive that it loads."""

from __future__ import annotations

import base64
import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from vidcam.analysis import Analysis, Answers
from vidcam.evidence.heat import render_heat
from vidcam.evidence.tubes import Outline, Tube, find_tubes
from vidcam.io.container import is_url
from vidcam.io.files import atomic_write, check_output
from vidcam.io.json_text import to_json_text, to_utf8_text
from vidcam.reports.frame_numbers import FrameNumbers, category, nearest_steps, tubes_at
from vidcam.reports.predictions import end_of, predicted_spans
from vidcam.reports.small_heat import shrink, small_size
from vidcam.values import Track, UInt8Array

__all__ = ["write_fiftyone"]

HEAT_PIXELS = 32
"""The longer side of a heatmap; FiftyOne stretches it over the picture."""

FRAMES = "frames/1.json"


def write_fiftyone(analysis: Analysis, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a zip that ``fiftyone.Dataset.from_archive`` loads with ``dataset_type=fiftyone.types.FiftyOneDataset``.

    It holds one sample: the video where it lies, the model's answer, ``segments`` and ``answers`` as temporal detections, and for
    each frame the ``evidence`` as detections and the ``heat`` of the label that the nearest clip favours. FiftyOne looks for all
    of it in a folder that is called like the zip. FiftyOne is not needed to write it. Raises OutputError if the file cannot be
    written.
    """
    check_output(path, overwrite=overwrite, source=analysis.source.path)
    numbers = FrameNumbers(analysis)
    folder = to_utf8_text(Path(path).stem)
    with atomic_write(path, overwrite=overwrite) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{folder}/metadata.json", to_json_text({"media_type": "video", "info": {"model": analysis.model.name}}))
        archive.writestr(f"{folder}/samples.json", to_json_text({"samples": [_sample(analysis, numbers)]}))
        with archive.open(f"{folder}/{FRAMES}", "w", force_zip64=True) as file:
            _write_frames(file, analysis, numbers)


def _sample(analysis: Analysis, numbers: FrameNumbers) -> dict[str, object]:
    (label, probability), *_ = analysis.top(1)
    segments = [_temporal(s.label, numbers.span(s.start_s, s.end_s), evidence_per_second=s.score) for s in analysis.segments]
    spans = predicted_spans(analysis.windows, end_s=end_of(analysis))
    answers = [_temporal(s.label, numbers.span(s.start, s.end), confidence=s.prob) for s in spans]
    name = analysis.source.path
    return {
        "filepath": name if is_url(name) else str(Path(name).resolve()),
        "tags": [],
        "metadata": None,
        "_media_type": "video",
        "prediction": {"_cls": "Classification", "tags": [], "label": label, "confidence": probability},
        "segments": {"_cls": "TemporalDetections", "detections": segments},
        "answers": {"_cls": "TemporalDetections", "detections": answers},
        "frames": FRAMES,
    }


def _temporal(label: str, span: tuple[int, int], **more: float) -> dict[str, object]:
    """Return frames ``[first, stop)``, counted from 0, as FiftyOne's support: from 1, with the last one."""
    return {"_cls": "TemporalDetection", "tags": [], "label": label, "support": [span[0] + 1, span[1]], **more}


def _write_frames(file: IO[bytes], analysis: Analysis, numbers: FrameNumbers) -> None:
    """Write the labels of all frames that have any, one by one."""
    file.write(b'{"frames": {')
    separator = b"\n"
    for number, labels in _frames(analysis, numbers):
        text = to_json_text({"frame_number": number, **labels}).replace("\n", " ").strip()
        file.write(separator + f'"{number}": {text}'.encode())
        separator = b",\n"
    file.write(b"\n}}\n")


def _frames(analysis: Analysis, numbers: FrameNumbers) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield the number of each frame, counted from 1, with its labels."""
    answers = Answers(analysis)
    source = analysis.source.height, analysis.source.width
    size = small_size(source, HEAT_PIXELS)
    small = {label: shrink(tracks, source, size) for label, tracks in analysis.drawn.items()}
    steps = nearest_steps(analysis)
    found = tubes_at(find_tubes(analysis, masks=False), steps)
    for number, (time, pairs) in enumerate(zip(analysis.frame_times_s.tolist(), found, strict=True), numbers.first + 1):
        labels: dict[str, object] = {}
        if pairs:
            detections = [_detection(analysis, tube, outline) for tube, outline in pairs]
            labels["evidence"] = {"_cls": "Detections", "detections": detections}
        label = answers.at(time)[1]
        heat = _heat(small[label], time, analysis.scale, size) if label in small else None
        if heat is not None:
            labels["heat"] = {"_cls": "Heatmap", "tags": [], "map": _packed(heat), "explained": label}
        if labels:
            yield number, labels


def _detection(analysis: Analysis, tube: Tube, outline: Outline) -> dict[str, object]:
    height, width, box = analysis.source.height, analysis.source.width, outline.box
    bounds = [box.x0 / width, box.y0 / height, (box.x1 - box.x0) / width, (box.y1 - box.y0) / height]
    return {
        "_cls": "Detection", "tags": [], "label": category(tube), "index": tube.id, "share": tube.share,
        "bounding_box": [round(value, 5) for value in bounds],
    }  # fmt: skip


def _heat(tracks: tuple[Track, ...], time: float, scale: float, size: tuple[int, int]) -> UInt8Array | None:
    """Return the heat over the picture in 0 to 255, None if there is none."""
    heat = render_heat(tracks, time=time, scale=scale, size=size)
    if heat is None:
        return None
    levels: UInt8Array = np.rint(255 * heat.values).astype(np.uint8)
    return levels if levels.any() else None


def _packed(levels: UInt8Array) -> str:
    """Return an array as FiftyOne stores it in JSON: NPY, compressed by zlib, in base64."""
    file = io.BytesIO()
    np.save(file, levels, allow_pickle=False)
    return base64.b64encode(zlib.compress(file.getvalue())).decode("ascii")
