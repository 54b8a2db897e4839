"""The Teach tab: clips of a few actions in, a model that knows them out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr

from vidcam.errors import UsageError
from vidcam.io.json_text import parse_json
from vidcam.models import loading
from vidcam.models.table import list_specs
from vidcam.web import words

from . import jobs, menus, view_models
from .components import EVENT, ModelMenu, part
from .live import address_of
from .session import Session
from .sessions import SessionManager
from .tab_jobs import TabJobs
from .teach_clips import MAX_ACTIONS, lesson_of
from .teach_jobs import EPOCHS, Teaching, pack, teach
from .teach_models import MISTAKES, TEST, ModelShelf, TaughtModel
from .work import Job

__all__ = ["TeachTab"]

KEY = "teach"
NAMES = "[...document.querySelectorAll('.vc-teach .name')].map(field => [field.dataset.number, field.value])"


class TeachTab:
    """The tab, made inside the app's page.

    ``others`` are the menus of models in other tabs. :meth:`begin` gives ``starting`` their values when a tab of the browser is
    loaded, and :meth:`resume` then gives ``shown`` the progress of a job that still runs. ``use`` is the button that takes the
    model of ``menu`` to another tab, and ``deleted`` the event after which other tabs may have another model.
    """

    def __init__(
        self,
        desk: SessionManager,
        engines: jobs.Engines,
        shelf: ModelShelf,
        others: list[ModelMenu],
    ) -> None:
        self._desk, self._engines, self._shelf, self._others = desk, engines, shelf, others
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
                    stop = gr.Button(words.Common.STOP, elem_classes="stop")
                self._make_models()
        models = [self.menu, self._facts, self._live, *(other.menu for other in others)]
        self.starting, self.shown = [self._jobs.line, self._lesson, *models], [self._jobs.line, *models]
        self._connect(start, stop, asked)

    def _make_questions(self) -> list[Any]:
        """Make the controls of how a model is taught, in the order of the arguments of :meth:`_run`."""
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

    def _connect(self, start: gr.Button, stop: gr.Button, asked: list[Any]) -> None:
        """Connect the events of the controls to the methods below."""
        self._lesson.upload(self._show_lesson, None, [self._jobs.line, self._lesson], **EVENT)
        self._lesson.input(self._rename, None, None, **EVENT)
        self._lesson.submit(self._add_action, None, [self._jobs.line, self._lesson], **EVENT)
        self._lesson.delete(self._remove, None, [self._jobs.line, self._lesson], **EVENT)
        start.click(self._run, asked, self.shown, js=f"(_, ...more) => [JSON.stringify({NAMES}), ...more]", **EVENT)
        stop.click(self._jobs.stop, None, [self._jobs.line], **EVENT)
        self.menu.input(self._choose, [self.menu], [self._jobs.line, self._facts, self._live], **EVENT)
        self._see.click(self._show_live, [self.menu], [self._jobs.line, self._live], **EVENT)
        self._save.click(self._pack, [self.menu], [self._jobs.line, self._facts], **EVENT)
        sure = f"name => confirm({json.dumps(words.Teach.SURE)}) ? name : null"
        self.deleted = self._drop.click(self._delete, [self.menu], self.shown, js=sure, **EVENT)

    async def begin(self, request: gr.Request) -> AsyncIterator[Any]:
        """Fill the tab when it is loaded with what its session has."""

        def update(session: Session) -> Any:
            return {self._lesson: self._values(session)} | self._jobs.find(session, request) | self._taught(session)

        yield self._jobs.answer(request, update)

    async def resume(self, request: gr.Request) -> AsyncIterator[Any]:
        """Show the progress of a job that still runs when the tab is loaded, and its model."""
        async for update in self._jobs.resume(request, self._follow):
            yield update

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

    def _show_lesson(self, request: gr.Request) -> Any:
        return self._change_lesson(request, lambda session: None)

    def _add_action(self, request: gr.Request) -> Any:
        return self._change_lesson(request, lambda session: lesson_of(session).add_action())

    def _remove(self, event: gr.EventData, request: gr.Request) -> Any:
        """Remove an action, or one of its clips."""

        def remove(session: Session) -> None:
            if session.busy:
                raise UsageError(words.Common.BUSY)
            for folder in lesson_of(session).remove(event._data.get("action"), event._data.get("clip")):
                session.forget(folder)

        return self._change_lesson(request, remove)

    def _change_lesson(self, request: gr.Request, change: Any) -> Any:
        def update(session: Session) -> Any:
            change(session)
            return {self._lesson: self._values(session)} | (self._jobs.unchanged if session.busy else self._jobs.idle)

        return self._jobs.answer(request, update)

    async def _rename(self, event: gr.EventData, request: gr.Request) -> None:
        """Keep the names as they are typed, for a tab that is loaded again."""
        if self._desk.knows(str(request.session_hash)):
            lesson_of(self._desk.of(request.session_hash)).rename(dict(event._data.get("names") or []))

    # --- teaching

    async def _run(self, names: Any, base: Any, epochs: Any, layers: Any, request: gr.Request) -> AsyncIterator[Any]:
        """Teach a model what stands in the page."""

        def work(session: Session) -> Callable[[Job], TaughtModel]:
            lesson = lesson_of(session)
            lesson.rename(dict(parse_json(names)))
            how = Teaching(menus.check_model(base), int(epochs), layers == words.Teach.ALL_LAYERS)
            return teach(session, self._engines, self._shelf, lesson.check(), how)

        async for update in self._jobs.submit(request, work, self._follow):
            yield update

    async def _follow(self, job: Job) -> AsyncIterator[Any]:
        async for progress in self._jobs.follow(job):
            yield progress
        if job.state != "done":
            yield self._jobs.working(job)
        else:
            name = job.result.name if isinstance(job.result, TaughtModel) else None  # a zip is for the tab that asked for it
            yield self._jobs.idle | self._taught(job.session, name)

    # --- the models

    def _taught(self, session: Session, chosen: str | None = None) -> dict[Any, Any]:
        """Return the menus with the models that were taught, with one chosen: the newest, if none is named."""
        taught = [] if session.runs is None else self._shelf.list(session.runs.name)
        model = next((m for m in taught if m.name == chosen), taught[0] if taught else None)
        choices = [(words.Teach.model_in_menu(labels=m.labels, right=m.right, tested=m.tested), m.name) for m in taught]
        return {
            self.menu: gr.Dropdown(choices, value=None if model is None else model.name),
            self._facts: {} if model is None else model_facts(session, model),
            self._live: {"src": ""},
        } | {menu: gr.Dropdown(menus.model_choices(session.runs)) for menu, *_ in self._others}

    def _choose(self, name: Any, request: gr.Request) -> Any:
        def update(session: Session) -> Any:
            shown = {self._facts: model_facts(session, self._shelf.find(name)), self._live: {"src": ""}}
            return shown | self._jobs.unchanged

        return self._jobs.answer(request, update)

    def _show_live(self, name: Any, request: gr.Request) -> Any:
        def update(session: Session) -> Any:
            model = self._shelf.find(name)
            return {self._live: {"src": address_of(session, model), "jump": True}} | self._jobs.unchanged

        return self._jobs.answer(request, update)

    async def _pack(self, name: Any, request: gr.Request) -> AsyncIterator[Any]:
        """Put the model into a zip, which the browser saves when it is ready."""

        def follow(job: Job) -> AsyncIterator[Any]:
            return self._jobs.save(job, self._facts, model_facts(job.session, self._shelf.find(name)))

        async for update in self._jobs.submit(request, lambda session: pack(self._shelf.find(name)), follow):
            yield update

    def _delete(self, name: Any, request: gr.Request) -> Any:
        def update(session: Session) -> Any:
            if name is None or session.runs is None:  # the user was asked, and said no
                return self._jobs.unchanged
            if session.busy:
                raise UsageError(words.Common.BUSY)
            self._shelf.delete(session.runs.name, name)
            return self._jobs.unchanged | self._taught(session) | self._reset_menus(session, name)

        return self._jobs.answer(request, update)

    def _reset_menus(self, session: Session, deleted: str) -> dict[Any, Any]:
        """Return the menus of other tabs in which a model was chosen that is deleted, with another one chosen instead."""
        choices = menus.model_choices(session.runs)
        return {
            other.menu: gr.Dropdown(choices, value=other.instead)
            for other in self._others
            if session.chosen.get(other.key, [])[other.place : other.place + 1] == [deleted]
        }


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
