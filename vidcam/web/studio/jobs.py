"""The app's heavy work as functions of a job: explain, draw again, compare, fetch weights."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import vidcam
from vidcam import Analysis, Look, Outputs, Settings
from vidcam.annotation.browser_video import EMBED_LIMIT, provide_video
from vidcam.errors import UsageError
from vidcam.evaluation.compare import compare as vidcam_compare
from vidcam.io.playable import Playback, check_playable
from vidcam.io.source import open_source
from vidcam.methods.lookup import BEST
from vidcam.models import loading
from vidcam.models.table import get_spec
from vidcam.reports.comparison import Comparison
from vidcam.reports.formats import Format, list_formats

from .sessions import Job, Session
from .uploads import Video

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["Compared", "Engines", "Result", "compare", "explain", "install", "redraw"]

MAX_ENGINES = 2  # in memory
PROGRESS_S = 0.1


class Engines:
    """Keeps the last few loaded models. Only the one thread of the :class:`SessionManager` uses it."""

    def __init__(self, device: str = "auto") -> None:
        self._device = device
        self._kept: OrderedDict[str, Engine] = OrderedDict()

    def get(self, model: str, job: Job) -> Engine:
        """Return the engine of a model, loaded if it is not kept; the job shows the progress."""
        if model not in self._kept:
            fetched = get_spec(model).weights is not None and not loading.is_available(get_spec(model))
            job.progress("weights" if fetched else "load", 0, None)
            self._kept[model] = vidcam.open_engine(model, device=self._device, progress=_bytes(job) if fetched else None)
            while len(self._kept) > MAX_ENGINES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(model)
        return self._kept[model]

    def stages(self, model: str) -> dict[str, float]:
        """Return the stages of opening the model, with the share of the time that each takes."""
        if model in self._kept:
            return {}
        return {"load": 5.0} if loading.is_available(get_spec(model)) else {"weights": 40.0}


# The stages of a job, each with the share of the time that it usually takes.
EXPLAINING = {"explain": 50.0}
CHOOSING = {"try methods": 50.0, "test methods": 200.0}
JUDGING = {"judge": 25.0}
DRAWING = {"draw": 20.0, "write": 2.0}


@dataclass(frozen=True)
class Result:
    """An explained video: its analysis, which the page knows by ``number``, the look in which it was drawn, and its files."""

    number: str
    video: Video
    analysis: Analysis
    look: Look
    folder: Path
    outputs: dict[str, Path]


@dataclass(frozen=True)
class Compared:
    """A comparison and its files."""

    comparison: Comparison
    folder: Path
    outputs: dict[str, Path]


class _Stale(Exception):
    """The user changed the look while the video was drawn."""


def explain(session: Session, engines: Engines, model: str, settings: Settings) -> Callable[[Job], Result]:
    """Return work that explains the session's video and draws it in the look that is chosen by then."""
    video = _video(session)

    def work(job: Job) -> Result:
        choosing = CHOOSING if settings.method == BEST else {}
        job.plan(engines.stages(model) | EXPLAINING | choosing | (JUDGING if settings.verdict else {}) | DRAWING)
        engine = engines.get(model, job)
        analysis = vidcam.explain(video.path, engine=engine, settings=settings, progress=job.progress)
        return _drawn(session, job, video, analysis, job.folder.name)

    return work


def redraw(session: Session, before: Result) -> Callable[[Job], Result]:
    """Return work that draws a result again in the look that is chosen now, without running the model."""

    def work(job: Job) -> Result:
        job.plan(DRAWING)
        return _drawn(session, job, before.video, before.analysis, before.number)

    return work


