"""The work of the Compare tab: several methods of one model, or one method of several models, as ``vidcam compare`` does it."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vidcam import Outputs, Settings
from vidcam.annotation.browser_video import EMBED_LIMIT
from vidcam.evaluation.compare import compare as compare_methods
from vidcam.evaluation.compare_models import compare_models
from vidcam.reports.comparison import Comparison

from .jobs import Engines, video_of
from .results import placed
from .session import Session
from .teach_models import shown_name
from .work import Job

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["Compared", "compare"]

LOOKING, EXPLAINING, CONVERTING = 10.0, 20.0, 3.0
"""The share of the time that each stage usually takes: of one model, or of one method."""


@dataclass(frozen=True)
class Compared:
    """A comparison and its files."""

    comparison: Comparison
    folder: Path
    outputs: dict[str, Path]


def compare(
    session: Session, engines: Engines, models: Sequence[str], methods: Sequence[str], settings: Settings
) -> Callable[[Job], Compared]:
    """Return work that compares on the session's video, and writes the page that plays what is compared in step.

    Of one model, the methods are compared; several models are compared by the first method.
    """
    video = video_of(session)

    def work(job: Job) -> Compared:
        job.plan(_stages(engines, models, methods, settings))
        opened = [_shown(engines.get(model, job)) for model in models]
        path, stem = placed(video, job.folder), Path(video.name).stem
        files = {kind: job.folder / f"{stem}.compare.{kind}" for kind in ("html", "json")}
        outputs = Outputs(reports=files, embed=os.path.getsize(path) <= EMBED_LIMIT)
        if len(opened) > 1:
            found = compare_models(path, outputs, engines=opened, settings=settings, method=methods[0], progress=_converting(job))
        else:
            found = compare_methods(
                path, outputs, engine=opened[0], settings=settings, methods=methods, progress=_converting(job)
            )
        for written in files.values():  # what they name lies beside them
            text = written.read_text(encoding="utf-8")
            written.write_text(text.replace(f"{job.folder}{os.sep}", ""), encoding="utf-8")
        return Compared(found, job.folder, files)

    return work


def _stages(engines: Engines, models: Sequence[str], methods: Sequence[str], settings: Settings) -> dict[str, float]:
    """Return the stages of a comparison, with the share of the time that each takes."""
    turns = [f"{n + 1} of {len(models)}: " for n in range(len(models))] if len(models) > 1 else [""]
    each = EXPLAINING * (1 if len(models) > 1 else len(methods))
    opening = {stage: share for model in models for stage, share in engines.stages(model).items()}
    looking = {} if settings.classes else {f"{turn}look": LOOKING for turn in turns}
    return opening | looking | {f"{turn}explain": each for turn in turns} | {"convert": CONVERTING}


def _shown(engine: Engine) -> Engine:
    """Return the engine under the name that people read: a page may be passed on, and a taught model's full name is secret."""
    name = shown_name(engine.spec.name)
    if name == engine.spec.name:
        return engine
    shown = copy.copy(engine)
    shown.spec = replace(engine.spec, name=name)
    return shown


def _converting(job: Job) -> Callable[[str, int, int | None], None]:
    """Return the progress of a comparison: it draws only to convert a video that no browser can play."""
    return lambda stage, done, total: job.progress("convert" if stage == "draw" else stage, done, total)
