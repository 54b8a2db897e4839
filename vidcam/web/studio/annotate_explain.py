"""The long work of the Annotate tab: explain the session's video, or several in turn, and make files of the result."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import gradio as gr

from vidcam.errors import UsageError
from vidcam.web import words

from . import jobs, view_models
from .annotate_questions import Questions
from .annotate_view import KEY, View, result_of
from .results import as_shown, download_name, file_kinds
from .session import Session
from .uploads import Video
from .work import Job

__all__ = ["Explaining"]

Updates = AsyncIterator[dict[Any, Any]]


class Explaining:
    """The events of the tab that ask for work and follow it."""

    def __init__(self, engines: jobs.Engines, view: View, questions: Questions) -> None:
        self._engines, self._view, self._questions, self._jobs = engines, view, questions, view.jobs

    async def run(self, request: gr.Request, *asked: Any) -> Updates:
        """Explain the session's video."""
        async for update in self._explain(request, asked, lambda session: ()):
            yield update

    async def run_queue(self, request: gr.Request, *asked: Any) -> Updates:
        """Explain the videos that came together, one after the other; they become cards."""

        def take_queue(session: Session) -> Sequence[Video]:
            videos, session.queue = session.queue, []
            return videos

        async for update in self._explain(request, asked, take_queue):
            yield update

    async def _explain(
        self, request: gr.Request, asked: Sequence[Any], videos_of: Callable[[Session], Sequence[Video]]
    ) -> Updates:
        """Explain these videos of the session, or else its video, and follow the job."""

        def work(session: Session) -> Callable[[Job], Any]:
            videos = videos_of(session)
            return jobs.explain(session, self._engines, self._view.shelf, *Questions.asked(*asked), videos)

        async for update in self._jobs.submit(request, work, self.follow, keep=True):
            yield update

    async def follow(self, job: Job) -> Updates:
        """Yield the job's progress and its results: the first as soon as there is evidence, the last with the verdict."""
        session = job.session
        shown: dict[Any, Any] = {}  # a later update contains what the earlier ones did: see :meth:`TabJobs.follow`
        results = 0
        async for progress in self._jobs.follow(job):
            if job.shown > results:
                results = job.shown
                shown = self._view.of(session) | self._questions.order_classes(session)
            yield shown | progress
        if session.job is not job:  # there is another video by now
            yield shown | self._jobs.unchanged
            return
        if KEY in session.results or shown:
            shown = self._view.of(session) | self._questions.order_classes(session)
        yield shown | self._jobs.end(job)

    async def save(self, event: gr.EventData, request: gr.Request) -> Updates:
        """Make a file of the result, as the player shows it; the browser saves it when it is ready."""
        kind = event._data.get("kind")

        def work(session: Session) -> Callable[[Job], Any]:
            if KEY not in session.results or kind not in file_kinds():
                raise UsageError(words.Common.NO_FILE)
            return jobs.save(session, self._engines, as_shown(result_of(session), event._data), kind)

        def follow(job: Job) -> Updates:
            result = result_of(job.session)
            name = download_name(result, *jobs.asked_of(result), kind)
            return self._jobs.save(job, self._view.answer, view_models.answered(result, job.session), name=name)

        async for update in self._jobs.submit(request, work, follow):
            yield update