def compare(
    session: Session, engines: Engines, model: str, methods: Sequence[str], settings: Settings
) -> Callable[[Job], Compared]:
    """Return work that explains the session's video by several methods side by side."""
    video = _video(session)

    def work(job: Job) -> Compared:
        looking = {} if settings.classes else {"look": 20.0}
        job.plan(engines.stages(model) | looking | dict.fromkeys(methods, 20.0) | DRAWING)
        engine = engines.get(model, job)
        stem = Path(video.name).stem
        outputs = {kind: job.folder / f"{stem}.compare.{suffix}" for kind, suffix in COMPARED.items()}
        comparison = vidcam_compare(
            video.path, Outputs(video=outputs["video"]), engine=engine, settings=settings, methods=methods, progress=job.progress
        )
        named = replace(comparison, entries=tuple(replace(e, analysis=_named(e.analysis, video)) for e in comparison.entries))
        replace(named, outputs=_names(outputs)).write_json(outputs["json"])
        replace(named, outputs=_paths(outputs)).write_html(outputs["html"])
        _beside(outputs["html"])
        return Compared(comparison, job.folder, outputs)

    return work


def install(name: str) -> Callable[[Job], Path]:
    """Return work that fetches a model's weights."""

    def work(job: Job) -> Path:
        job.plan({"weights": 1.0})
        job.progress("weights", 0, None)
        return loading.download(name, progress=_bytes(job))

    return work


COMPARED = {"video": "mp4", "html": "html", "json": "json"}


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
        formats = [row for row in list_formats() if row.is_download]
        outputs = {"video": target} | {row.name: job.folder / f"{stem}.vidcam{row.suffix}" for row in formats}
        named = replace(_named(drawn, video), outputs=_names(outputs))
        for row in formats:
            job.progress("write", 0, None)
            if row.plays_video:
                _write_page(video, named, outputs, row)
            else:
                row.write(named, outputs[row.name])
        return Result(number, video, drawn, look, job.folder, outputs)


def _write_page(video: Video, analysis: Analysis, outputs: dict[str, Path], row: Format) -> None:
    """Write the page for download. It contains the original video, or links to it by its name if it is too large for that.

    If browsers cannot play that video, and a copy would be too large too, the page plays the explained video beside it.
    """
    page = outputs[row.name]
    with open_source(video.path) as source:
        playable, size = check_playable(source), os.path.getsize(video.path)
        if playable.way == "as it is" and size > EMBED_LIMIT:
            how = f"The video is {video.name} itself: keep it beside this page."
            beside = Playback(str(page.parent / video.name), source.info.start_s, (source.info.height, source.info.width), how)
            row.write(replace(analysis, playback=beside), page)
            return
        with provide_video(source, analysis, page, playable, embed=True, overwrite=True, progress=None) as provided:
            playback = provided.playback
            if playback is not None and playback.embed:
                how = playback.how.replace(video.path.name, video.name)
                row.write(replace(analysis, playback=replace(playback, how=how)), page)
                return
    row.write(replace(analysis, outputs=_paths(outputs)), page)
    _beside(page)


def _named(analysis: Analysis, video: Video) -> Analysis:
    """Return the analysis with the video's own name instead of the path of the copy here."""
    words = tuple(w.replace(str(video.path), video.name) for w in analysis.warnings)
    return replace(analysis, source=replace(analysis.source, path=video.name), warnings=words)


def _names(outputs: dict[str, Path]) -> dict[str, str]:
    return {kind: path.name for kind, path in outputs.items()}


def _paths(outputs: dict[str, Path]) -> dict[str, str]:
    return {kind: str(path) for kind, path in outputs.items()}


def _beside(page: Path) -> None:
    """Make a page link the other files by their names, because they lie beside it once they are saved."""
    page.write_text(page.read_text(encoding="utf-8").replace(f"{page.parent}{os.sep}", ""), encoding="utf-8")


def _bytes(job: Job) -> Callable[[int, int | None], None]:
    """Return a function that passes a download's progress on to the job, at most ten times a second."""
    last = -PROGRESS_S

    def progress(done: int, total: int | None) -> None:
        nonlocal last
        if (now := job.clock.now()) - last >= PROGRESS_S:
            last = now
            job.progress("weights", done, total)

    return progress
