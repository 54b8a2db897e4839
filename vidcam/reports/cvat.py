"""CVAT: the tubes of evidence as tracks of boxes, in the XML 1.1 that CVAT calls "CVAT for video"."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TextIO
from xml.sax.saxutils import escape, quoteattr

from vidcam.analysis import Analysis
from vidcam.io.files import atomic_write, check_output
from vidcam.io.json_text import to_utf8_text
from vidcam.reports.frame_numbers import BoxTrack, FrameNumbers, box_tracks, category
from vidcam.values import Box

__all__ = ["write_cvat"]

NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""The characters that XML 1.0 cannot hold."""


def write_cvat(analysis: Analysis, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a track for each tube, with a keyframe wherever its box changes.

    CVAT counts frames from 0, the first one of the file, and pixels as the file stores them. Raises OutputError if the file
    cannot be written.
    """
    check_output(path, overwrite=overwrite, source=analysis.source.path)
    numbers = FrameNumbers(analysis)
    tracks = box_tracks(analysis, numbers)
    size = analysis.source.height, analysis.source.width
    stored = size if numbers.stored is None else numbers.stored.size
    with atomic_write(path, overwrite=overwrite) as part, open(part, "w", encoding="utf-8") as file:
        xml = _Xml(file)
        xml.open("annotations")
        xml.leaf("version", "1.1")
        _write_meta(xml, analysis, tracks, numbers, stored)
        for number, track in enumerate(tracks):
            _write_track(xml, number, track, scale=(stored[0] / size[0], stored[1] / size[1]), count=numbers.total)
        xml.close("annotations")


class _Xml:
    """Writes elements as text, piece by piece."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        file.write('<?xml version="1.0" encoding="utf-8"?>\n')

    def open(self, name: str, /, **attributes: object) -> None:
        words = [name, *(f"{key}={quoteattr(_text(value))}" for key, value in attributes.items())]
        self._file.write(f"<{' '.join(words)}>")

    def close(self, name: str) -> None:
        self._file.write(f"</{name}>\n")

    def leaf(self, name: str, content: object, /, **attributes: object) -> None:
        self.open(name, **attributes)
        self._file.write(escape(_text(content)))
        self.close(name)


def _text(value: object) -> str:
    return NOT_XML.sub("\N{REPLACEMENT CHARACTER}", to_utf8_text(value))


def _write_meta(xml: _Xml, analysis: Analysis, tracks: list[BoxTrack], numbers: FrameNumbers, stored: tuple[int, int]) -> None:
    """Write what the task is; a task with the same labels takes the tracks."""
    xml.open("meta")
    xml.open("task")
    facts = {"name": Path(analysis.source.path).name, "size": numbers.total, "mode": "interpolation", "overlap": 0,
             "start_frame": 0, "stop_frame": max(numbers.total - 1, 0)}  # fmt: skip
    for name, value in facts.items():
        xml.leaf(name, value)
    xml.open("labels")
    for label in dict.fromkeys(category(track.tube) for track in tracks):
        xml.open("label")
        xml.leaf("name", label)
        xml.leaf("type", "rectangle")
        xml.open("attributes")
        xml.open("attribute")
        attribute = {"name": "share", "mutable": False, "input_type": "text", "default_value": "", "values": ""}
        for name, value in attribute.items():
            xml.leaf(name, value)
        for name in ("attribute", "attributes", "label"):
            xml.close(name)
    xml.close("labels")
    xml.open("original_size")
    xml.leaf("width", stored[1])
    xml.leaf("height", stored[0])
    for name in ("original_size", "task", "meta"):
        xml.close(name)


def _write_track(xml: _Xml, number: int, track: BoxTrack, *, scale: tuple[float, float], count: int) -> None:
    xml.open("track", id=number, label=category(track.tube), source="auto")
    share = f"{track.tube.share:.4f}"
    for frame, outline in zip(track.frames.tolist(), track.outlines, strict=True):
        _write_box(xml, frame, outline.box, scale, share, outside=False)
    if track.stop - 1 > track.frames[-1]:
        _write_box(xml, track.stop - 1, track.outlines[-1].box, scale, share, outside=False)
    if track.stop < count:  # where the track ends; without it CVAT shows the last box until the end of the video
        _write_box(xml, track.stop, track.outlines[-1].box, scale, share, outside=True)
    xml.close("track")


def _write_box(xml: _Xml, frame: int, box: Box, scale: tuple[float, float], share: str, *, outside: bool) -> None:
    xml.open(
        "box", frame=frame, outside=int(outside), occluded=0, keyframe=1,
        xtl=f"{box.x0 * scale[1]:.2f}", ytl=f"{box.y0 * scale[0]:.2f}",
        xbr=f"{box.x1 * scale[1]:.2f}", ybr=f"{box.y1 * scale[0]:.2f}", z_order=0,
    )  # fmt: skip
    xml.leaf("attribute", share, name="share")
    xml.close("box")
