"""The heavy work itself, as functions of a job: explain, draw again, compare, fetch weights."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import vidcam
from vidcam import Analysis, Look, Outputs, Settings
from vidcam.errors import UsageError
from vidcam.evaluation.compare import compare as vidcam_compare
from vidcam.models import loading, registry
from vidcam.reports import comparison, formats
from vidcam.reports.comparison import Comparison

from .sessions import Job, Session
from .uploads import Video

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["Compared", "Engines", "Result", "compare", "explain", "install", "redraw"]

KEPT = 2  # engines in memory
PROGRESS_S = 0.1


class Engines:
    """Loaded models, the last few of them; used by the desk's one thread only."""

    def __init__(self, device: str = "auto") -> None:
        self._device = device
        self._kept: OrderedDict[str, Engine] = OrderedDict()

    def get(self, model: str, job: Job) -> Engine:
        if model not in self._kept:
            fetched = registry.get(model).weights is not None and not loading.available(registry.get(model))
            job.progress("weights" if fetched else "load", 0, None)
            self._kept[model] = vidcam.open_engine(model, device=self._device, progress=_bytes(job) if fetched else None)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(model)
        return self._kept[model]

    def stages(self, model: str) -> dict[str, float]:
        """The stages of opening the model."""
        if model in self._kept:
            return {}
        return {"load": 5.0} if loading.available(registry.get(model)) else {"weights": 40.0}


# The stages of a job, each with the part of the time that it usually takes.
EXPLAINING = {"explain": 50.0}
JUDGING = {"judge": 25.0}
DRAWING = {"draw": 20.0, "write": 2.0}


@dataclass(frozen=True)
class Result:
    """An explained video: the analysis (of the ``number`` by which the page knows it), the look it was drawn in, its files."""

    number: str
    video: Video
    analysis: Analysis
    look: Look
    folder: Path
    outputs: dict[str, Path]


@dataclass(frozen=True)
class Compared:
    """A comparison and its files."""

    found: Comparison
    folder: Path
    outputs: dict[str, Path]


class _Stale(Exception):
    """The look was changed while the picture was drawn."""


def explain(session: Session, engines: Engines, model: str, settings: Settings) -> Callable[[Job], Result]:
    """Work that explains the session's video and draws it in the look that is chosen by then."""
    video = _video(session)

    def work(job: Job) -> Result:
        job.plan(engines.stages(model) | EXPLAINING | (JUDGING if settings.verdict else {}) | DRAWING)
        engine = engines.get(model, job)
        analysis = vidcam.explain(video.path, engine=engine, settings=settings, progress=job.progress)
        return _drawn(session, job, video, analysis, job.folder.name)

    return work


def redraw(session: Session, before: Result) -> Callable[[Job], Result]:
    """Work that draws what is known in the look that is chosen now; the model is not asked again."""

    def work(job: Job) -> Result:
        job.plan(DRAWING)
        return _drawn(session, job, before.video, before.analysis, before.number)

    return work


def compare(
    session: Session, engines: Engines, model: str, methods: Sequence[str], settings: Settings
) -> Callable[[Job], Compared]:
    """Work that explains the session's video by several methods, side by side."""
    video = _video(session)

    def work(job: Job) -> Compared:
        looking = {} if settings.classes else {"look": 20.0}
        job.plan(engines.stages(model) | looking | dict.fromkeys(methods, 20.0) | DRAWING)
        engine = engines.get(model, job)
        stem = Path(video.name).stem
        outputs = {kind: job.folder / f"{stem}.compare.{suffix}" for kind, suffix in COMPARED.items()}
        found = vidcam_compare(
            video.path, Outputs(video=outputs["video"]), engine=engine, settings=settings, methods=methods, progress=job.progress
        )
        named = replace(found, entries=tuple(replace(e, analysis=_named(e.analysis, video)) for e in found.entries))
        comparison.write_json(replace(named, outputs=_names(outputs)), outputs["json"])
        comparison.write_html(replace(named, outputs=_paths(outputs)), outputs["html"])
        _beside(outputs["html"])
        return Compared(found, job.folder, outputs)

    return work


def install(name: str) -> Callable[[Job], Path]:
    """Work that fetches a model's weights."""

    def work(job: Job) -> Path:
        job.plan({"weights": 1.0})
        job.progress("weights", 0, None)
        return loading.download(name, progress=_bytes(job))

    return work


COMPARED = {"video": "mp4", "html": "html", "json": "json"}
REPORTS = {
    "html": formats.write_html,
    "json": formats.write_json,
    "csv": formats.write_csv,
    "vtt": formats.write_vtt,
    "npz": formats.write_npz,
}


def _video(session: Session) -> Video:
    if session.video is None:
        raise UsageError("There is no video yet: choose one, record one, or take an example.")
    return session.video


def _drawn(session: Session, job: Job, video: Video, analysis: Analysis, number: str) -> Result:
    stem = Path(video.name).stem
    while True:
        look = session.look or Look()

        def progress(stage: str, done: int, total: int | None, look: Look = look) -> None:
            job.progress(stage, done, total)
            if (session.look or Look()) != look:
                raise _Stale

        target = job.folder / f"{stem}.vidcam.mp4"
        try:
            drawn = vidcam.draw(video.path, analysis, Outputs(video=target, overwrite=True), look=look, progress=progress)
        except _Stale:
            continue
        outputs = {"video": target} | {kind: job.folder / f"{stem}.vidcam.{kind}" for kind in REPORTS}
        named = _named(drawn, video)
        for kind, write in REPORTS.items():
            job.progress("write", 0, None)
            write(replace(named, outputs=(_paths if kind == "html" else _names)(outputs)), outputs[kind])
        _beside(outputs["html"])
        return Result(number, video, drawn, look, job.folder, outputs)


def _named(analysis: Analysis, video: Video) -> Analysis:
    """The analysis with the video under its owner's name, not under that of our copy of it."""
    words = tuple(w.replace(str(video.path), video.name) for w in analysis.warnings)
    return replace(analysis, source=replace(analysis.source, path=video.name), warnings=words)


def _names(outputs: dict[str, Path]) -> dict[str, str]:
    return {kind: path.name for kind, path in outputs.items()}


def _paths(outputs: dict[str, Path]) -> dict[str, str]:
    return {kind: str(path) for kind, path in outputs.items()}


def _beside(page: Path) -> None:
    """Let a page, which links the video by its place, name the files as they lie beside each other once they are saved."""
    page.write_text(page.read_text(encoding="utf-8").replace(f"{page.parent}{os.sep}", ""), encoding="utf-8")


def _bytes(job: Job) -> Callable[[int, int | None], None]:
    told = -PROGRESS_S

    def progress(done: int, total: int | None) -> None:
        nonlocal told
        if (now := job.clock.now()) - told >= PROGRESS_S:
            told = now
            job.progress("weights", done, total)

    return progress
