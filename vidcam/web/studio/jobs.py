"""The app's heavy work as functions of a job: explain, make files for download, fetch weights."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import vidcam
from vidcam import Settings
from vidcam.annotation.judging import add_verdict
from vidcam.errors import UsageError, VidcamError
from vidcam.io.formatting import percent
from vidcam.io.source import open_source
from vidcam.methods.lookup import BEST
from vidcam.models import loading, weights
from vidcam.values import Prediction
from vidcam.web import words

from .asking import Hidden, ask
from .results import (
    ALL,
    VIDEO,
    Result,
    download_name,
    file_name,
    link_or_copy,
    named,
    path_of,
    placed,
    prepare,
    write_file,
    write_small_files,
)
from .runs import RunShelf, find_run
from .session import Session
from .teach_models import find_spec, open_engine
from .uploads import Video
from .view_models import answered, sentence_of
from .work import Cancelled, File, Job

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["Engines", "asked_of", "explain", "explain_example", "install", "save", "save_runs", "video_of", "what_if"]

MAX_ENGINES = 2  # in memory
PROGRESS_S = 0.1


class Engines:
    """Keeps the last few loaded models. Only the one thread of the :class:`SessionManager` uses it."""

    def __init__(self, device: str = "auto") -> None:
        self.device = device
        self._kept: OrderedDict[str, Engine] = OrderedDict()

    def get(self, model: str, job: Job | None = None) -> Engine:
        """Return the engine of a model, loaded if it is not kept; the job, if there is one, shows the progress."""
        if model not in self._kept:
            spec = find_spec(model)
            fetched = spec.weights is not None and not loading.is_available(spec)
            if fetched and weights.is_offline():
                raise UsageError(words.Menus.not_here(model=model))
            if job is not None:
                job.progress("weights" if fetched else "load", 0, None)
            progress = _bytes(job) if fetched and job is not None else None
            self._kept[model] = open_engine(model, device=self.device, progress=progress)
            while len(self._kept) > MAX_ENGINES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(model)
        return self._kept[model]

    def stages(self, model: str) -> dict[str, float]:
        """Return the stages of opening the model, with the share of the time that each takes."""
        if model in self._kept:
            return {}
        spec = find_spec(model)
        return {"load": 5.0} if spec.weights is None or loading.is_available(spec) else {"weights": 40.0}


# The stages of a job, each with the share of the time that it usually takes.
EXPLAINING = {"explain": 50.0, "convert": 3.0}
CHOOSING = {"try methods": 50.0, "test methods": 200.0}
JUDGING = {"judge": 25.0}
DRAWING = {"draw": 20.0, "write": 2.0}


def explain(
    session: Session, engines: Engines, shelf: RunShelf, model: str, settings: Settings, videos: Sequence[Video] = ()
) -> Callable[[Job], Result]:
    """Return work that explains the session's video, or several videos one after the other, and keeps each as a run.

    The job shows a result as soon as there is evidence; the verdict, if the settings ask for it, comes later.
    """
    queue = list(videos) or [video_of(session)]
    count = len(queue)
    turns = [words.Annotate.turn(number=n, count=count, video=v.name) for n, v in enumerate(queue, 1)] if count > 1 else [""]

    def work(job: Job) -> Result:
        job.plan(_stages(engines, model, settings, turns))
        failures: list[str] = []
        result = None
        for n, video in enumerate(queue):
            turn = turns[n]
            folder = job.folder / str(n) if turn else job.folder
            folder.mkdir(exist_ok=True)
            session.video = video
            try:
                result = _explained(job, engines, model, settings, video, folder, turn=turn)
            except VidcamError as error:
                if not turn:
                    raise
                failures.append(session.own_words(f"{video.name}: {error}"))
                continue
            job.progress(f"{turn}write", 0, None)
            write_small_files(result, lambda *_: None)
            shelf.keep(session.runs, result, sentence_of(result), answered(result, session))
            job.show(result)
        if failures:
            raise UsageError(words.Annotate.some_failed(failures=failures, count=len(queue)))
        assert result is not None
        return result

    return work


def _stages(engines: Engines, model: str, settings: Settings, turns: Sequence[str]) -> dict[str, float]:
    """Return the stages of explaining videos, which begin with their ``turns``, with the share of the time that each takes."""
    choosing = CHOOSING if settings.method == BEST else {}
    each = EXPLAINING | choosing | (JUDGING if settings.verdict else {}) | {"write": 2.0}
    return engines.stages(model) | {f"{turn}{stage}": share for turn in turns for stage, share in each.items()}


def _explained(
    job: Job, engines: Engines, model: str, settings: Settings, video: Video, folder: Path, *, turn: str = ""
) -> Result:
    """Explain one video; everything that belongs to the result lies in ``folder``."""

    def progress(stage: str, done: int, total: int | None) -> None:
        job.progress(f"{turn}{stage}", done, total)

    def judging(_: str, done: int, total: int | None) -> None:
        progress("judge", done, total)

    engine = engines.get(model, job)
    path = placed(video, folder)
    analysis = vidcam.explain(
        path,
        engine=engine,
        settings=replace(settings, verdict=False),
        progress=progress,
        on_prediction=_Finding(engine, job),
    )
    analysis = replace(analysis, settings=replace(analysis.settings, verdict=settings.verdict))
    with open_source(path) as source:
        result = prepare(source, video, analysis, folder, progress)
        if not settings.verdict:
            return result
        job.show(result)
        judging("", 0, None)
        judged = add_verdict(source, engine, replace(settings, method=analysis.method), analysis, judging)
    return replace(result, analysis=named(judged, video, folder))


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


def save(session: Session, engines: Engines, result: Result, kind: str) -> Callable[[Job], File]:
    """Return work that makes a file of a result for download, one of :func:`vidcam.web.studio.results.file_kinds`.

    A run of an earlier visit is explained again first, if the file needs its evidence.
    """
    name = download_name(result, *asked_of(result), kind)

    def work(job: Job) -> File:
        drawing = DRAWING if kind in (VIDEO, ALL) else {"write": 1.0}
        if result.analysis is not None or path_of(result, kind).is_file():
            job.plan(drawing)
            return File(write_file(result, kind, job.progress), name)
        run = find_run(result)
        settings = replace(run.settings, verdict=run.settings.verdict and kind != VIDEO)  # the MP4 says nothing of it
        job.plan(_stages(engines, run.model, settings, [words.Annotate.AGAIN]) | drawing)
        ready = _explained(job, engines, run.model, settings, result.video, job.folder, turn=words.Annotate.AGAIN)
        ready = replace(ready, number=result.number, look=result.look, only=result.only)
        if kind == VIDEO:
            path = write_file(ready, kind, job.progress)
            kept = result.folder / path.name  # so that it is there the next time
            link_or_copy(path, kept)
            shutil.rmtree(job.folder, ignore_errors=True)
            return File(kept, name)
        job.show(ready)
        return File(write_file(ready, kind, job.progress), name)

    return work


def save_runs(shelf: RunShelf, owner: Path) -> Callable[[Job], File]:
    """Return work that puts the files of all runs into one zip, a folder for each run."""

    def work(job: Job) -> File:
        job.plan({"write": 1.0})
        runs = shelf.list(owner)
        if not runs:
            raise UsageError(words.Runs.NONE)
        target = job.folder / "vidcam-runs.zip"
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for n, run in enumerate(runs):
                job.progress("write", n, len(runs))
                for path in run.files():
                    archive.write(path, f"{n + 1:02d}-{Path(run.video.name).stem}-{run.model}/{path.name}")
        return File(target, target.name)

    return work


def asked_of(result: Result) -> tuple[str, Settings]:
    """Return the model and the settings of a result. UsageError if it is a run that was deleted."""
    if result.analysis is None:
        run = find_run(result)
        return run.model, run.settings
    return result.analysis.model.name, result.analysis.settings


def what_if(engines: Engines, result: Result, hidden: Hidden) -> str:
    """Return what the model of a result answers if a part of the video is hidden, in a sentence."""
    model, settings = asked_of(result)
    return ask(result.folder / file_name(result.video), engines.get(model), settings, hidden)


def explain_example(engines: Engines, model: str, video: Video, folder: Path, is_urgent: Callable[[], bool]) -> None:
    """Explain the example that an empty page plays into ``folder``, unless it is there.

    :class:`Cancelled` if meanwhile ``is_urgent()`` says that other work should come first.
    """

    def progress(stage: str, done: int, total: int | None) -> None:
        if is_urgent():
            raise Cancelled

    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as part:
        path = placed(video, Path(part))
        analysis = vidcam.explain(path, engine=engines.get(model), progress=progress)
        with open_source(path) as source:
            prepare(source, video, analysis, Path(part), lambda *_: None)
        shutil.copytree(part, folder.with_suffix(".part"), dirs_exist_ok=True)
    folder.with_suffix(".part").replace(folder)


def install(name: str) -> Callable[[Job], Path]:
    """Return work that fetches a model's weights."""

    def work(job: Job) -> Path:
        job.plan({"weights": 1.0})
        job.progress("weights", 0, None)
        return loading.download(name, progress=_bytes(job))

    return work


def video_of(session: Session) -> Video:
    """Return the video that is asked about. UsageError if there is none."""
    if session.video is None:
        raise UsageError(words.Common.NO_VIDEO)
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
