"""The Annotate tab: a video in, the explained answer out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from vidcam import Look, Settings
from vidcam.errors import UsageError
from vidcam.render import STYLES

from . import jobs, menus, view_models
from .components import EVENT, IDLE, Unfinished, failed, followed, guarded, halting, part, remembered, unchanged, working
from .sessions import Job, Session, SessionManager, sentence
from .uploads import Video, megabytes, minutes

__all__ = ["AnnotateTab", "take"]

KEY = "annotate"
LOOK = Look()
NO_LABEL = [("nothing in particular", "")]


class AnnotateTab:
    """The tab, made inside the app's page, with ``model`` chosen at first.

    :meth:`begin` gives ``starting`` their values when a tab of the browser is loaded, and :meth:`resume` then gives ``shown`` the
    progress of a job that still runs.
    """

    def __init__(self, desk: SessionManager, engines: jobs.Engines, *, model: str, examples: list[Video]) -> None:
        self._desk, self._engines, self._examples = desk, engines, examples
        self._unfinished = Unfinished(desk, KEY)
        with gr.Row(equal_height=False, elem_id="annotate"):
            with gr.Column(scale=7, min_width=340):
                self.stage = part("stage", {}, input=None, result=None, elem_id="stage")
            with gr.Column(scale=4, min_width=320, elem_id="side", elem_classes="asks"):
                self._answer = part("answer", {}, elem_id="answer")
                self._look = self._make_look()
                self._asked = self._make_questions(model)
                with gr.Row(elem_id="go"):
                    self._explain = gr.Button("Explain", variant="primary", elem_id="explain", elem_classes="go")
                    self._stop = gr.Button("Stop", elem_id="stop", elem_classes="stop")
                self._job = part("job", IDLE, elem_id="job")
        self.shown = [self.stage, self._answer, self._job, self._explain]
        self.starting = [*self.shown, *self._look, *self._asked]
        self._connect()

    def _make_look(self) -> list[Any]:
        """Make the controls of how evidence is drawn: style, opacity, signed."""
        with gr.Group(elem_id="look"):
            style = gr.Radio([(s.replace("-", " ").capitalize(), s) for s in STYLES], value=LOOK.style, label="Drawn as")
            with gr.Row():
                opacity = gr.Slider(
                    0.05, 1.0, LOOK.opacity, step=0.01, label="Opacity", buttons=[], min_width=170, elem_id="opacity"
                )
                signed = gr.Checkbox(LOOK.signed, label="Against it too", min_width=130, elem_id="signed")
        return [style, opacity, signed]

    def _make_questions(self, model: str) -> list[Any]:
        """Make the controls of what is explained, in the order of the arguments of :meth:`_run`."""
        with gr.Group(elem_id="ask"):
            self.model_menu = part("menu", model, items=menus.model_items(), note="", label="Model", elem_id="model")
            self._method_menu = part(
                "menu", menus.own_method(model), items=menus.one_method_items(model), note="", label="Method", elem_id="method"
            )
            self._classes = gr.Dropdown(
                list(menus.labels(model)), value=[], multiselect=True, label="Evidence for", elem_id="classes",
                info="Nothing chosen: what the model says.",
            )  # fmt: skip
            self._versus = gr.Dropdown(_other_labels(model), value="", label="Rather than", elem_id="versus")
            verdict = gr.Checkbox(True, label="Test the evidence: does the answer need it?", elem_id="verdict")
            with gr.Accordion("More", open=False):
                smoothing = gr.Radio(["gaussian", "exponential", "flow", "none"], value="gaussian", label="Smoothing over time")
                smooth_s = gr.Slider(0, 2, 0.25, step=0.05, label="Smoothing, seconds", buttons=[])
                hop = gr.Slider(0, 4, 0, step=0.05, label="Seconds between clip starts", info="0: half a clip.", buttons=[])
                cover = gr.Checkbox(False, label="Several crops that cover the whole frame")
                with gr.Row():
                    start = gr.Number(0, label="From second", minimum=0, min_width=100)
                    end = gr.Number(None, label="To second", minimum=0, min_width=100, placeholder="the end")
        menu_parts = [self.model_menu, self._method_menu, self._classes, self._versus]
        return [*menu_parts, smoothing, smooth_s, hop, cover, start, end, verdict]

    def _connect(self) -> None:
        """Connect the events of the controls to the methods below."""
        self.stage.upload(self._show_video, None, self.shown, **EVENT)
        self.stage.select(self._choose_example, None, self.shown, **EVENT)
        menu_parts = [self._method_menu, self._classes, self._versus]
        changes = [
            self.model_menu.input(self._change_model, [self.model_menu, *menu_parts], [self._job, *menu_parts], **EVENT),
            self._answer.select(self._try_model, menu_parts, [self._job, self.model_menu, *menu_parts], **EVENT),
        ]
        remembered(self._desk, KEY, self._asked, after=changes)
        self._explain.click(self._run, self._asked, self.shown, **EVENT)
        self._stop.click(halting(self._desk, self._job), None, [self._job], **EVENT)
        style, opacity, signed = self._look
        for changed in (style.input, signed.input, opacity.release):
            changed(self._change_look, self._look, self.shown, **EVENT)

    async def begin(self, request: gr.Request) -> AsyncIterator[Any]:
        """Fill the tab when it is loaded with what its session has."""

        def update() -> Any:
            session, job = self._desk.of(request.session_hash), self._unfinished.find(request)
            session.look = session.look or LOOK
            limits = self._desk.limits
            value = {
                "token": session.token,
                "secret": session.secret,
                "size": limits.size,
                "words": f"up to {megabytes(limits.size)} and {minutes(limits.seconds)}",
                "examples": [{"name": v.name, "facts": v.facts, "poster": v.poster} for v in self._examples],
            }
            return self._video_and_result(session, value=value) | self._earlier_choices(session) | {self._job: job}

        yield guarded(update, self._job)

    async def resume(self, request: gr.Request) -> AsyncIterator[Any]:
        """Show the progress of a job that still runs when the tab is loaded, and its result."""
        job = self._unfinished.take(request)
        if job is None:
            yield unchanged(self._job)
            return
        async for update in self._follow(job.session, job):
            yield update

    def _earlier_choices(self, session: Session) -> dict[Any, Any]:
        """Return what was chosen before the page was loaded again."""
        look = session.look or LOOK
        values: dict[Any, Any] = dict(zip(self._look, (look.style, look.opacity, look.signed), strict=True))
        if KEY in session.chosen:
            own = dict(zip(self._asked, session.chosen[KEY], strict=True))
            values |= own | self._menus_for(*(own[c] for c in (self.model_menu, self._method_menu, self._classes, self._versus)))
        return values

    def _video_and_result(self, session: Session, **more: Any) -> dict[Any, Any]:
        video = None if session.video is None else view_models.of_video(session, session.video)
        result: jobs.Result | None = session.results.get(KEY)
        parts = {self.stage: gr.HTML(input=video, result=None, **more), self._answer: {}, self._explain: gr.Button("Explain")}
        if result is not None:
            parts |= self._result(session, result) | {self._explain: gr.Button("Explain again")}
            parts[self.stage] = gr.HTML(input=video, result=_stage_value(session, result), **more)
        return parts

    def _result(self, session: Session, result: jobs.Result) -> dict[Any, Any]:
        words = view_models.answered(result.analysis, session) | {"files": view_models.downloads(session, result.outputs)}
        return {self.stage: gr.HTML(result=_stage_value(session, result)), self._answer: words}

    def _show_video(self, request: gr.Request) -> Any:
        def update() -> Any:
            return self._video_and_result(self._desk.of(request.session_hash)) | {self._job: IDLE}

        return guarded(update, self._job)

    def _choose_example(self, event: gr.EventData, request: gr.Request) -> Any:
        name = event._data.get("name")

        def update() -> Any:
            session = self._desk.of(request.session_hash)
            video = next((v for v in self._examples if v.name == name), None)
            if video is None:
                raise UsageError(f"{name!r} is none of the examples")
            take(session, video)
            return self._video_and_result(session) | {self._job: IDLE}

        return guarded(update, self._job)

    def _menus_for(self, model: Any, method: Any, labels: list[str] | None, versus: Any) -> dict[Any, Any]:
        """Return the menus for ``model``; they keep what is chosen in them if the model knows it."""
        name, before = menus.check_model(model), str(method)
        reason, own = menus.refusal(before, name), menus.own_method(name)
        note = "" if reason is None else f"{reason[0].upper()}{reason[1:]}: {own} instead."
        known = set(menus.labels(name))
        return {
            self.model_menu: name,
            self._method_menu: gr.HTML(own if reason else before, items=menus.one_method_items(name), note=note),
            self._classes: gr.Dropdown(choices=list(menus.labels(name)), value=[c for c in labels or [] if c in known]),
            self._versus: gr.Dropdown(choices=_other_labels(name), value=versus if versus in known else ""),
        }

    def _change_model(self, model: Any, method: Any, labels: Any, versus: Any, request: gr.Request) -> Any:
        def update() -> Any:
            self._desk.of(request.session_hash)
            return {c: v for c, v in self._menus_for(model, method, labels, versus).items() if c is not self.model_menu}

        return guarded(update, self._job)

    def _try_model(self, method: Any, labels: Any, versus: Any, event: gr.EventData, request: gr.Request) -> Any:
        """Choose the other model that the answer offers."""

        def update() -> Any:
            self._desk.of(request.session_hash)
            return self._menus_for(event._data.get("model"), method, labels, versus)

        return guarded(update, self._job)

    async def _follow(self, session: Session, job: Job) -> AsyncIterator[Any]:
        """Yield the job's progress and then its result, drawn again if another look was chosen while it was drawn."""
        shown: dict[Any, Any] = {}  # a later update contains what the earlier ones did: see :func:`followed`
        while True:
            async for words in followed(job, self._desk):
                yield shown | {self._job: words}
            result: jobs.Result | None = job.result if job.state == "done" else None
            if result is not None and session.results.get(KEY) is not result:
                yield shown | unchanged(self._job)  # there is another video by now
                return
            shown = self._ended(session, job, result)
            yield shown
            if result is None or session.busy or session.look == result.look:
                return
            try:
                job = self._desk.submit(session, jobs.redraw(session, result), key=KEY, keep=True)
            except UsageError as error:
                yield shown | {self._job: failed(str(error))}
                return

    def _ended(self, session: Session, job: Job, result: jobs.Result | None) -> dict[Any, Any]:
        button = {self._explain: gr.Button("Explain" if KEY not in session.results else "Explain again")}
        if result is None:
            return {self._job: working(job, self._desk)} | button
        return {self._job: IDLE} | button | self._result(session, result)

    async def _run(
        self, model: Any, method: Any, labels: Any, versus: Any, smoothing: Any, smooth_s: Any, hop: Any, cover: Any, start: Any,
        end: Any, verdict: Any, request: gr.Request,
    ) -> AsyncIterator[Any]:  # fmt: skip
        try:
            session = self._desk.of(request.session_hash)
            name = menus.check_model(model)
            settings = Settings(
                method=str(method), classes=tuple(map(str, labels or ())), versus=str(versus) if versus else None,
                seconds_between_clip_starts=float(hop) or None, cover=bool(cover),
                smoothing=smoothing, smooth_s=0.0 if smoothing == "none" else float(smooth_s),
                start_s=float(start) if start else None, end_s=float(end) if end else None, verdict=bool(verdict),
            )  # fmt: skip
            job = self._desk.submit(session, jobs.explain(session, self._engines, name, settings), key=KEY, keep=True)
        except Exception as error:
            yield {self._job: failed(sentence(error))}
            return
        async for update in self._follow(session, job):
            yield update

    async def _change_look(self, style: str, opacity: float, signed: bool, request: gr.Request) -> AsyncIterator[Any]:
        try:
            session = self._desk.of(request.session_hash)
            if style not in STYLES or not 0 < float(opacity) <= 1:
                raise UsageError(f"a picture is drawn as {', '.join(STYLES)}, with an opacity of 0 to 1")
            session.look = Look(style, float(opacity), bool(signed))
            before = session.results.get(KEY)
            if before is None or session.busy:
                yield unchanged(self._job)  # the job that draws will use the new look
                return
            job = self._desk.submit(session, jobs.redraw(session, before), key=KEY, keep=True)
        except Exception as error:
            yield {self._job: failed(sentence(error))}
            return
        async for update in self._follow(session, job):
            yield update


def take(session: Session, video: Video) -> None:
    """Make this the session's video and delete the results of the one before. UsageError while that is being worked on."""
    if session.busy:
        raise UsageError("Your last request is still being worked on: wait for it, or stop it.")
    before, session.video = session.video, video
    if before is not None and session.folder in before.path.parents and before.path.parent != video.path.parent:
        session.forget(before.path.parent)
    for result in session.results.values():
        session.forget(result.folder)
    session.results.clear()
    session.job = None


def _stage_value(session: Session, result: jobs.Result) -> dict[str, Any]:
    return view_models.shown(result.analysis, result.number, session.serve(result.outputs["video"]))


def _other_labels(model: str) -> list[tuple[str, str]]:
    return NO_LABEL + [(label, label) for label in menus.labels(model)]
