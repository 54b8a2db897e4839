"""The app's heavy work as functions of a job: explain, compare, make files for download, fetch weights."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import vidcam
from vidcam import Outputs, Settings
from vidcam.annotation.browser_video import EMBED_LIMIT
from vidcam.annotation.judging import add_verdict
from vidcam.errors import UsageError
from vidcam.evaluation.compare import compare as vidcam_compare
from vidcam.io.formatting import percent
from vidcam.io.source import open_source
from vidcam.methods.lookup import BEST
from vidcam.models import loading
from vidcam.models.table import get_spec
from vidcam.reports.comparison import Comparison
from vidcam.values import Prediction

from .results import ALL, VIDEO, Result, named, placed, prepare, write_file
from .sessions import Job, Session
from .uploads import Video

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["Compared", "Engines", "compare", "explain", "install", "save"]

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
EXPLAINING = {"explain": 50.0, "convert": 3.0}
CHOOSING = {"try methods": 50.0, "test methods": 200.0}
JUDGING = {"judge": 25.0}
DRAWING = {"draw": 20.0, "write": 2.0}


@dataclass(frozen=True)
class Compared:
    """A comparison and its files."""

    comparison: Comparison
    folder: Path
    outputs: dict[str, Path]


def explain(session: Session, engines: Engines, model: str, settings: Settings) -> Callable[[Job], Result]:
    """Return work that explains the session's video.

    The job shows its result as soon as there is evidence; the verdict, if the settings ask for it, comes later.
    """
    video = _video(session)

    def work(job: Job) -> Result:
        choosing = CHOOSING if settings.method == BEST else {}
        job.plan(engines.stages(model) | EXPLAINING | choosing | (JUDGING if settings.verdict else {}))
        engine = engines.get(model, job)
        path = placed(video, job.folder)
        analysis = vidcam.explain(
            path,
            engine=engine,
            settings=replace(settings, verdict=False),
            progress=job.progress,
            on_prediction=_Finding(engine, job),
        )
        analysis = replace(analysis, settings=replace(analysis.settings, verdict=settings.verdict))
        with open_source(path) as source:
            result = prepare(source, video, analysis, job.folder, job.progress)
            if not settings.verdict:
                return result
            job.show(result)
            judged = add_verdict(source, engine, replace(settings, method=analysis.method), analysis, job.progress)
        return replace(result, analysis=named(judged, video, job.folder))

    return work


class _Finding:
    """Tells the job what the model's most probable answer is, after each clip."""

    def __init__(self, engine: Engine, job: Job) -> None:
        self._engine, self._job = engine, job
        self._sum, self._count = np.zeros(len(engine.labels)), 0

    def __call__(self, prediction: Prediction) -> None:
        self._sum, self._count = self._sum + prediction.logits, self._count + 1
        probs = self._engine.probabilities(self._sum / self._count)
        best = int(probs.argmax())
        self._job.finding = f"{self._engine.labels[best]}, {percent(float(probs[best]))}"


def save(result: Result, kind: str) -> Callable[[Job], Path]:
    """Return work that makes a file of a result for download, one of :func:`vidcam.web.studio.results.file_kinds`."""

    def work(job: Job) -> Path:
        job.plan(DRAWING if kind in (VIDEO, ALL) else {"write": 1.0})
        return write_file(result, kind, job.progress)

    return work


def compare(
    session: Session, engines: Engines, model: str, methods: Sequence[str], settings: Settings
) -> Callable[[Job], Compared]:
    """Return work that explains the session's video by several methods, and writes the page that plays them in step."""
    video = _video(session)

    def work(job: Job) -> Compared:
        looking = {} if settings.classes else {"look": 20.0}
        job.plan(engines.stages(model) | looking | {"explain": 20.0 * len(methods)})
        engine = engines.get(model, job)
        path, stem = placed(video, job.folder), Path(video.name).stem
        outputs = {kind: job.folder / f"{stem}.compare.{kind}" for kind in ("html", "json")}
        embed = os.path.getsize(path) <= EMBED_LIMIT
        found = vidcam_compare(
            path, Outputs(reports=outputs, embed=embed), engine=engine, settings=settings, methods=methods, progress=job.progress
        )
        for written in outputs.values():  # what they name lies beside them
            text = written.read_text(encoding="utf-8")
            written.write_text(text.replace(f"{job.folder}{os.sep}", ""), encoding="utf-8")
        return Compared(found, job.folder, outputs)

    return work


def install(name: str) -> Callable[[Job], Path]:
    """Return work that fetches a model's weights."""

    def work(job: Job) -> Path:
        job.plan({"weights": 1.0})
        job.progress("weights", 0, None)
        return loading.download(name, progress=_bytes(job))

    return work


def _video(session: Session) -> Video:
    if session.video is None:
        raise UsageError("There is no video yet: choose one, record one, or take an example.")
    return session.video


def _bytes(job: Job) -> Callable[[int, int | None], None]:
    """Return a function that passes a download's progress on to the job, at most ten times a second."""
    last = -PROGRESS_S

    def progress(done: int, total: int | None) -> None:
        nonlocal last
        if (now := job.clock.now()) - last >= PROGRESS_S:
            last = now
            job.progress("weights", done, total)

    return progress
