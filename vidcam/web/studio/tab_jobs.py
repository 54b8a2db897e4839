"""The jobs of a tab: the line that shows one, and the events that ask for it, follow it and stop it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any
from weakref import WeakValueDictionary

import gradio as gr

from .components import IDLE, part
from .session import Session
from .sessions import SessionManager
from .work import Job, sentence

__all__ = ["TabJobs"]

POLL_S = 0.15
Updates = dict[Any, Any]
"""New values of components, as an event of Gradio takes them."""


class TabJobs:
    """The jobs of the tab ``key``, and the ``line`` that shows how one stands, made inside the app's page.

    What it returns and yields are updates of components, the line among them. The line is no ``gr.Progress``, which covers the
    outputs while a job runs and does not come back when the page is loaded again.
    """

    def __init__(self, desk: SessionManager, key: str, *, elem_id: str) -> None:
        self.desk, self.key = desk, key
        self.line = part("job", IDLE, elem_id=elem_id)
        self.idle: Updates = {self.line: IDLE}
        self.unchanged: Updates = {self.line: gr.skip()}
        """An update that changes nothing.

        An event whose function is a generator yields it if there is nothing to tell: Gradio empties all outputs of one that
        yields nothing.
        """
        self._found: WeakValueDictionary[str, Job] = WeakValueDictionary()

    def failed(self, error: BaseException) -> Updates:
        """Return the update that shows an error."""
        return {self.line: {"state": "failed", "message": sentence(error)}}

    def working(self, job: Job) -> Updates:
        """Return the update that shows how a job stands."""
        return {self.line: job.to_dict(before=self.desk.before(job))}

    def answer(self, request: gr.Request, function: Callable[[Session], Updates]) -> Updates:
        """Return what the function returns for the session of a request; if it fails, the line says why."""
        try:
            return function(self.desk.of(request.session_hash))
        except Exception as error:
            return self.failed(error)

    async def submit(
        self,
        request: gr.Request,
        work: Callable[[Session], Callable[[Job], Any]],
        follow: Callable[[Job], AsyncIterator[Updates]],
        *,
        keep: bool = False,
    ) -> AsyncIterator[Updates]:
        """Queue the work that ``work`` returns for the session, and yield the updates by which ``follow`` shows the job.

        If it is refused, the line says why. ``keep`` is that of :class:`Job`.
        """
        try:
            session = self.desk.of(request.session_hash)
            job = self.desk.submit(session, work(session), key=self.key, keep=keep)
        except Exception as error:
            yield self.failed(error)
            return
        async for update in follow(job):
            yield update

    async def follow(self, job: Job) -> AsyncIterator[Updates]:
        """Yield the updates of the line until the job has ended.

        An event that yields several updates must repeat in each of them the components of the updates before. Gradio sends the
        difference between two updates, and the page applies it to the earlier one in place: if both come before the answer to the
        request that asked for them, the page never sees what the later one leaves out. What is given once belongs in another
        event.
        """
        before: Updates = {}
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the server's loop has ended
                loop.call_soon_threadsafe(ended.set)

        job.on_end(wake)
        while job.active:
            now = self.working(job)
            if now != before:
                yield now
            before = now
            await self.desk.clock.wait_async(ended, POLL_S)

    def end(self, job: Job) -> Updates:
        """Return the last update of the line for a job that has ended: nothing, if all went well."""
        return self.idle if job.state == "done" else self.working(job)

    async def save(
        self, job: Job, component: gr.HTML, value: dict[str, Any], *, name: str | None = None
    ) -> AsyncIterator[Updates]:
        """Follow a job that makes a file; at its end the browser saves the file.

        ``value`` is what ``component``, whose script saves, shows already. The file is saved as ``name``, or under its own name.
        """
        async for progress in self.follow(job):
            yield progress | {component: value}
        if job.state == "done":
            file = {"url": job.session.serve(job.result), "name": name or job.result.name, "number": job.folder.name}
            value = value | {"saved": file}
        yield self.end(job) | {component: value}

    def unfinished(self, session: Session) -> Job | None:
        """Return the tab's job that a page should still show when it is loaded; None if there is none."""
        job = session.job
        return job if job is not None and job.key == self.key and job.state in ("waiting", "running", "failed") else None

    def find(self, session: Session, request: gr.Request) -> Updates:
        """Return the update that shows a page that is loaded how the session's job stands; :meth:`resume` then follows it.

        They are two events, because the job may end between them.
        """
        job = self.unfinished(session)
        if job is None:
            return self.idle
        self._found[str(request.session_hash)] = job
        return self.working(job)

    async def resume(self, request: gr.Request, follow: Callable[[Job], AsyncIterator[Updates]]) -> AsyncIterator[Updates]:
        """Yield, once, the updates by which ``follow`` shows the job that :meth:`find` found, or one that changes nothing."""
        job = self._found.pop(str(request.session_hash), None)
        if job is None:
            yield self.unchanged
            return
        async for update in follow(job):
            yield update

    def stop(self, request: gr.Request) -> Updates:
        """Cancel the session's job, as the button "Stop" does."""

        def cancel(session: Session) -> Updates:
            if session.job is None or not session.job.active:
                return self.unchanged
            session.job.cancel()
            return self.working(session.job)

        return self.answer(request, cancel)
