"""The Annotate tab: a video in, the explained answer out."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import gradio as gr

from vidcam import Settings
from vidcam.engine import BUILT_IN
from vidcam.errors import UsageError
from vidcam.settings import Smoothing
from vidcam.web import words

from . import jobs, menus, view_models
from .asking import Hidden
from .components import (
    EVENT,
    IDLE,
    ModelMenu,
    Unfinished,
    failed,
    followed,
    guarded,
    halting,
    part,
    remembered,
    saving,
    submitted,
    unchanged,
    working,
)
from .results import Result, download_name, file_kinds
from .runs import RunShelf, StoredRun
from .session import Session
from .sessions import SessionManager
from .uploads import Video, megabytes, minutes
from .work import Cancelled, Job, sentence

__all__ = ["AnnotateTab", "take"]

KEY = "annotate"
log = logging.getLogger("vidcam.app")
NO_LABEL = [(words.Annotate.NO_CONTRAST, "")]


class AnnotateTab:
    """The tab, made inside the app's page, with ``model`` chosen at first for the reason ``because``.

    ``showcase`` is the folder in which the explained example of the empty page is kept; None shows none.

    :meth:`begin` gives ``starting`` their values when a tab of the browser is loaded, and :meth:`resume` then gives ``shown`` the
    progress of a job that still runs.
    """

    def __init__(
        self,
        desk: SessionManager,
        engines: jobs.Engines,
        shelf: RunShelf,
        *,
        model: str,
        examples: list[Video],
        because: str = "",
        showcase: Path | None = None,
    ) -> None:
        self._desk, self._engines, self._shelf, self._examples, self._showcase = desk, engines, shelf, examples, showcase
        self._unfinished = Unfinished(desk, KEY)
        with gr.Row(equal_height=False, elem_id="annotate", elem_classes="asks"):
            with gr.Column(scale=7, min_width=340):
                # gr.Progress covers the outputs, which must stay in sight, and does not come back when the page is loaded again.
                self._job = part("job", IDLE, elem_id="job")
                # gr.Video plays no heat; its upload knows no session, and no check that waits in the queue.
                self.stage = part(
                    "stage", {}, input=None, result=None, hidden=None, showcase=None, uses=("bring",), elem_id="stage"
                )
                # gr.Gallery has no second choice, no words under a picture but one caption, and no button to delete one.
                self._runs = part("runs", {"cards": []}, elem_id="runs")
            with gr.Column(scale=4, min_width=320, elem_id="side"):
                self._answer = part("answer", {}, elem_id="answer")
                self._asked = self._make_questions(model, because)
                with gr.Row(elem_id="go", elem_classes="sticky"):
                    self._explain = gr.Button(words.Annotate.EXPLAIN, variant="primary", elem_id="explain", elem_classes="go")
                    self._stop = gr.Button(words.Common.STOP, elem_id="stop", elem_classes="stop")
        self.shown = [self.stage, self._answer, self._job, self._explain, self._runs]
        self.starting = [*self.shown, *self._asked]
        self._connect()

    def _make_questions(self, model: str, because: str) -> list[Any]:
        """Make the controls of what is explained, in the order of the arguments of :meth:`_run`."""
        known = list(menus.labels(model))
        with gr.Group(elem_id="ask"):
            self.model_menu = gr.Dropdown(
                menus.model_choices(),
                value=model,
                label=words.Common.MODEL,
                info=f"{menus.reach(model)} {because}",
                elem_id="model",
            )
            self._method_menu = gr.Dropdown(
                menus.method_choices(model),
                value=menus.own_method(model),
                label=words.Annotate.METHOD,
                info=menus.method_note(model),
                elem_id="method",
            )
            self._classes = gr.Dropdown(
                known, value=[], multiselect=True, label=words.Common.EVIDENCE_FOR, elem_id="classes",
                info=words.Annotate.CLASSES_HELP,
            )  # fmt: skip
            self._versus = gr.Dropdown(_other_labels(model), value="", label=words.Annotate.CONTRAST, elem_id="versus")
            verdict = gr.Checkbox(
                True,
                label=words.Annotate.CHECK,
                elem_id="verdict",
            )
            with gr.Accordion(words.Common.MORE, open=False):
                smoothing = gr.Radio(list(get_args(Smoothing)), value=Settings().smoothing, label=words.Annotate.SMOOTHING)
                smooth_s = gr.Slider(0, 2, 0.25, step=0.05, label=words.Annotate.SMOOTHING_SECONDS, buttons=[])
                hop = gr.Slider(
                    0, 4, 0, step=0.05, label=words.Annotate.CLIP_STARTS, info=words.Annotate.CLIP_STARTS_HELP, buttons=[]
                )
                cover = gr.Checkbox(False, label=words.Annotate.COVER)
                with gr.Row():
                    start = gr.Textbox("", label=words.Annotate.FROM, min_width=100, placeholder=words.Annotate.FROM_DEFAULT)
                    end = gr.Textbox("", label=words.Annotate.TO, min_width=100, placeholder=words.Annotate.TO_DEFAULT)
        self.model_menus = [ModelMenu(self.model_menu, KEY, 0, model)]
        self.menu_parts = [self.model_menu, self._method_menu, self._classes, self._versus]
        return [*self.menu_parts, smoothing, smooth_s, hop, cover, start, end, verdict]

    def _connect(self) -> None:
        """Connect the events of the controls to the methods below."""
        self.stage.upload(self._show_video, None, self.shown, **EVENT)
        self.stage.select(self._choose_example, None, self.shown, **EVENT)
        wanted = self._answer.select(self._take_offer, self.menu_parts, [self._job, *self.menu_parts], **EVENT)
        wanted.then(self._run, self._asked, self.shown, **EVENT)
        changes = [
            self.model_menu.input(self._change_model, self.menu_parts, [self._job, *self.menu_parts], **EVENT),
            self._runs.select(self._open, None, [*self.shown, *self._asked], **EVENT),
            wanted,
        ]
        self._remember_after = remembered(self._desk, KEY, self._asked, after=changes)
        self._explain.click(self._run, self._asked, self.shown, **EVENT)
        self.stage.submit(self._hide, None, [self.stage], **EVENT)
        self.stage.apply(self._run_queue, self._asked, self.shown, **EVENT)
        self._runs.delete(self._delete, None, self.shown, **EVENT)
        self._runs.download(self._save_runs, None, [self._job, self._runs], **EVENT)
        self._answer.download(self._save, None, [self._job, self._answer], **EVENT)
        self._stop.click(halting(self._desk, self._job), None, [self._job], **EVENT)

    def follow_model(self, changed: Any) -> None:
        """Fill the menus for the model of the menu after an event that may have chosen another one."""
        event = changed.then(self._change_model, self.menu_parts, [self._job, *self.menu_parts], **EVENT)
        self._remember_after(event)

    def take_model(self, button: gr.Button, menu: gr.Dropdown) -> Any:
        """Let a button of another tab choose the model that is chosen in a menu there; return the event that does."""
        outputs = [self._job, *self.menu_parts]
        event = button.click(self._change_model, [menu, *self.menu_parts[1:]], outputs, **EVENT)
        self._remember_after(event)
        return event

    async def begin(self, request: gr.Request) -> AsyncIterator[Any]:
        """Fill the tab when it is loaded with what its session has."""

        def update() -> Any:
            session, job = self._desk.of(request.session_hash), self._unfinished.find(request)
            limits = self._desk.limits
            value = {
                "token": session.token,
                "secret": session.secret,
                "size": limits.size,
                "words": words.Uploads.limits(size=megabytes(limits.size), length=minutes(limits.seconds)),
                "examples": [{"name": v.name, "facts": v.facts, "poster": v.poster} for v in self._examples],
            }
            return self._video_and_result(session, value=value) | self._earlier_choices(session) | {self._job: job}

        yield guarded(update, self._job)

    async def resume(self, request: gr.Request) -> AsyncIterator[Any]:
        """Show the progress of a job that still runs when the tab is loaded, and its result."""
        async for update in self._unfinished.resume(request, self._follow, self._job):
            yield update

    def _earlier_choices(self, session: Session) -> dict[Any, Any]:
        """Return what was chosen before the page was loaded again."""
        if KEY not in session.chosen:
            return {}
        own = dict(zip(self._asked, session.chosen[KEY], strict=True))
        if not menus.is_known(own[self.model_menu]):  # it was taught here, and deleted since
            return {}
        return own | self._menus_for(session, *(own[c] for c in self.menu_parts))

    def _video_and_result(self, session: Session, **more: Any) -> dict[Any, Any]:
        video = None if session.video is None else view_models.of_video(session, session.video)
        result: Result | None = session.results.get(KEY)
        cards = {self._runs: self._cards(session)}
        if result is None:
            empty = gr.HTML(input=video, result=None, **more)
            return cards | {self.stage: empty, self._answer: {}, self._explain: gr.Button(words.Annotate.EXPLAIN)}
        return cards | {
            self.stage: gr.HTML(input=video, result=view_models.shown(session, result), **more),
            self._answer: view_models.answered(result, session),
            self._explain: gr.Button(words.Annotate.EXPLAIN_AGAIN),
        }

    def _cards(self, session: Session) -> dict[str, Any]:
        runs = [] if session.runs is None else self._shelf.list(session.runs)
        return {"cards": view_models.cards(session, runs)}

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
                raise UsageError(words.Annotate.no_example(name=name))
            take(session, video)
            return self._video_and_result(session) | {self._job: IDLE}

        return guarded(update, self._job)

    def _menus_for(self, session: Session, model: Any, method: Any, labels: list[str] | None, versus: Any) -> dict[Any, Any]:
        """Return the menus for ``model``; they keep what is chosen in them if the model knows it."""
        name, before = menus.check_model(model), str(method)
        reason, own = menus.refusal(before, name), menus.own_method(name)
        note = menus.method_note(name) if reason is None else words.Menus.instead(reason=reason, method=own)
        known = set(menus.labels(name))
        return {
            self.model_menu: gr.Dropdown(menus.model_choices(session.runs), value=name, info=menus.reach(name)),
            self._method_menu: gr.Dropdown(menus.method_choices(name), value=own if reason else before, info=note),
            self._classes: gr.Dropdown(choices=list(menus.labels(name)), value=[c for c in labels or [] if c in known]),
            self._versus: gr.Dropdown(choices=_other_labels(name), value=versus if versus in known else ""),
        }

    def _change_model(self, model: Any, method: Any, labels: Any, versus: Any, request: gr.Request) -> Any:
        def update() -> Any:
            return self._menus_for(self._desk.of(request.session_hash), model, method, labels, versus)

        return guarded(update, self._job)

    def _take_offer(self, _: Any, method: Any, labels: Any, versus: Any, event: gr.EventData, request: gr.Request) -> Any:
        """Choose what the answer offers: another model, or one of the classes of the model that answered."""
        wanted = event._data

        def update() -> Any:
            session = self._desk.of(request.session_hash)
            if "label" not in wanted:
                return self._menus_for(session, wanted.get("model"), method, labels, versus)
            result: Result | None = session.results.get(KEY)
            if result is None:
                raise UsageError(words.Common.NOT_EXPLAINED)
            return self._menus_for(session, jobs.asked_of(result)[0], method, [wanted["label"]], None)

        return guarded(update, self._job)

    async def _follow(self, job: Job) -> AsyncIterator[Any]:
        """Yield the job's progress and its results: the first as soon as there is evidence, the last with the verdict."""
        session = job.session
        shown: dict[Any, Any] = {}  # a later update contains what the earlier ones did: see :func:`followed`
        results = 0
        async for progress in followed(job, self._desk):
            if job.shown > results:
                results = job.shown
                shown = self._video_and_result(session)
            yield shown | {self._job: progress}
        if session.job is not job:  # there is another video by now
            yield shown | unchanged(self._job)
            return
        if KEY in session.results or shown:
            shown = self._video_and_result(session)
        yield shown | {self._job: IDLE if job.state == "done" else working(job, self._desk)}

    async def _run(self, request: gr.Request, *asked: Any) -> AsyncIterator[Any]:
        """Explain the session's video."""
        async for update in self._ask(request, [], *asked):
            yield update

    async def _run_queue(self, request: gr.Request, *asked: Any) -> AsyncIterator[Any]:
        """Explain the videos that came together, one after the other; they become cards."""
        try:
            session = self._desk.of(request.session_hash)
            videos, session.queue = session.queue, []
        except UsageError as error:
            yield {self._job: failed(str(error))}
            return
        async for update in self._ask(request, videos, *asked):
            yield update

    async def _ask(
        self, request: gr.Request, videos: list[Video], model: Any, method: Any, labels: Any, versus: Any, smoothing: Any,
        smooth_s: Any, hop: Any, cover: Any, start: Any, end: Any, verdict: Any,
    ) -> AsyncIterator[Any]:  # fmt: skip
        """Explain these videos, or else the session's, and follow the job."""

        def submit() -> Job:
            session = self._desk.of(request.session_hash)
            name = menus.check_model(model)
            settings = Settings(
                method=str(method), classes=tuple(map(str, labels or ())), versus=str(versus) if versus else None,
                seconds_between_clip_starts=float(hop) or None, cover=bool(cover),
                smoothing=smoothing, smooth_s=0.0 if smoothing == "none" else float(smooth_s),
                start_s=_second(start), end_s=_second(end), verdict=bool(verdict),
            )  # fmt: skip
            work = jobs.explain(session, self._engines, self._shelf, name, settings, videos)
            return self._desk.submit(session, work, key=KEY, keep=True)

        async for update in submitted(submit, self._follow, self._job):
            yield update

    def _open(self, event: gr.EventData, request: gr.Request) -> Any:
        """Show the run of a card, or two runs in step."""
        numbers = event._data.get("numbers") or []

        def update() -> Any:
            session = self._desk.of(request.session_hash)
            if session.runs is None or not 1 <= len(numbers) <= 2:
                raise UsageError(words.Runs.ONE_OR_TWO)
            runs = [self._shelf.find(session.runs, number) for number in numbers]
            if len(runs) == 2:
                return {self.stage: gr.HTML(result=view_models.in_step(session, runs)), self._answer: {}, self._job: IDLE}
            [run] = runs
            take(session, run.video)
            session.results[KEY] = Result(run.number, run.video, None, None, run.folder, run.sentence, run.answer)
            return self._video_and_result(session) | self._choices_of(session, run) | {self._job: IDLE}

        return guarded(update, self._job)

    def _choices_of(self, session: Session, run: StoredRun) -> dict[Any, Any]:
        """Return the controls with what a run was explained with; none if its model was deleted."""
        if not menus.is_known(run.model):
            return {}
        s = run.settings
        parts = self._menus_for(session, run.model, s.method or menus.own_method(run.model), list(map(str, s.classes)), s.versus)
        others = [
            s.smoothing, s.smooth_s, s.seconds_between_clip_starts or 0, s.cover, _text(s.start_s), _text(s.end_s), s.verdict,
        ]  # fmt: skip
        return parts | dict(zip(self._asked[len(self.menu_parts) :], others, strict=True))

    async def _hide(self, event: gr.EventData, request: gr.Request) -> Any:
        """Ask the model again without a part of the video."""
        try:
            session = self._desk.of(request.session_hash)
            result: Result | None = session.results.get(KEY)
            if result is None:
                raise UsageError(words.Common.NOT_EXPLAINED)
            hidden = Hidden.of(event._data)
            said = await self._desk.errand(lambda: jobs.what_if(self._engines, result, hidden))
        except Exception as error:
            said = sentence(error)
        return gr.HTML(hidden={"words": said, "asked": event._data.get("asked") if isinstance(event._data, dict) else None})

    async def show_example(self, request: gr.Request) -> AsyncIterator[Any]:
        """Let the empty page play an explained example; it is explained once and kept."""
        video, model, is_urgent = next(iter(self._examples), None), BUILT_IN, self._desk.is_awaited
        is_open = self._desk.knows(str(request.session_hash))  # the tab may have been closed at once
        if not is_open or video is None or self._showcase is None:
            yield {self.stage: gr.skip()}
            return
        try:
            session = self._desk.of(request.session_hash)
            folder = self._showcase / f"example-{version('vidcam')}"
            if not folder.is_dir():
                await self._desk.errand(lambda: jobs.explain_example(self._engines, model, video, folder, is_urgent))
            yield {
                self.stage: gr.HTML(
                    showcase={"base": session.serve(folder), "title": words.Annotate.example(video=video.name, model=model)}
                )
            }
        except Cancelled:  # somebody's own video comes first; the next page explains the example
            yield {self.stage: gr.skip()}
        except Exception:  # the page does without
            log.warning("the explained example cannot be shown", exc_info=True)
            yield {self.stage: gr.skip()}

    def _delete(self, event: gr.EventData, request: gr.Request) -> Any:
        """Delete the run of a card, or all runs."""
        number = event._data.get("number")

        def update() -> Any:
            session = self._desk.of(request.session_hash)
            if session.busy:
                raise UsageError(words.Common.BUSY)
            if session.runs is not None:
                for run in self._shelf.list(session.runs) if number == "all" else [self._shelf.find(session.runs, number)]:
                    self._shelf.delete(session.runs, run.number)
            if session.video is not None and not session.video.path.is_file():  # it was that of an open run
                session.video = None
                session.results.clear()
            return self._video_and_result(session) | {self._job: gr.skip()}

        return guarded(update, self._job)

    async def _save_runs(self, request: gr.Request) -> AsyncIterator[Any]:
        """Put the files of all runs into one zip, which the browser saves when it is ready."""

        def submit() -> Job:
            session = self._desk.of(request.session_hash)
            if session.runs is None:
                raise UsageError(words.Runs.NONE)
            return self._desk.submit(session, jobs.save_runs(self._shelf, session.runs), key=KEY)

        def follow(job: Job) -> AsyncIterator[Any]:
            return saving(job, self._desk, self._job, self._runs, self._cards(job.session))

        async for update in submitted(submit, follow, self._job):
            yield update

    async def _save(self, event: gr.EventData, request: gr.Request) -> AsyncIterator[Any]:
        """Make a file of the result; the browser saves it when it is ready."""
        kind = event._data.get("kind")

        def submit() -> Job:
            session = self._desk.of(request.session_hash)
            result: Result | None = session.results.get(KEY)
            if result is None or kind not in file_kinds():
                raise UsageError(words.Common.NO_FILE)
            return self._desk.submit(session, jobs.save(session, self._engines, result, kind), key=KEY)

        def follow(job: Job) -> AsyncIterator[Any]:
            result = job.session.results[KEY]
            name = download_name(result, *jobs.asked_of(result), kind)
            return saving(job, self._desk, self._job, self._answer, view_models.answered(result, job.session), name=name)

        async for update in submitted(submit, follow, self._job):
            yield update


def take(session: Session, video: Video) -> None:
    """Make this the session's video and delete the results of the one before. UsageError while that is being worked on."""
    if session.busy:
        raise UsageError(words.Common.BUSY)
    before, session.video = session.video, video
    if before is not None and session.folder in before.path.parents and before.path.parent != video.path.parent:
        session.forget(before.path.parent)
    for result in session.results.values():
        session.forget(result.folder)
    session.results.clear()
    session.job = None


def _second(given: Any) -> float | None:
    """Return the second that was typed, None for an empty field. UsageError if it is no number."""
    typed = str(given or "").strip().replace(",", ".")
    try:
        return float(typed) or None if typed else None
    except ValueError:
        raise UsageError(words.Annotate.not_seconds(given=given)) from None


def _text(second: float | None) -> str:
    return "" if second is None else f"{second:g}"


def _other_labels(model: str) -> list[tuple[str, str]]:
    return NO_LABEL + [(label, label) for label in menus.labels(model)]
