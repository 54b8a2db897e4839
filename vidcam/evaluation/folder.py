"""A labelled folder of videos, looked through for what a model gets wrong and for wrong reasons: worst mistakes first."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vidcam.analysis import Analysis, RunInfo, index_of
from vidcam.annotation import explain
from vidcam.errors import InputError, UsageError, VidcamError
from vidcam.evidence.heat import render_heat
from vidcam.io.files import save
from vidcam.io.json_text import document, plain
from vidcam.io.source import find_videos, open_source
from vidcam.methods import core
from vidcam.metrics import spurious
from vidcam.pipeline import Progress, Settings
from vidcam.render import thumb
from vidcam.reports import formats, html
from vidcam.reports.formats import model_json, run_json
from vidcam.values import FloatArray, UInt8Array

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["Case", "Inspection", "classes_in", "in_words", "inspect", "write_csv", "write_html", "write_json"]

MOMENTS = 8
"""Frames of each video, evenly spread, on which places are judged."""

SIDE = 112
"""Height and width of the pictures on which places are judged."""

MISTAKES, GALLERY, WIDTH = 40, 8, 260
"""How many mistakes a page shows, how many videos of each class, and how wide (pixels)."""


@dataclass(frozen=True)
class Case:
    """One video: its name in the folder, what it should be, what the model said and how probable both are; how much of the
    evidence for the answer lies where it should not; and pictures at its peak, for the answer and, where that differs, for the
    right label."""

    name: str
    wanted: str
    found: str
    prob_wanted: float
    prob_found: float
    suspicions: tuple[spurious.Suspicion, ...]
    pictures: Mapping[str, UInt8Array]
    error: str | None = None

    @property
    def right(self) -> bool:
        return self.wanted == self.found


@dataclass(frozen=True)
class Inspection:
    """All cases, mistakes first and among them the surest first; ``suspicions`` for each class (and place) over its videos;
    ``run`` says what computed it."""

    folder: str
    method: str
    cases: tuple[Case, ...]
    suspicions: Mapping[str, tuple[spurious.Suspicion, ...]]
    run: RunInfo

    @property
    def known(self) -> tuple[Case, ...]:
        """The cases whose video could be read."""
        return tuple(c for c in self.cases if c.error is None)

    @property
    def accuracy(self) -> float:
        """The share of the known cases that are right; NaN where there are none."""
        return sum(c.right for c in self.known) / len(self.known) if self.known else math.nan

    @property
    def raised(self) -> list[tuple[str, spurious.Suspicion]]:
        """The (class, suspicion) that were raised."""
        return [(label, s) for label, found in self.suspicions.items() for s in found if s.raised]


def classes_in(folder: str | os.PathLike[str]) -> dict[str, list[Path]]:
    """The videos of each class folder; empty where ``folder`` is not a folder of class folders."""
    path = Path(folder)
    if not path.is_dir():
        return {}
    found = {}
    for sub in sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")):
        try:
            found[sub.name] = find_videos(sub)
        except InputError:
            continue
    return found


@dataclass
class _Seen:
    """What places are judged from: the evidence (N,h,w) and the frames (N,h,w,3) of what the model saw, at the same moments, and
    half a cell in pixels."""

    case: Case
    heat: FloatArray
    frames: UInt8Array
    reach: int


def inspect(
    folder: str | os.PathLike[str], *, engine: Engine, settings: Settings | None = None, progress: Progress | None = None
) -> Inspection:
    """Run the model on every video of the class folders and explain its answers.

    A folder's name must be one of the model's labels. A video that cannot be read is a case with an ``error``. Raises InputError
    where there are no class folders, UnknownNameError for a folder that is no label, UsageError for settings that name classes,
    IncompatibleError for a method that the model cannot bear.
    """
    settings = replace(settings or Settings(), cover=False)
    if settings.classes or settings.versus is not None:
        raise UsageError("in a folder each video is explained for its answer and its own class: name no classes")
    method = core.choose(settings.method, engine.spec).name
    found = classes_in(folder)
    if not found:
        raise InputError(f"{folder} has no class folders with videos: make one folder of videos for each class")
    wanted = {name: engine.labels[index_of(engine.labels, name)] for name in found}
    seen: list[_Seen] = []
    broken: list[Case] = []
    total = sum(len(videos) for videos in found.values())
    for name, videos in found.items():
        for video in videos:
            try:
                seen.append(_look(video, f"{name}/{video.name}", wanted[name], engine, settings))
            except VidcamError as error:
                broken.append(Case(f"{name}/{video.name}", wanted[name], "", 0.0, 0.0, (), {}, str(error)))
            if progress:
                progress("inspect", len(seen) + len(broken), total)
    overlays = {
        label: spurious.overlay([s.frames.mean(0).astype(np.uint8) for s in seen if s.case.wanted == label], reach=seen[0].reach)
        for label in wanted.values()
        if any(s.case.wanted == label for s in seen)
    }
    cases = [replace(s.case, suspicions=_suspicions(s, overlays[s.case.wanted])) for s in seen]
    cases.sort(key=lambda c: (c.right, -c.prob_found if not c.right else c.prob_found))
    by_class = {label: _over([c for c in cases if c.wanted == label and c.right]) for label in overlays}
    return Inspection(str(folder), method, (*broken, *cases), by_class, RunInfo.of(engine, seed=settings.seed))


def _look(video: Path, name: str, wanted: str, engine: Engine, settings: Settings) -> _Seen:
    analysis = explain(video, engine=engine, settings=replace(settings, classes=(wanted,)))
    found = analysis.top(1)[0][0]
    if found != wanted:
        analysis = explain(video, engine=engine, settings=replace(settings, classes=(found, wanted)))
    labels = (found, wanted) if found != wanted else (found,)
    track = analysis.drawn[found][0]
    times = analysis.times_s[np.linspace(0, len(analysis.times_s) - 1, MOMENTS).round().astype(int)]
    peaks = {label: float(analysis.times_s[int(np.nanargmax(analysis.curves[label]))]) for label in labels}
    frames = _frames(video, [*times.tolist(), *peaks.values()])
    box = track.seen
    rows, columns = slice(round(box.y0), round(box.y1)), slice(round(box.x0), round(box.x1))
    size = SIDE, SIDE  # of all videos, whatever their shape: places of a class are compared, and the network saw them alike too
    shrunk = [cv2.resize(frames[t][rows, columns], size, interpolation=cv2.INTER_AREA) for t in times.tolist()]
    maps = [np.maximum(0 if m is None else m, 0) for m in (track.at(float(t)) for t in times)]
    heat = [cv2.resize(np.asarray(m, np.float32), size, interpolation=cv2.INTER_LINEAR) for m in maps if np.ndim(m) == 2]
    probs = dict(analysis.top(len(engine.labels)))
    pictures = {label: _picture(analysis, label, peaks[label], frames[peaks[label]]) for label in labels}
    case = Case(name, wanted, found, probs[wanted], probs[found], (), pictures)
    reach = round(SIDE / len(track.ys) / 2)
    values: FloatArray = np.asarray(np.stack(heat) if heat else np.zeros((1, *size[::-1])), np.float64)
    return _Seen(case, values, np.stack(shrunk).astype(np.uint8), reach)


def _frames(video: Path, times: Sequence[float]) -> dict[float, UInt8Array]:
    """The frame that is shown at each of these seconds of the stream's clock."""
    out: dict[float, UInt8Array] = {}
    wanted = sorted(set(times))
    with open_source(video) as source:
        last = None
        for frame in source.frames():
            while wanted and last is not None and frame.time > wanted[0]:
                out[wanted.pop(0)] = last
            last = frame.image
            if not wanted:
                break
        for time in wanted:
            assert last is not None
            out[time] = last
    return out


