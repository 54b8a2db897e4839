"""The Teach tab: clips of a few actions in, a model that knows them out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gradio as gr

from vidcam.errors import UsageError
from vidcam.io.json_text import parse_json
from vidcam.models import loading
from vidcam.models.table import list_specs
from vidcam.web import words

from . import jobs, menus, view_models
from .components import part
from .live import address_of
from .session import Session
from .sessions import SessionManager
from .tab_jobs import TabJobs, Updates
from .teach_clips import MAX_ACTIONS, lesson_of
from .teach_jobs import EPOCHS, Teaching, pack, teach
from .teach_models import MISTAKES, TEST, ModelShelf, TaughtModel
from .work import File, Job

__all__ = ["TeachTab"]

KEY = "teach"
NAMES = "[...document.querySelectorAll('.vc-teach .name')].map(field => [field.dataset.number, field.value])"


class TeachTab:
    """The tab, made inside the app's page.

    ``use`` is the button that takes the model of ``menu`` to another tab. After each of the events ``changes``, there may be
    other models.
    """

    def __init__(self, desk: SessionManager, engines: jobs.Engines, shelf: ModelShelf) -> None:
        self._desk, self._engines, self._shelf = desk, engines, shelf
        with gr.Row(equal_height=False, elem_classes="asks"):
            with gr.Column(scale=7, min_width=340):
                self._jobs = TabJobs(desk, KEY, elem_id="teach-job")
                # gr.Video sends to Gradio's own upload, which is closed; and a list that grows would be made anew at each change.
                self._lesson = part("teach", {}, uses=("bring",), elem_id="teach")
                self._live = part("live", {"src": ""}, elem_id="teach-live")
            with gr.Column(scale=4, min_width=320):
                asked = self._make_questions()
                with gr.Row():
                    start = gr.Button(words.Teach.TEACH, variant="primary", elem_id="teach-go", elem_classes="go")
                    self._jobs.stop_button()
                self._make_models()
        self._models = [self.menu, self._facts, self._live]
        self.changes = self._connect(start, asked)

    def enter(self, loaded: Any) -> None:
        """Fill the tab after the event by which a page is loaded."""
        starting = [self._lesson, *self._models]
        self.changes.append(self._jobs.enter(loaded, self._begin, starting, show=self._show, shown=self._models))

    def _make_questions(self) -> list[Any]:
        """Make the controls of how a model is taught, in the order of the arguments of :meth:`_teach`."""
        here = [(f"{spec.name} · {spec.title}", spec.name) for spec in list_specs() if loading.is_available(spec)]
        names = gr.Textbox(visible=False)  # carries the names as they stand in the page when the button is pressed
        with gr.Group(elem_id="ask-teach"):
            base = gr.Dropdown(
                here, value=Teaching.base, label=words.Teach.BASE, elem_id="teach-base",
                info=words.Teach.BASE_HELP,
            )  # fmt: skip
            with gr.Accordion(words.Common.MORE, open=False):
                epochs = gr.Slider(1, 60, EPOCHS, step=1, label=words.Teach.EPOCHS, info=words.Teach.EPOCHS_HELP, buttons=[])
                layers = gr.Radio(
                    [words.Teach.LAST_LAYER, words.Teach.ALL_LAYERS], value=words.Teach.LAST_LAYER, label=words.Teach.LAYERS,
                    info=words.Teach.LAYERS_HELP,
                )  # fmt: skip
        return [names, base, epochs, layers]

    def _make_models(self) -> None:
        """Make the controls of the models that were taught."""
        with gr.Column(elem_id="taught-models"):
            self.menu = gr.Dropdown([], label=words.Teach.MODELS, elem_id="taught-model")
            # gr.Markdown would read the names of actions as markup, and cannot have the browser save a file.
            self._facts = part("taught", {}, elem_id="taught")
            with gr.Row():
                self.use = gr.Button(words.Teach.USE, size="md", min_width=170)
                self._see = gr.Button(words.Teach.SEE_LIVE, size="md", min_width=170)
                self._save = gr.Button(words.Teach.DOWNLOAD, size="md", min_width=170)
                self._drop = gr.Button(words.Teach.DELETE, size="md", min_width=170)

    def _connect(self, start: gr.Button, asked: list[Any]) -> list[Any]:
        """Connect the events of the controls to the methods below; return those after which there may be other models."""
        on, work = self._jobs.on, self._jobs.work
        on(self._lesson.upload, self._show_lesson, outputs=[self._lesson])
        on(self._lesson.input, self._rename, said=True)
        on(self._lesson.submit, self._add_action, outputs=[self._lesson])
        on(self._lesson.delete, self._remove, outputs=[self._lesson], said=True)
        on(self.menu.input, self._choose, [self.menu], [self._facts, self._live])
        on(self._see.click, self._show_live, [self.menu], [self._live])
        work(self._save.click, self._pack, [self.menu], [self._facts], show=self._show_saved)
        sure = f"name => confirm({json.dumps(words.Teach.SURE)}) ? name : null"
        names = f"(_, ...more) => [JSON.stringify({NAMES}), ...more]"
        return [
            work(start.click, self._teach, asked, self._models, show=self._show, js=names),
            on(self._drop.click, self._delete, [self.menu], self._models, js=sure),
        ]

    def _begin(self, session: Session) -> Updates:
        return {self._lesson: self._values(session)} | self._taught(session)

    # --- the clips

    def _values(self, session: Session) -> dict[str, Any]:
        """Return the actions with their clips, and what an upload needs."""
        lesson = lesson_of(session)
        return view_models.upload(session, self._desk.limits) | {
            "full": len(lesson.actions) >= MAX_ACTIONS,
            "actions": [
                {
                    "number": action.number,
                    "label": action.label,
                    "clips": [
                        {
                            "number": clip.path.parent.name,
                            "poster": clip.poster,
                            "url": session.serve(clip.path),
                            "facts": clip.facts.partition(" · ")[0],
                        }
                        for clip in action.clips
                    ],
                }
                for action in lesson.actions
            ],
        }

    def _show_lesson(self, session: Session) -> Updates:
        return {self._lesson: self._values(session)} | ({} if session.busy else self._jobs.idle)

    def _add_action(self, session: Session) -> Updates:
        lesson_of(session).add_action()
        return self._show_lesson(session)

    def _remove(self, session: Session, said: dict[str, Any]) -> Updates:
        """Remove an action, or one of its clips."""
        if session.busy:
            raise UsageError(words.Common.BUSY)
        for folder in lesson_of(session).remove(said.get("action"), said.get("clip")):
            session.forget(folder)
        return self._show_lesson(session)

    def _rename(self, session: Session, said: dict[str, Any]) -> Updates:
        """Keep the names as they are typed, for a tab that is loaded again."""
        lesson_of(session).rename(dict(said.get("names") or []))
        return {}

    # --- teaching

    def _teach(self, session: Session, names: Any, base: Any, epochs: Any, layers: Any) -> Callable[[Job], TaughtModel]:
        """Teach a model what stands in the page."""
        lesson = lesson_of(session)
        lesson.rename(dict(parse_json(names)))
        how = Teaching(menus.check_model(base), int(epochs), layers == words.Teach.ALL_LAYERS)
        return teach(session, self._engines, self._shelf, lesson.check(), how)

    def _show(self, job: Job) -> Updates:
        """Return what shows the model that a job has taught; its zip is for the page that asked for it."""
        return self._taught(job.session, job.result.name) if isinstance(job.result, TaughtModel) else {}

    # --- the models

    def _taught(self, session: Session, chosen: str | None = None) -> Updates:
        """Return the models that were taught, with one chosen: the newest, if none is named."""
        taught = self._shelf.list(session.runs.name)
        model = next((m for m in taught if m.name == chosen), taught[0] if taught else None)
        choices = [(words.Teach.model_in_menu(labels=m.labels, right=m.right, tested=m.tested), m.name) for m in taught]
        return {
            self.menu: gr.Dropdown(choices, value=None if model is None else model.name),
            self._facts: {} if model is None else model_facts(session, model),
            self._live: {"src": ""},
        }

    def _choose(self, session: Session, name: Any) -> Updates:
        return {self._facts: model_facts(session, self._shelf.find(name)), self._live: {"src": ""}}

    def _show_live(self, session: Session, name: Any) -> Updates:
        return {self._live: {"src": address_of(session, self._shelf.find(name)), "jump": True}}

    def _pack(self, session: Session, name: Any) -> Callable[[Job], File]:
        """Put the model into a zip, which the browser saves when it is ready."""
        return pack(self._shelf.find(name))

    def _show_saved(self, job: Job) -> Updates:
        if job.state != "done":
            return {}
        return self._jobs.saved(job, self._facts, model_facts(job.session, self._shelf.find(job.result.origin)))

    def _delete(self, session: Session, name: Any) -> Updates:
        if name is None:  # the user was asked, and said no
            return {}
        if session.busy:
            raise UsageError(words.Common.BUSY)
        self._shelf.delete(session.runs.name, name)
        return self._taught(session)


def model_facts(session: Session, model: TaughtModel) -> dict[str, Any]:
    """Return what the page says of a taught model: how good it is, its mistakes, its pages, and its name at the command line."""
    pages = [(words.Teach.REPORT, model.folder, "report.html"), (words.Teach.MISTAKES, model.folder / TEST, MISTAKES)]
    return {
        "sentence": words.Teach.result(right=model.right, tested=model.tested),
        "mistakes": list(model.mistakes),
        "remarks": list(model.remarks),
        "pages": [
            {"title": title, "url": f"{session.serve(folder)}{name}"}
            for title, folder, name in pages
            if (folder / name).is_file()
        ],
        "folder": model.short_name,
    }
