"""The Models tab: the registries as tables, what is on this machine, and fetching the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr

from vidcam.errors import UsageError
from vidcam.models import weights
from vidcam.web import words

from . import jobs, menus
from .components import EVENT, part
from .session import Session
from .sessions import SessionManager
from .tab_jobs import TabJobs
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
            self._jobs = TabJobs(desk, KEY, elem_id="models-job")
            stop = gr.Button(words.Common.STOP, elem_id="models-stop", elem_classes="stop")
        # The search box of gr.Dataframe has no label, and its rows no button.
        self._models = part("models", None, elem_id="models")
        gr.Markdown(menus.methods_table(), elem_id="methods")
        self.outputs = [self._jobs.line, self._models]
        self._models.select(self._install, None, [*self.outputs, *menus_of_others], **EVENT)
        stop.click(self._jobs.stop, None, [self._jobs.line], **EVENT)

    async def begin(self, request: gr.Request) -> AsyncIterator[Any]:
        """Fill the tables, and show the progress of an installation that still runs."""
        shown: dict[Any, Any] = {self._models: _tables()}  # all later updates contain it: see :meth:`TabJobs.follow`
        yield shown
        try:
            job = self._jobs.unfinished(self._desk.of(request.session_hash))
        except UsageError:
            return  # the first tab says so
        if job is not None:
            async for update in self._follow(job):
                yield shown | {component: value for component, value in update.items() if component in self.outputs}

    async def _install(self, event: gr.EventData, request: gr.Request) -> AsyncIterator[Any]:
        def work(_: Session) -> Callable[[Job], Path]:
            return jobs.install(menus.check_model(event._data.get("name")))

        async for update in self._jobs.submit(request, work, self._follow):
            yield update

    async def _follow(self, job: Job) -> AsyncIterator[Any]:
        async for progress in self._jobs.follow(job):
            yield progress
        yield (
            self._jobs.end(job)
            | {self._models: _tables()}
            | {menu: gr.Dropdown(menus.model_choices(job.session.runs)) for menu in self._others}
        )


def _tables() -> dict[str, Any]:
    return {"rows": menus.models_table(), "folder": _shown(weights.cache_dir()), "offline": weights.is_offline()}


def _shown(folder: Path) -> str:
    """Return how a visitor reads the folder: the home folder, which has somebody's name, is ``~``."""
    with suppress(ValueError, RuntimeError):  # it is elsewhere, or nobody's
        return str(Path("~") / folder.relative_to(Path.home()))
    return str(folder)