def _picture(analysis: Analysis, label: str, time: float, frame: UInt8Array) -> UInt8Array:
    heat = render_heat(analysis.drawn[label], time=time, scale=analysis.scale, size=(frame.shape[0], frame.shape[1]))
    return thumb(frame, heat, width=min(WIDTH, frame.shape[1]))


def _suspicions(s: _Seen, overlay: np.ndarray) -> tuple[spurious.Suspicion, ...]:
    size = s.frames.shape[1], s.frames.shape[2]
    return (
        spurious.suspicion("the border of the picture", s.heat, spurious.border(size)),
        spurious.suspicion("what never moves", s.heat, spurious.static(s.frames)),
        spurious.suspicion("what is the same in every video of the class", s.heat, overlay),
    )


def _over(cases: Sequence[Case]) -> tuple[spurious.Suspicion, ...]:
    """The suspicions of a class: means over its videos, raised where at least half of them are."""
    if not cases:
        return ()
    out = []
    for same in zip(*(c.suspicions for c in cases), strict=True):
        out.append(
            spurious.Suspicion(
                same[0].place, float(np.mean([s.share for s in same])), float(np.mean([s.area for s in same])),
                bool(np.mean([s.raised for s in same]) >= 0.5),
            )
        )  # fmt: skip
    return tuple(out)


