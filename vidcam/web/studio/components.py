"""The page's own components, which ``page/*.js`` draws, and the values that they get."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import gradio as gr

from vidcam.errors import UsageError

from .sessions import SessionManager
from .work import Job, sentence

__all__ = [
    "EVENT",
    "IDLE",
    "PAGE",
    "ModelMenu",
    "Unfinished",
    "failed",
    "followed",
    "guarded",
    "halting",
    "part",
    "remembered",
    "saving",
    "submitted",
    "unchanged",
    "working",
]

PAGE = Path(__file__).with_name("page")
COMMON = Path(__file__).parents[1] / "static" / "common.js"
EVENT: dict[str, Any] = {
    "api_visibility": "private",
    "show_progress": "hidden",
    "concurrency_limit": None,  # heavy work waits in the queue of the SessionManager
    "trigger_mode": "multiple",
}
IDLE = {"state": "idle"}
POLL_S = 0.15


class ModelMenu(NamedTuple):
    """A menu of models, and where a session remembers what is chosen in it: at ``place`` of the part ``key`` of the page.

    ``instead`` is chosen if the model that was chosen is deleted.
    """

    menu: gr.Dropdown
    key: str
    place: int
    instead: str | None


@cache
def _script(*names: str) -> str:
    """Return the text of scripts, after the functions that all parts share."""
    common = re.sub(r"^export ", "", COMMON.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return common + "".join((PAGE / f"{name}.js").read_text(encoding="utf-8") for name in names)


def part(name: str, value: Any = None, *, uses: tuple[str, ...] = (), **props: Any) -> gr.HTML:
    """Make a component that ``page/NAME.js`` draws; the script sees ``props``, which can be updated like the value.

    ``uses`` are scripts with functions that several parts share.
    """
    return gr.HTML(
        value,
        html_template=f"<div class='vc-{name}'></div>",
        js_on_load=_script(*uses, name),
        apply_default_css=False,
        padding=False,
        **props,
    )


def failed(message: str) -> dict[str, Any]:
    """Return the value of a job component that shows an error."""
    return {"state": "failed", "message": message}


def unchanged(component: gr.HTML) -> dict[Any, Any]:
    """Return an update that changes nothing.

    An event whose function is a generator yields it if there is nothing to tell: Gradio empties all outputs of one that yields
    nothing.
    """
    return {component: gr.skip()}


def guarded(function: Callable[[], Any], notice: gr.HTML) -> Any:
    """Return what the function returns; if it fails, a sentence for the component ``notice``."""
    try:
        return function()
    except Exception as error:
        return {notice: failed(sentence(error))}


def working(job: Job, desk: SessionManager) -> dict[str, Any]:
    """Return the value of a job component that shows this job."""
    return job.to_dict(before=desk.before(job))


async def submitted(
    submit: Callable[[], Job], follow: Callable[[Job], AsyncIterator[Any]], notice: gr.HTML
) -> AsyncIterator[Any]:
    """Yield the updates by which ``follow`` shows the job that ``submit`` returns; if it is refused, ``notice`` says why."""
    try:
        job = submit()
    except Exception as error:
        yield {notice: failed(sentence(error))}
        return
    async for update in follow(job):
        yield update


class Unfinished:
    """Finds the job for the part ``key`` of the page that still runs when a tab is loaded.

    One event shows the tab how the job stands (:meth:`find`), and the next one follows it (:meth:`take`), even if it has ended in
    between.
    """

    def __init__(self, desk: SessionManager, key: str) -> None:
        self._desk, self._key = desk, key
        self._found: WeakValueDictionary[str, Job] = WeakValueDictionary()

    def find(self, request: gr.Request) -> dict[str, Any]:
        """Return the value of a job component that shows the session's job. UsageError if there is no session."""
        job = self._desk.of(request.session_hash).job
        if job is None or job.key != self._key or job.state not in ("waiting", "running", "failed"):
            return IDLE
        self._found[str(request.session_hash)] = job
        return working(job, self._desk)

    def take(self, request: gr.Request) -> Job | None:
        """Return the job that :meth:`find` found for this tab, once; None if it found none."""
        return self._found.pop(str(request.session_hash), None)

    async def resume(
        self, request: gr.Request, follow: Callable[[Job], AsyncIterator[Any]], notice: gr.HTML
    ) -> AsyncIterator[Any]:
        """Yield the updates by which ``follow`` shows the job that :meth:`find` found, or one that changes nothing."""
        job = self.take(request)
        if job is None:
            yield unchanged(notice)
            return
        async for update in follow(job):
            yield update


async def followed(job: Job, desk: SessionManager) -> AsyncIterator[dict[str, Any]]:
    """Yield the values of a job component until the job has ended.

    An event that yields several updates must repeat in each of them the components of the updates before. Gradio sends the
    difference between two updates, and the page applies it to the earlier one in place: if both come before the answer to the
    request that asked for them, the page never sees what the later one leaves out. What is given once belongs in another event.
    """
    before: dict[str, Any] = {}
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        with suppress(RuntimeError):  # the server's loop has ended
            loop.call_soon_threadsafe(ended.set)

    job.on_end(wake)
    while job.active:
        now = working(job, desk)
        if now != before:
            yield now
        before = now
        await desk.clock.wait_async(ended, POLL_S)


async def saving(
    job: Job, desk: SessionManager, notice: gr.HTML, component: gr.HTML, value: dict[str, Any], *, name: str | None = None
) -> AsyncIterator[dict[Any, Any]]:
    """Yield the updates that show a job that makes a file; at its end the browser saves the file.

    ``value`` is what ``component``, whose script saves, shows already. The file is saved under ``name``, or else its own name.
    """
    async for words in followed(job, desk):
        yield {notice: words, component: value}
    if job.state != "done":
        yield {notice: working(job, desk), component: value}
    else:
        file = {"url": job.session.serve(job.result), "name": name or job.result.name, "number": job.folder.name}
        yield {notice: IDLE, component: value | {"saved": file}}


def remembered(desk: SessionManager, key: str, components: list[Any], *, after: list[Any]) -> Callable[[Any], None]:
    """Keep in the session what is chosen in these components, for a tab that is loaded again.

    ``after`` are the events that change some of them; what is returned takes others. Each request carries the moment at which the
    page sent it, because one that was sent earlier may arrive later.
    """
    moment = gr.Number(visible=False)
    stamped = "(moment, ...values) => [performance.timeOrigin + performance.now(), ...values]"

    async def remember(request: gr.Request, sent: float, *values: Any) -> None:  # a coroutine, so that one follows the other
        with suppress(UsageError):  # of a session that is gone
            desk.of(request.session_hash).choose(key, list(values), sent=sent)

    taken_away = [event for c in components if isinstance(c, gr.Dropdown) for event in (c.select, c.blur)]
    told = {"inputs": [moment, *components], "outputs": None, "js": stamped, **EVENT}
    gr.on([*(c.input for c in components), *taken_away], remember, **told)  # what is taken away is no input to Gradio

    def remember_after(event: Any) -> None:
        event.then(remember, **told)

    for event in after:
        remember_after(event)
    return remember_after


def halting(desk: SessionManager, notice: gr.HTML) -> Callable[[gr.Request], Any]:
    """Return what a button "Stop" does: it cancels the session's job, and the component ``notice`` says so."""

    def halt(request: gr.Request) -> Any:
        def stopped() -> Any:
            session = desk.of(request.session_hash)
            if session.job is None or not session.job.active:
                return {notice: gr.skip()}
            session.job.cancel()
            return {notice: working(session.job, desk)}

        return guarded(stopped, notice)

    return halt
