"""The Annotate tab: a video in, the explained answer out. This file lays it out and says which event leads where."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from vidcam.errors import UsageError
from vidcam.web import words

from . import jobs, view_models
from .annotate_errands import Errands
from .annotate_explain import Explaining
from .annotate_questions import Questions
from .annotate_runs import Cards
from .annotate_view import KEY, View, result_of
from .components import EVENT, ModelMenu, part, remembered
from .runs import RunShelf
from .session import Session
from .sessions import SessionManager
from .tab_jobs import TabJobs
from .uploads import Video

__all__ = ["AnnotateTab"]


class AnnotateTab:
    """The tab, made inside the app's page, with ``model`` chosen at first for the reason ``because``.

    ``showcase`` is the folder in which the explained example of the empty page is kept; None shows none.

    :meth:`begin` gives ``starting`` their values when a tab of the browser is loaded, and :meth:`resume` then gives ``shown`` the
    progress of a job that still runs.
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
        self._desk, self._examples = desk, examples
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
                self._questions = Questions(model, because)
                with gr.Row(elem_id="go", elem_classes="sticky"):
                    explain = gr.Button(words.Annotate.EXPLAIN, variant="primary", elem_id="explain", elem_classes="go")
                    stop = gr.Button(words.Common.STOP, elem_id="stop", elem_classes="stop")
        self.view = View(shelf, self.jobs, self.stage, answer, runs, explain, self._questions.stale)
        self.explaining = Explaining(engines, self.view, self._questions)
        self._cards = Cards(self.view, self._questions)
        errands = Errands(desk, engines, self.view, examples, showcase)
        self.show_example = errands.show_example
        self.model_menus = [ModelMenu(self._questions.model, KEY, 0, model)]
        self.shown = [*self.view.components, *self._questions.class_menus]
        self.starting = [*self.view.components, *self._questions.controls]
        self._connect(errands, stop)

    def _connect(self, errands: Errands, stop: gr.Button) -> None:
        """Connect the events of the components to what answers them."""
        view, asked, explaining, cards = self.view, self._questions.controls, self.explaining, self._cards
        menus, changed = self._questions.menus, [self.jobs.line, *self._questions.menus]
        self.stage.upload(self._show_video, None, self.shown, **EVENT)
        self.stage.select(self._choose_example, None, self.shown, **EVENT)
        self.stage.submit(errands.hide, None, [self.stage], **EVENT)
        self.stage.apply(explaining.run_queue, asked, self.shown, **EVENT)
        view.explain.click(explaining.run, asked, self.shown, **EVENT)
        view.answer.download(explaining.save, None, [self.jobs.line, view.answer], **EVENT)
        view.runs.delete(cards.delete, None, self.shown, **EVENT)
        view.runs.download(cards.save_all, None, [self.jobs.line, view.runs], **EVENT)
        stop.click(self.jobs.stop, None, [self.jobs.line], **EVENT)
        wanted = view.answer.select(self._take_offer, menus, [self.jobs.line, *asked], **EVENT)
        wanted.then(explaining.run, asked, self.shown, **EVENT)
        part_chosen = self.stage.edit(self._take_part, None, [self.jobs.line, *asked], **EVENT)
        part_chosen.then(explaining.run, asked, self.shown, **EVENT)
        changes = [
            self._questions.model.input(self._change_model, menus, changed, **EVENT),
            view.runs.select(cards.open, None, self.starting, **EVENT),
            wanted,
            part_chosen,
        ]
        self._remember_after = remembered(self._desk, KEY, asked, after=changes, marks=(view.answer, view.mark))

    def follow_model(self, changed: Any) -> None:
        """Fill the menus for the model of the menu after an event that may have chosen another one."""
        menus = self._questions.menus
        self._remember_after(changed.then(self._change_model, menus, [self.jobs.line, *menus], **EVENT))

    def take_model(self, button: gr.Button, menu: gr.Dropdown) -> Any:
        """Let a button of another tab choose the model that is chosen in a menu there; return the event that does."""
        menus = self._questions.menus
        event = button.click(self._change_model, [menu, *menus[1:]], [self.jobs.line, *menus], **EVENT)
        self._remember_after(event)
        return event

    async def begin(self, request: gr.Request) -> AsyncIterator[Any]:
        """Fill the tab when it is loaded with what its session has."""

        def update(session: Session) -> Any:
            value = view_models.upload(session, self._desk.limits) | {
                "secret": session.secret,
                "examples": [{"name": v.name, "facts": v.facts, "poster": v.poster} for v in self._examples],
            }
            chosen = self._questions.chosen_before(session)
            return self.view.of(session, value=value) | chosen | self.jobs.find(session, request)

        yield self.jobs.answer(request, update)

    async def resume(self, request: gr.Request) -> AsyncIterator[Any]:
        """Show the progress of a job that still runs when the tab is loaded, and its result."""
        async for update in self.jobs.resume(request, self.explaining.follow):
            yield update

    def _show_video(self, request: gr.Request) -> Any:
        return self.jobs.answer(request, lambda session: self.view.of(session) | self.jobs.idle)

    def _choose_example(self, event: gr.EventData, request: gr.Request) -> Any:
        name = event._data.get("name")

        def update(session: Session) -> Any:
            video = next((v for v in self._examples if v.name == name), None)
            if video is None:
                raise UsageError(words.Annotate.no_example(name=name))
            session.take(video)
            return self.view.of(session) | self.jobs.idle

        return self.jobs.answer(request, update)

    def _change_model(self, model: Any, method: Any, labels: Any, versus: Any, request: gr.Request) -> Any:
        def update(session: Session) -> Any:
            return self._questions.for_model(session, model, method, labels, versus)

        return self.jobs.answer(request, update)

    def _take_offer(self, _: Any, method: Any, labels: Any, versus: Any, event: gr.EventData, request: gr.Request) -> Any:
        """Choose what the answer offers: another model, another class of its model, or the whole picture."""
        wanted = event._data

        def update(session: Session) -> Any:
            if not wanted.keys() & {"label", "cover"}:
                return self._questions.for_model(session, wanted.get("model"), method, labels, versus)
            model, settings = jobs.asked_of(result_of(session))
            if "cover" in wanted:
                return self._questions.of_result(session, model, replace(settings, cover=True))
            return self._questions.for_model(session, model, method, [wanted["label"]], None)

        return self.jobs.answer(request, update)

    def _take_part(self, event: gr.EventData, request: gr.Request) -> Any:
        """Choose the part of the video that is looped."""
        start, end = (round(float(event._data[key]), 2) for key in ("start", "end"))
        return self.jobs.answer(request, lambda session: self._questions.of_part(start, end))
