"""The Models tab: the registries as tables, what is on this machine, and fetching the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import gradio as gr

from vidcam.models import weights

from . import menus, work
from .desk import Desk, sentence
from .parts import EVENT, IDLE, failed, followed, halting, part, working

__all__ = ["build"]


class Tab(NamedTuple):
    """What others must know: ``tables`` gives the ``outputs`` when the page is opened."""

    outputs: list[Any]
    tables: Callable[[], Any]


def build(desk: Desk, others: list[gr.HTML]) -> Tab:
    """The tab; ``others`` are the menus of models elsewhere."""
    with gr.Column(elem_classes="asks"):
        job = part("job", IDLE, elem_id="models-job")
        stop = gr.Button("Stop", elem_id="models-stop", elem_classes="stop")
    models = part("models", None, elem_id="models")
    part("methods", menus.methods_table(), elem_id="methods")

    def tables() -> dict[str, Any]:
        return {"rows": menus.models_table(), "folder": str(weights.cache_dir()), "offline": weights.offline()}

    async def install(event: gr.EventData, request: gr.Request) -> AsyncIterator[Any]:
        try:
            session, name = desk.of(request.session_hash), menus.check_model(event._data.get("name"))
            now = desk.submit(session, work.install(name))
        except Exception as error:
            yield {job: failed(sentence(error))}
            return
        async for words in followed(now, desk):
            yield {job: words}
        ended = IDLE if now.state == "done" else working(now, desk)
        fresh = {menu: gr.HTML(items=menus.model_items()) for menu in others}
        yield {job: ended, models: tables()} | fresh

    models.select(install, None, [job, models, *others], **EVENT)
    stop.click(halting(desk, job), None, [job], **EVENT)
    return Tab([models], tables)
