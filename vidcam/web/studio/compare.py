"""The Compare tab: methods and classes in step on the chosen video."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from vidcam import Settings
from vidcam.errors import UsageError

from . import jobs, menus
from .components import EVENT, IDLE, failed, followed, guarded, halting, part, remembered, unchanged, working
from .sessions import Job, Session, SessionManager, sentence

__all__ = ["CompareTab"]

KEY = "compare"
MAX_METHODS = 8


class CompareTab:
    """The tab, made inside the app's page, with ``model`` chosen at first.

    :meth:`show_video` gives ``outputs`` when there is another video; :meth:`begin` gives ``starting`` what was chosen before the
    page was loaded again.
    """

    def __init__(self, desk: SessionManager, engines: jobs.Engines, *, model: str) -> None:
        self._desk, self._engines, self._model = desk, engines, model
        with gr.Row(equal_height=False, elem_classes="asks"):
            with gr.Column(scale=7, min_width=340):
                self._job = part("job", IDLE, elem_id="compare-job")
                self._page = part("compared", None, input=None, elem_id="compared")
            with gr.Column(scale=4, min_width=320):
                self._make_questions(model)
                with gr.Row(elem_classes="sticky"):
                    compare = gr.Button("Compare", variant="primary", elem_id="compare", elem_classes="go")
                    stop = gr.Button("Stop", elem_classes="stop")
        asked = [self.model_menu, self._method_menu, self._classes]
        self.outputs, self.starting = [self._page, self._job], [self._job, *asked]
        changed = self.model_menu.input(self._change_model, [self.model_menu, self._classes], [self._job, *asked], **EVENT)
        compare.click(self._run, asked, self.outputs, **EVENT)
        stop.click(halting(desk, self._job), None, [self._job], **EVENT)
        remembered(desk, KEY, asked, after=[changed])

    def _make_questions(self, model: str) -> None:
        with gr.Group(elem_id="ask-compare"):
            self.model_menu = gr.Dropdown(
                menus.model_choices(), value=model, label="Model", info=menus.reach(model), elem_id="compare-model"
            )
            self._method_menu = gr.Dropdown(
                menus.method_choices(model, several=True), value=_usual(model), multiselect=True, max_choices=MAX_METHODS,
                label="Methods", info=menus.method_note(model), elem_id="compare-methods",
            )  # fmt: skip
            self._classes = gr.Dropdown(
                list(menus.labels(model)), value=[], multiselect=True, label="Evidence for",
                info="Leave empty for the two most probable answers.",
            )  # fmt: skip

    async def show_video(self, request: gr.Request) -> AsyncIterator[Any]:
        """Show the session's video or its comparison, and the progress of a job that still runs."""
        try:
            session = self._desk.of(request.session_hash)
        except UsageError as error:
            yield {self._job: failed(str(error))}
            return
        video = session.video
        result: jobs.Compared | None = session.results.get(KEY)
        facts = None if video is None else {"name": video.name, "poster": video.poster, "facts": video.facts}
        page = gr.HTML(None if result is None else _finished(session, result), input=facts)
        shown: dict[Any, Any] = {self._page: page, self._job: IDLE}  # all later updates contain it: see :func:`followed`
        yield shown
        if session.job is not None and session.job.key == KEY and session.job.state in ("waiting", "running", "failed"):
            async for update in self._follow(session, session.job):
                yield shown | update

    def begin(self, request: gr.Request) -> Any:
        """Return what was chosen before the page was loaded again."""

        def update() -> Any:
            # Gradio forgets the values of components in a tab that was never looked at, so all of them are sent.
            session = self._desk.of(request.session_hash)
            usual: list[Any] = [self._model, _usual(self._model), []]
            chosen = session.chosen.get(KEY, usual)
            model, methods, labels = chosen if menus.is_known(chosen[0]) else usual
            menu = gr.Dropdown(menus.method_choices(model, several=True), value=methods, info=menus.method_note(model))
            return self._menus_for(session, model, labels) | {self._method_menu: menu}

        return guarded(update, self._job)

    def _menus_for(self, session: Session, model: Any, labels: list[str] | None) -> dict[Any, Any]:
        name = menus.check_model(model)
        known = set(menus.labels(name))
        return {
            self.model_menu: gr.Dropdown(menus.model_choices(session.runs), value=name, info=menus.reach(name)),
            self._method_menu: gr.Dropdown(
                menus.method_choices(name, several=True), value=_usual(name), info=menus.method_note(name)
            ),
            self._classes: gr.Dropdown(choices=list(menus.labels(name)), value=[c for c in labels or [] if c in known]),
        }

    def _change_model(self, model: Any, labels: Any, request: gr.Request) -> Any:
        return guarded(lambda: self._menus_for(self._desk.of(request.session_hash), model, labels), self._job)

    async def _follow(self, session: Session, job: Job) -> AsyncIterator[Any]:
        async for words in followed(job, self._desk):
            yield {self._job: words}
        is_current = session.results.get(KEY) is job.result  # there is no other video yet
        if job.state != "done":
            yield {self._job: working(job, self._desk)}
        elif is_current:
            yield {self._job: IDLE, self._page: _finished(session, job.result)}
        else:
            yield unchanged(self._job)

    async def _run(self, model: Any, methods: Any, labels: Any, request: gr.Request) -> AsyncIterator[Any]:
        try:
            session = self._desk.of(request.session_hash)
            name, names = menus.check_model(model), tuple(map(str, methods or ()))
            if not 1 <= len(names) <= MAX_METHODS:
                raise UsageError(f"Choose one to {MAX_METHODS} methods: {len(names)} are chosen.")
            settings = Settings(classes=tuple(map(str, labels or ())))
            work = jobs.compare(session, self._engines, name, names, settings)
            job = self._desk.submit(session, work, key=KEY, keep=True)
        except Exception as error:
            yield {self._job: failed(sentence(error))}
            return
        async for update in self._follow(session, job):
            yield update


def _usual(model: str) -> list[str]:
    """Return quick methods that work: the first of each group."""
    return [
        next(name for name in family if menus.refusal(name, model) is None)
        for family in (("cam", "gradcam"), ("gradcam++",), ("layercam",), ("gradientxinput", "attention-rollout"))
        if any(menus.refusal(name, model) is None for name in family)
    ]


def _finished(session: Session, result: jobs.Compared) -> dict[str, Any]:
    """Return the address of the page that plays the methods in step, and the files."""
    base = session.serve(result.folder)
    files = [{"url": f"{base}{path.name}", "name": path.name} for path in result.outputs.values()]
    return {"page": files[0]["url"], "files": files}
