"""The heavy work of the Teach tab as functions of a job: teach a model, and make its zip."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import vidcam
from vidcam import Settings, open_source
from vidcam.engine import NOBODY
from vidcam.errors import InputError
from vidcam.evaluation.folder import inspect
from vidcam.pipeline import Session as Explaining
from vidcam.pipeline import explanations
from vidcam.reports.inspection import Inspection
from vidcam.web import words

from .jobs import Engines
from .session import Session
from .teach_clips import HELD_OUT, Action, write_folders
from .teach_models import FACTS, MISTAKES, TEST, ModelShelf, TaughtModel, make_name, shown_name
from .work import File, Job

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["EPOCHS", "Teaching", "pack", "teach"]

EPOCHS = 12
STAGES = {"load": 2.0, "look": 5.0, "decode": 5.0, "train": 80.0, "test": 1.0, "inspect": 10.0}


@dataclass(frozen=True)
class Teaching:
    """How a model is taught: from which model of the table, for how many epochs, and whether all its layers learn."""

    base: str = "mini"
    epochs: int = EPOCHS
    all_layers: bool = False


def teach(
    session: Session, engines: Engines, shelf: ModelShelf, actions: Sequence[Action], how: Teaching
) -> Callable[[Job], TaughtModel]:
    """Return work that trains a model on the clips, tests it on those that were kept aside, and keeps it."""
    actions = [Action(a.number, a.label, list(a.clips)) for a in actions]  # as they are now

    def work(job: Job) -> TaughtModel:
        from vidcam.training import TrainConfig, train  # with torch, for which the app would start later

        job.plan(STAGES)
        labels = tuple(a.label for a in actions)
        clips, test, folder = job.folder / "clips", job.folder / TEST, job.folder / make_name(labels)
        names = write_folders(actions, clips, test)
        config = TrainConfig(
            model=how.base,
            freeze_backbone=not how.all_layers,
            epochs=how.epochs,
            holdout=HELD_OUT,
            workers=0,
            device=engines.device,
        )
        try:
            empty = _clips_without_people(job, engines.get(how.base, job), clips, names)
            train(clips, folder, config=config, progress=_progress(job, how.epochs))
        except InputError as error:  # the page knows the clips by other names
            said = str(error)
            for name, known in names.items():
                said = said.replace(str(clips / name), f"{known[:1].upper()}{known[1:]}")
            raise InputError(said) from error
        shutil.rmtree(clips)
        shutil.move(test, folder / TEST)
        found = _inspected(job, folder, engines, names)
        mistakes = tuple(words.Teach.mistake(clip=c.name, predicted=c.predicted, prob=c.prob_predicted) for c in found.mistakes)
        closed = () if words.Teach.NONE in [label.casefold() for label in labels] else (words.Teach.NOTHING_ELSE,)
        right, tested = sum(c.is_correct for c in found.known), len(found.known)
        model = TaughtModel(folder, labels, right, tested, mistakes, (*empty, words.Teach.SAME_PLACE, *closed))
        return shelf.keep(session.runs.name, model)

    return work


def _progress(job: Job, epochs: int) -> Callable[[str, int, int | None], None]:
    """Return what passes the progress of a training on to the job, with the epoch."""

    def progress(stage: str, done: int, total: int | None) -> None:
        if stage == "train" and total:
            job.finding = words.Teach.epochs(done=done * epochs // total, count=epochs)
        job.progress(stage, done, total)

    return progress


def _inspected(job: Job, folder: Path, engines: Engines, names: Mapping[str, str]) -> Inspection:
    """Test the model in a folder on the clips that were kept aside, and write the page of its mistakes beside them.

    It calls the clips what ``names`` calls their files.
    """
    job.finding = ""
    job.progress("inspect", 0, None)
    engine = vidcam.open_engine(str(folder), device=engines.device)
    engine.spec = replace(engine.spec, name=shown_name(folder.name))  # the page says nothing of where it lies
    found = inspect(folder / TEST, engine=engine, progress=job.progress)
    cases = tuple(replace(c, name=names[c.name]) for c in found.cases)
    found = replace(found, cases=cases, folder=words.Teach.CLIPS_ASIDE)
    if found.mistakes:
        found.write_html(folder / TEST / MISTAKES)
    return found


def _clips_without_people(job: Job, engine: Engine, folder: Path, names: Mapping[str, str]) -> list[str]:
    """Return a warning, if there are clips in which the model that learns sees nobody; nothing if it has no word for that."""
    if NOBODY not in engine.labels:
        return []
    empty: list[str] = []
    for done, (name, known) in enumerate(names.items()):
        job.progress("look", done, len(names))
        if _answer(folder / name, engine) == NOBODY:
            empty.append(known)
    if not empty:
        return []
    return [words.Teach.nobody_in(clips=empty)]


def _answer(path: Path, engine: Engine) -> str:
    """Return the label that the model gives to a whole video."""
    total = np.zeros(len(engine.labels))
    with open_source(path) as source, closing(explanations(source, Explaining(engine, Settings(method=None)))) as clips:  # type: ignore[type-var]
        for clip in clips:
            total += clip.prediction.logits
    return engine.labels[int(total.argmax())]


def pack(model: TaughtModel) -> Callable[[Job], File]:
    """Return work that puts a model's folder into a zip; what shows people stays here: the clips and the pages."""

    def work(job: Job) -> File:
        job.plan({"write": 1.0})
        job.progress("write", 0, None)
        target = job.folder / f"{model.short_name}.zip"
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(p for p in model.folder.iterdir() if p.is_file() and p.name != FACTS and p.suffix != ".html"):
                archive.write(path, f"{model.short_name}/{path.name}")
        return File(target, target.name, model.name)

    return work
