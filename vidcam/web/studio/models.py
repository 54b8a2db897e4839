"""The Models tab: the registries as tables, what is on this machine, and fetching the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import gradio as gr

from vidcam.errors import UsageError
from vidcam.models import weights

from . import jobs, menus
from .components import EVENT, IDLE, failed, followed, halting, part, working
from .sessions import Job, SessionManager, sentence

__all__ = ["build"]

KEY = "models"


class Tab(NamedTuple):
    """What others must know: ``begin`` gives the ``outputs`` when the page is loaded."""

    outputs: list[Any]
    begin: Callable[..., Any]


def build(desk: SessionManager, others: list[gr.HTML]) -> Tab:
    """The tab; ``others`` are the menus of models elsewhere."""
    with gr.Column(elem_classes="asks"):
        job = part("job", IDLE, elem_id="models-job")
        stop = gr.Button("Stop", elem_id="models-stop", elem_classes="stop")
    models = part("models", None, elem_id="models")
    part("methods", menus.methods_table(), elem_id="methods")

    async def begin(request: gr.Request) -> AsyncIterator[Any]:
        yield {models: tables()}
        try:
            now = desk.of(request.session_hash).job
        except UsageError:
            return  # the first tab says so
        if now is not None and now.key == KEY and now.active:
            async for update in follow(now):
                yield {shown: value for shown, value in update.items() if shown in (job, models)}

    def tables() -> dict[str, Any]:
        return {"rows": menus.models_table(), "folder": str(weights.cache_dir()), "offline": weights.offline()}

    async def install(event: gr.EventData, request: gr.Request) -> AsyncIterator[Any]:
        try:
            session, name = desk.of(request.session_hash), menus.check_model(event._data.get("name"))
            now = desk.submit(session, jobs.install(name), key=KEY)
        except Exception as error:
            yield {job: failed(sentence(error))}
            return
        async for update in follow(now):
            yield update

    async def follow(now: Job) -> AsyncIterator[Any]:
        async for words in followed(now, desk):
            yield {job: words}
        ended = IDLE if now.state == "done" else working(now, desk)
        fresh = {menu: gr.HTML(items=menus.model_items()) for menu in others}
        yield {job: ended, models: tables()} | fresh

    outputs = [job, models, *others]
    models.select(install, None, outputs, **EVENT)
    stop.click(halting(desk, job), None, [job], **EVENT)
    return Tab([job, models], begin)
