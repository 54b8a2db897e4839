"""The cards of the Annotate tab: open a run, or two in step, delete runs, and save all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr

from vidcam.errors import UsageError
from vidcam.web import words

from . import jobs
from .annotate_questions import Questions
from .annotate_view import KEY, View
from .results import Result
from .session import Session
from .work import Job

__all__ = ["Cards"]


class Cards:
    """The events of the cards."""

    def __init__(self, view: View, questions: Questions) -> None:
        self._view, self._questions = view, questions

    def open(self, event: gr.EventData, request: gr.Request) -> Any:
        """Show the run of a card with the controls as they were, or two runs in step."""
        numbers, view = event._data.get("numbers") or [], self._view

        def update(session: Session) -> Any:
            if session.runs is None or not 1 <= len(numbers) <= 2:
                raise UsageError(words.Runs.ONE_OR_TWO)
            runs = [view.shelf.find(session.runs, number) for number in numbers]
            if len(runs) == 2:
                return view.in_step(session, runs) | view.jobs.idle
            [run] = runs
            session.take(run.video)
            session.results[KEY] = Result(run.number, run.video, None, None, run.folder, run.sentence, run.answer)
            session.chosen.pop(KEY, None)  # the controls become those of the run, which the page tells when they have
            return view.of(session) | self._questions.of_result(session, run.model, run.settings) | view.jobs.idle

        return view.jobs.answer(request, update)

    def delete(self, event: gr.EventData, request: gr.Request) -> Any:
        """Delete the run of a card, or all runs."""
        number, view = event._data.get("number"), self._view

        def update(session: Session) -> Any:
            if session.busy:
                raise UsageError(words.Common.BUSY)
            if session.runs is not None:
                for run in view.shelf.list(session.runs) if number == "all" else [view.shelf.find(session.runs, number)]:
                    view.shelf.delete(session.runs, run.number)
            if session.video is not None and not session.video.path.is_file():  # it was that of an open run
                session.video = None
                session.results.clear()
            return view.of(session) | view.jobs.unchanged

        return view.jobs.answer(request, update)

    async def save_all(self, request: gr.Request) -> AsyncIterator[Any]:
        """Put the files of all runs into one zip, which the browser saves when it is ready."""
        view = self._view

        def work(session: Session) -> Callable[[Job], Any]:
            if session.runs is None:
                raise UsageError(words.Runs.NONE)
            return jobs.save_runs(view.shelf, session.runs)

        def follow(job: Job) -> AsyncIterator[Any]:
            return view.jobs.save(job, view.runs, view.cards(job.session))

        async for update in view.jobs.submit(request, work, follow):
            yield update
