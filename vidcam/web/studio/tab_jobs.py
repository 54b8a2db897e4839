"""The events of a tab: what answers them, what work they ask for, and the line that shows how it stands or what failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any

import gradio as gr

from vidcam.errors import UsageError
from vidcam.web import words

from .components import EVENT, IDLE, part
from .session import Session
from .sessions import SessionManager
from .work import Job, sentence

__all__ = ["Show", "TabJobs", "Updates"]

POLL_S = 0.15
Updates = dict[Any, Any]
"""New values of components, as an event of Gradio takes them."""
Show = Callable[[Job], Updates]
"""Returns what shows the results that a job has by now."""


class TabJobs:
    """The events and the jobs of the tab ``key``, and the ``line`` that shows how a job stands, made inside the app's page.

    The line is no ``gr.Progress``, which covers the outputs while a job runs and does not come back when the page is loaded
    again; and the jobs are none of Gradio's queue, whose events end with the page that asked for them.

    ``on`` and ``work`` have in common: the functions that they take get the session and the values of ``inputs``. If ``said``,
    what a script of the page said with its event comes before the values. If anything fails, the line says why; it is always
    among the outputs.
    """

    def __init__(self, desk: SessionManager, key: str, *, elem_id: str) -> None:
        self.desk, self.key = desk, key
        self.line = part("job", IDLE, elem_id=elem_id)
        self.idle: Updates = {self.line: IDLE}
        self.unchanged: Updates = {self.line: gr.skip()}
        """An update that changes nothing: Gradio empties all outputs of an event that yields nothing."""

    def on(
        self,
        event: Callable[..., Any],
        answer: Callable[..., Updates],
        inputs: Sequence[Any] = (),
        outputs: Sequence[Any] = (),
        *,
        said: bool = False,
        js: str | None = None,
    ) -> Any:
        """Let an event be answered by the updates that ``answer`` returns."""

        def run(request: gr.Request, data: gr.EventData, *values: Any) -> Updates:
            try:
                session = self.desk.of(request.session_hash)
                return self.unchanged | (answer(session, data._data, *values) if said else answer(session, *values))
            except Exception as error:
                return self._failed(error)

        return event(run, list(inputs), self._outputs(outputs), js=js, **EVENT)

    def work(
        self,
        event: Callable[..., Any],
        work: Callable[..., Callable[[Job], Any]],
        inputs: Sequence[Any] = (),
        outputs: Sequence[Any] = (),
        *,
        show: Show,
        said: bool = False,
        keep: bool = False,
        js: str | None = None,
    ) -> Any:
        """Let an event queue the work that ``work`` returns, and show the job; ``keep`` is that of :class:`Job`."""

        async def run(request: gr.Request, data: gr.EventData, *values: Any) -> AsyncIterator[Updates]:
            try:
                session = self.desk.of(request.session_hash)
                wanted = work(session, data._data, *values) if said else work(session, *values)
                job = self.desk.submit(session, wanted, key=self.key, keep=keep)
            except Exception as error:
                yield self._failed(error)
                return
            async for update in self.follow(job, show):
                yield update

        return event(run, list(inputs), self._outputs(outputs), js=js, **EVENT)

    def enter(
        self, loaded: Any, begin: Callable[[Session], Updates], outputs: Sequence[Any], *, show: Show, shown: Sequence[Any]
    ) -> Any:
        """Fill the tab after the event ``loaded`` by what ``begin`` returns, and then show a job in ``shown`` that still runs.

        They are two events: each update of a job repeats what came before it, which must not undo what the user changes now.
        """

        async def resume(request: gr.Request) -> AsyncIterator[Updates]:
            async for update in self.resume(request, show):
                yield update

        begun = self.on(loaded.then, lambda session: begin(session) | self.standing(session), outputs=outputs)
        return begun.then(resume, None, self._outputs(shown), **EVENT)

    def stop_button(self, **more: Any) -> gr.Button:
        """Make the button that cancels the session's job."""
        button = gr.Button(words.Common.STOP, elem_classes="stop", **more)
        self.on(button.click, self._cancel)
        return button

    def standing(self, session: Session) -> Updates:
        """Return the update of the line that shows a page how the session's job of this tab stands, if it is not over."""
        job = session.job
        if job is None or job.key != self.key or job.state in ("done", "cancelled"):
            return self.idle
        return self._working(job)

    async def resume(self, request: gr.Request, show: Show) -> AsyncIterator[Updates]:
        """Yield the updates that show a page the session's job of this tab; it may have ended since the page was loaded."""
        try:
            job = self.desk.of(request.session_hash).job
        except UsageError:  # the line says so
            job = None
        if job is None or job.key != self.key:
            yield self.unchanged
        elif job.active:
            async for update in self.follow(job, show):
                yield update
        else:
            yield show(job) | self.standing(job.session)

    async def follow(self, job: Job, show: Show) -> AsyncIterator[Updates]:
        """Yield the progress of the job until it has ended, and what ``show`` returns for each of its results and at its end.

        An event that yields several updates must repeat in each of them the components of the updates before. Gradio sends the
        difference between two updates, and the page applies it to the earlier one in place: if both come before the answer to the
        request that asked for them, the page never sees what the later one leaves out. What is given once belongs in another
        event.
        """
        before: Updates = {}
        shown: Updates = {}
        results = 0
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def wake(_: object) -> None:
            with suppress(RuntimeError):  # the server's loop has ended
                loop.call_soon_threadsafe(ended.set)

        job.ended.add_done_callback(wake)
        while job.active:
            if job.shown > results:
                results, shown = job.shown, show(job)
            now = shown | self._working(job)
            if now != before:
                yield now
            before = now
            await self.desk.clock.wait_async(ended, POLL_S)
        is_over = job.state == "done" or job.session.job is not job  # there is another video or job by now
        yield shown | show(job) | (self.idle if is_over else self._working(job))

    def saved(self, job: Job, component: gr.HTML, value: dict[str, Any]) -> Updates:
        """Return the update of a component, which shows ``value`` already and whose script saves the file that the job has made.

        A ``gr.DownloadButton`` would be pressed twice: to have the file made, and to have it saved.
        """
        if job.state != "done":
            return {}
        file = {"url": job.session.serve(job.result.path), "name": job.result.name, "number": job.folder.name}
        return {component: value | {"saved": file}}

    def _outputs(self, others: Sequence[Any]) -> list[Any]:
        return list(dict.fromkeys([self.line, *others]))

    def _failed(self, error: BaseException) -> Updates:
        return {self.line: {"state": "failed", "message": sentence(error)}}

    def _working(self, job: Job) -> Updates:
        return {self.line: job.to_dict(before=self.desk.before(job))}

    def _cancel(self, session: Session) -> Updates:
        if session.job is None or not session.job.active:
            return {}
        session.job.cancel()
        return self._working(session.job)
