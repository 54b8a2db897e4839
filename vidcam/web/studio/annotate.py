"""The Annotate tab: a video in, the explained answer out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gradio as gr

from vidcam.engine import BUILT_IN
from vidcam.errors import UsageError
from vidcam.io.source import open_source
from vidcam.web import words

from . import jobs, menus, view_models
from .annotate_questions import Questions
from .annotate_view import KEY, View, result_of
from .asking import Hidden
from .components import EVENT, part, remembered
from .results import Result, as_shown, file_kinds
from .runs import RunShelf
from .session import Session
from .sessions import SessionManager
from .tab_jobs import TabJobs, Updates
from .uploads import Video
from .work import Cancelled, Job, sentence

__all__ = ["AnnotateTab"]

log = logging.getLogger("vidcam.app")


class AnnotateTab:
    """The tab, made inside the app's page, with ``model`` chosen at first for the reason ``because``.

    ``showcase`` is the folder in which the explained example of the empty page is kept; None shows none.
    """

    def __init__(
        self,
        desk: SessionManager,
        engines: jobs.Engines,
        shelf: RunShelf,
        *,
        model: str,
        examples: list[Video],
        because: str = "",
        showcase: Path | None = None,
    ) -> None:
        self._desk, self._engines, self._model = desk, engines, model
        self._examples, self._showcase = examples, showcase
        with gr.Row(equal_height=False, elem_id="annotate", elem_classes="asks"):
            with gr.Column(scale=7, min_width=340):
                self.jobs = TabJobs(desk, KEY, elem_id="job")
                # gr.Video plays no heat; its upload knows no session, and no check that waits in the queue.
                self.stage = part(
                    "stage", {}, input=None, result=None, hidden=None, showcase=None, uses=("bring",), elem_id="stage"
                )
                # gr.Gallery has no second choice, no words under a picture but one caption, and no button to delete one.
                runs = part("runs", {"cards": []}, elem_id="runs")
            with gr.Column(scale=4, min_width=320, elem_id="side"):
                answer = part("answer", {}, stale="", elem_id="answer")
                self.questions = Questions(model, because)
                with gr.Row(elem_id="go", elem_classes="sticky"):
                    explain = gr.Button(words.Annotate.EXPLAIN, variant="primary", elem_id="explain", elem_classes="go")
                    self.jobs.stop_button(elem_id="stop")
        self.view = View(shelf, self.jobs, self.stage, answer, runs, explain, self.questions.stale)
        self._shown = [*self.view.components, *self.questions.class_menus]
        self._connect()

    def _connect(self) -> None:
        """Connect the events of the components to what answers them."""
        on, work, view, asked = self.jobs.on, self.jobs.work, self.view, self.questions.controls
        explains: dict[str, Any] = {"inputs": asked, "outputs": self._shown, "show": self.show, "keep": True}
        on(self.stage.upload, self._show_video, outputs=self._shown)
        on(self.stage.select, self._choose_example, outputs=self._shown, said=True)
        self.stage.submit(self._hide, None, [self.stage], **EVENT)
        work(self.stage.apply, self._explain_queue, **explains)
        work(view.explain.click, self._explain, **explains)
        work(view.answer.download, self._save, outputs=[view.answer], show=self._show_saved, said=True)
        on(view.runs.delete, self._delete_runs, outputs=self._shown, said=True)
        work(view.runs.download, self._save_runs, outputs=[view.runs], show=self._show_saved_runs)
        offered = on(view.answer.select, self._take_offer, self.questions.menus, asked, said=True)
        part_chosen = on(self.stage.edit, self._take_part, outputs=asked, said=True)
        for wanted in (offered, part_chosen):
            work(wanted.then, self._explain, **explains)
        changes = [
            on(self.questions.model.input, self.questions.for_model, self.questions.menus, self.questions.menus),
            on(view.runs.select, self._open_runs, outputs=[*view.components, *asked], said=True),
            offered,
            part_chosen,
        ]
        self._remember_after = remembered(self._desk, KEY, asked, after=changes, marks=(view.answer, view.mark))

    def enter(self, loaded: Any) -> None:
        """Fill the tab after the event by which a page is loaded."""
        starting = [*self.view.components, *self.questions.controls]
        self.jobs.enter(loaded, self.begin, starting, show=self.show, shown=self._shown)
        loaded.then(self.show_example, None, [self.stage], **EVENT)

    def follow_models(self, changed: Any) -> None:
        """Fill the menus after an event after which there may be other models."""
        self.jobs.on(changed.then, self.for_models, outputs=[*self.questions.menus, self.view.answer])

    def take_model(self, button: gr.Button, menu: gr.Dropdown) -> Any:
        """Let a button of another tab choose the model that is chosen in a menu there; return the event that does."""
        own = self.questions.menus
        event = self.jobs.on(button.click, self.questions.for_model, [menu, *own[1:]], own)
        self._remember_after(event)
        return event

    def begin(self, session: Session) -> Updates:
        """Return what the session has."""
        value = view_models.upload(session, self._desk.limits) | {
            "secret": session.secret,
            "examples": [{"name": v.name, "facts": v.facts, "poster": v.poster} for v in self._examples],
        }
        models = {self.questions.model: gr.Dropdown(menus.model_choices(session.runs))}
        return self.view.of(session, value=value) | models | self.questions.chosen_before(session)

    # --- what is asked about

    def _show_video(self, session: Session) -> Updates:
        return self.view.of(session) | self.jobs.idle

    def _choose_example(self, session: Session, said: dict[str, Any]) -> Updates:
        name = said.get("name")
        video = next((v for v in self._examples if v.name == name), None)
        if video is None:
            raise UsageError(words.Annotate.no_example(name=name))
        session.take(video)
        return self._show_video(session)

    def for_models(self, session: Session) -> Updates:
        """Return the menus for the models that there are now; the first one is chosen again if the chosen one was deleted."""
        model, *others = session.chosen.get(KEY, [self._model])
        if menus.is_known(model):
            return {self.questions.model: gr.Dropdown(menus.model_choices(session.runs))}
        session.chosen[KEY][0] = self._model
        return self.questions.for_model(session, self._model, *others[:3]) | {self.view.answer: self.view.mark(session)}

    def _take_offer(self, session: Session, said: dict[str, Any], _: Any, method: Any, labels: Any, versus: Any) -> Updates:
        """Choose what the answer offers: another model, another class of its model, or the whole picture."""
        if not said.keys() & {"label", "cover"}:
            return self.questions.for_model(session, said.get("model"), method, labels, versus)
        model, settings = jobs.asked_of(result_of(session))
        if "cover" in said:
            return self.questions.of_result(session, model, replace(settings, cover=True))
        return self.questions.for_model(session, model, method, [said["label"]], None)

    def _take_part(self, session: Session, said: dict[str, Any]) -> Updates:
        """Choose the part of the video that is looped; the player's times are those of the file, which may not begin at 0."""
        with open_source(result_of(session).video.path) as source:
            begin = source.info.start_s
        start, end = (round(float(said[key]) - begin, 2) for key in ("start", "end"))
        return self.questions.of_part(start, end)

    # --- explaining

    def _explain(self, session: Session, *asked: Any, videos: Sequence[Video] = ()) -> Callable[[Job], Any]:
        """Explain the session's video, or the ``videos`` one after the other."""
        return jobs.explain(session, self._engines, self.view.shelf, *Questions.asked(*asked), videos)

    def _explain_queue(self, session: Session, *asked: Any) -> Callable[[Job], Any]:
        """Explain the videos that came together; they become cards."""
        videos, session.queue = session.queue, []
        return self._explain(session, *asked, videos=videos)

    def show(self, job: Job) -> Updates:
        """Return what shows a job's result: at first the evidence, later with the verdict."""
        session = job.session
        if KEY not in session.results and not job.shown:
            return {}
        return self.view.of(session) | self.questions.order_classes(session)

    def _save(self, session: Session, said: dict[str, Any]) -> Callable[[Job], Any]:
        """Make a file of the result, as the player shows it; the browser saves it when it is ready."""
        kind = said.get("kind")
        if KEY not in session.results or kind not in file_kinds():
            raise UsageError(words.Common.NO_FILE)
        return jobs.save(session, self._engines, as_shown(result_of(session), said), kind)

    def _show_saved(self, job: Job) -> Updates:
        result: Result | None = job.session.results.get(KEY)
        return {} if result is None else self.jobs.saved(job, self.view.answer, view_models.answered(result, job.session))

    async def _hide(self, event: gr.EventData, request: gr.Request) -> Any:
        """Ask the model again without a part of the video."""
        try:
            result = result_of(self._desk.of(request.session_hash))
            hidden = Hidden.of(event._data)
            said = await self._desk.errand(lambda: jobs.what_if(self._engines, result, hidden))
        except Exception as error:
            said = sentence(error)
        return gr.HTML(hidden={"words": said, "asked": event._data.get("asked") if isinstance(event._data, dict) else None})

    async def show_example(self, request: gr.Request) -> Any:
        """Let the empty page play an explained example; it is explained once and kept."""
        video, model, is_urgent = next(iter(self._examples), None), BUILT_IN, self._desk.is_awaited
        is_open = self._desk.knows(str(request.session_hash))  # the tab may have been closed at once
        if not is_open or video is None or self._showcase is None:
            return gr.skip()
        try:
            session = self._desk.of(request.session_hash)
            folder = self._showcase / f"example-{version('vidcam')}"
            if not folder.is_dir():
                await self._desk.errand(lambda: jobs.explain_example(self._engines, model, video, folder, is_urgent))
            return gr.HTML(
                showcase={"base": session.serve(folder), "title": words.Annotate.example(video=video.name, model=model)}
            )
        except Cancelled:  # somebody's own video comes first; the next page explains the example
            return gr.skip()
        except Exception:  # the page does without
            log.warning("the explained example cannot be shown", exc_info=True)
            return gr.skip()

    # --- the cards of the runs

    def _open_runs(self, session: Session, said: dict[str, Any]) -> Updates:
        """Show the run of a card with the controls as they were, or two runs in step."""
        numbers = said.get("numbers") or []
        if not 1 <= len(numbers) <= 2:
            raise UsageError(words.Runs.ONE_OR_TWO)
        runs = [self.view.shelf.find(session.runs, number) for number in numbers]
        if len(runs) == 2:
            return self.view.in_step(session, runs) | self.jobs.idle
        [run] = runs
        session.take(run.video)
        session.results[KEY] = Result(run.number, run.video, None, None, run.folder, run.sentence, run.answer)
        session.chosen.pop(KEY, None)  # the controls become those of the run, which the page tells when they have
        return self._show_video(session) | self.questions.of_result(session, run.model, run.settings)

    def _delete_runs(self, session: Session, said: dict[str, Any]) -> Updates:
        """Delete the run of a card, or all runs."""
        number, shelf = said.get("number"), self.view.shelf
        if session.busy:
            raise UsageError(words.Common.BUSY)
        for run in shelf.list(session.runs) if number == "all" else [shelf.find(session.runs, number)]:
            shelf.delete(session.runs, run.number)
        if session.video is not None and not session.video.path.is_file():  # it was that of an open run
            session.video = None
            session.results.clear()
        return self.view.of(session)

    def _save_runs(self, session: Session) -> Callable[[Job], Any]:
        """Put the files of all runs into one zip, which the browser saves when it is ready."""
        return jobs.save_runs(self.view.shelf, session.runs)

    def _show_saved_runs(self, job: Job) -> Updates:
        return self.jobs.saved(job, self.view.runs, self.view.cards(job.session))