def in_words(found: Inspection) -> str:
    """A few lines for people."""
    mistakes = [c for c in found.known if not c.right]
    lines = [f"{found.accuracy:.1%} of {len(found.known)} videos right" if found.known else "no video could be read"]
    lines += [
        f"suspicious: {label}: {s.share:.0%} of the evidence lies in {s.place} ({s.area:.1%} of the view)"
        for label, s in found.raised
    ]
    lines += [f"{c.name}: {c.found} {c.prob_found:.2f} instead of {c.wanted} {c.prob_wanted:.2f}" for c in mistakes[:10]]
    lines += [f"{c.name}: {c.error}" for c in found.cases if c.error is not None]
    return "\n".join(lines)


# Files -------------------------------------------------------------------------------------------------------------------------


def to_json(found: Inspection) -> dict[str, object]:
    """The inspection as plain JSON values, without the pictures: the keys of docs/json.md."""
    cases = [
        {
            "name": c.name, "wanted": c.wanted, "found": c.found or None, "right": c.right,
            "prob_wanted": None if c.error else c.prob_wanted, "prob_found": None if c.error else c.prob_found,
            "suspicions": [asdict(s) for s in c.suspicions], "error": c.error,
        }
        for c in found.cases
    ]  # fmt: skip
    values = {
        "schema_version": 1,
        "folder": found.folder,
        "model": model_json(found.run.model),
        **run_json(found.run),
        "method": found.method,
        "accuracy": found.accuracy,
        "classes": {label: [asdict(s) for s in suspicions] for label, suspicions in found.suspicions.items()},
        "cases": cases,
    }
    return {key: plain(value) for key, value in values.items()}


def write_json(found: Inspection, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write :func:`to_json`."""
    save(path, document(to_json(found)), overwrite=overwrite)


def write_csv(found: Inspection, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a line for each video."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["name", "wanted", "found", "prob_wanted", "prob_found", "suspicious"])
    for c in found.cases:
        raised = "; ".join(s.place for s in c.suspicions if s.raised)
        words = [formats.cell(w) for w in (c.name, c.wanted, c.found)]
        rows.writerow([*words, f"{c.prob_wanted:.6f}", f"{c.prob_found:.6f}", raised])
    save(path, out.getvalue(), overwrite=overwrite)


def write_html(found: Inspection, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write one page: what is suspicious, the worst mistakes with both evidences side by side, and a gallery of each class."""
    mistakes = [c for c in found.known if not c.right]
    text = html.fill(
        "dataset.html.j2",
        found=found,
        model=Path(found.run.model.name).name,
        name=Path(found.folder).name or found.folder,
        mistakes=mistakes[:MISTAKES],
        more=max(0, len(mistakes) - MISTAKES),
        broken=[c for c in found.cases if c.error is not None],
        galleries={label: [c for c in found.known if c.wanted == label][:GALLERY] for label in found.suspicions},
    )
    save(path, text, overwrite=overwrite)
