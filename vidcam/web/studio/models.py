"""The Models tab: the registries as tables, what is on this machine, and fetching the rest."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr

from vidcam.models import weights

from . import jobs, menus
from .components import part
from .session import Session
from .sessions import SessionManager
from .tab_jobs import TabJobs, Updates
from .work import Job

__all__ = ["ModelsTab"]

KEY = "models"


class ModelsTab:
    """The tab, made inside the app's page. After each of the events ``changes``, there may be other models."""

    def __init__(self, desk: SessionManager) -> None:
        with gr.Column(elem_classes="asks"):
            self._jobs = TabJobs(desk, KEY, elem_id="models-job")
            self._jobs.stop_button(elem_id="models-stop")
        # The search box of gr.Dataframe has no label, and its rows no button.
        self._models = part("models", None, elem_id="models")
        gr.Markdown(menus.methods_table(), elem_id="methods")
        self.changes = [
            self._jobs.work(self._models.select, self._install, outputs=[self._models], show=self._show, said=True),
        ]

    def enter(self, loaded: Any) -> None:
        """Fill the tables after the event by which a page is loaded."""
        shown = [self._models]
        self.changes.append(
            self._jobs.enter(loaded, lambda session: {self._models: _tables()}, shown, show=self._show, shown=shown)
        )

    def _install(self, session: Session, said: dict[str, Any]) -> Callable[[Job], Path]:
        return jobs.install(menus.check_model(said.get("name")))

    def _show(self, job: Job) -> Updates:
        return {self._models: _tables()}


def _tables() -> dict[str, Any]:
    return {"rows": menus.models_table(), "folder": _shown(weights.cache_dir()), "offline": weights.is_offline()}


def _shown(folder: Path) -> str:
    """Return how a visitor reads the folder: the home folder, which has somebody's name, is ``~``."""
    with suppress(ValueError, RuntimeError):  # it is elsewhere, or nobody's
        return str(Path("~") / folder.relative_to(Path.home()))
    return str(folder)
