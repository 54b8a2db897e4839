"""The Models tab: the registries as tables, what is on this machine, and fetching the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from vidcam.errors import UsageError
from vidcam.models import weights
from vidcam.web import words

from . import jobs, menus
from .components import EVENT, IDLE, followed, halting, part, submitted, working
from .sessions import SessionManager
from .work import Job

__all__ = ["ModelsTab"]

KEY = "models"


class ModelsTab:
    """The tab, made inside the app's page; ``menus_of_others`` are the menus of models in other tabs.

    :meth:`begin` gives ``outputs`` when the page is loaded.
    """

    def __init__(self, desk: SessionManager, menus_of_others: list[gr.Dropdown]) -> None:
        self._desk, self._others = desk, menus_of_others
        with gr.Column(elem_classes="asks"):
            self._job = part("job", IDLE, elem_id="models-job")
            stop = gr.Button(words.Common.STOP, elem_id="models-stop", elem_classes="stop")
        # The search box of gr.Dataframe has no label, and its rows no button.
        self._models = part("models", None, elem_id="models")
        part("methods", menus.methods_table(), elem_id="methods")
        self.outputs = [self._job, self._models]
        self._models.select(self._install, None, [*self.outputs, *menus_of_others], **EVENT)
        stop.click(halting(desk, self._job), None, [self._job], **EVENT)

    async def begin(self, request: gr.Request) -> AsyncIterator[Any]:
        """Fill the tables, and show the progress of an installation that still runs."""
        shown: dict[Any, Any] = {self._models: _tables()}  # all later updates contain it: see :func:`followed`
        yield shown
        try:
            job = self._desk.of(request.session_hash).job
        except UsageError:
            return  # the first tab says so
        if job is not None and job.key == KEY and job.active:
            async for update in self._follow(job):
                yield shown | {component: value for component, value in update.items() if component in self.outputs}

    async def _install(self, event: gr.EventData, request: gr.Request) -> AsyncIterator[Any]:
        def submit() -> Job:
            session, name = self._desk.of(request.session_hash), menus.check_model(event._data.get("name"))
            return self._desk.submit(session, jobs.install(name), key=KEY)

        async for update in submitted(submit, self._follow, self._job):
            yield update

    async def _follow(self, job: Job) -> AsyncIterator[Any]:
        async for progress in followed(job, self._desk):
            yield {self._job: progress}
        end = IDLE if job.state == "done" else working(job, self._desk)
        yield {self._job: end, self._models: _tables()} | {
            menu: gr.Dropdown(menus.model_choices(job.session.runs)) for menu in self._others
        }


def _tables() -> dict[str, Any]:
    return {"rows": menus.models_table(), "folder": str(weights.cache_dir()), "offline": weights.is_offline()}
