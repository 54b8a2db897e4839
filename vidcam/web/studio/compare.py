"""The Compare tab: methods and classes side by side on the chosen video."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr
import numpy as np

from vidcam import Settings
from vidcam.errors import UsageError
from vidcam.io.formatting import duration, percent, seconds
from vidcam.reports.comparison import Comparison
from vidcam.reports.templating import jpeg_url

from . import jobs, menus, view_models
from .components import EVENT, IDLE, failed, followed, guarded, halting, part, remembered, unchanged, working
from .sessions import Job, Session, SessionManager, sentence

__all__ = ["CompareTab"]

KEY = "compare"
MAX_METHODS = 8
MIN_SHARE = 0.005  # of the bar of a method's cost, so that it can be seen


class CompareTab:
    """The tab, made inside the app's page, with ``model`` chosen at first.

    :meth:`show_video` gives ``outputs`` when there is another video; :meth:`begin` gives ``starting`` what was chosen before the
    page was loaded again.
    """

    def __init__(self, desk: SessionManager, engines: jobs.Engines, *, model: str) -> None:
        self._desk, self._engines, self._model = desk, engines, model
        with gr.Row(equal_height=False):
            with gr.Column(scale=7, min_width=340):
                self._table = part("compared", None, input=None, elem_id="compared")
            with gr.Column(scale=4, min_width=320, elem_classes="asks"):
                self._make_questions(model)
                with gr.Row():
                    compare = gr.Button("Compare", variant="primary", elem_id="compare", elem_classes="go")
                    stop = gr.Button("Stop", elem_classes="stop")
                self._job = part("job", IDLE, elem_id="compare-job")
        asked = [self.model_menu, self._method_menu, self._classes]
        self.outputs, self.starting = [self._table, self._job], [self._job, *asked]
        changed = self.model_menu.input(
            self._change_model, [self.model_menu, self._classes], [self._job, self._method_menu, self._classes], **EVENT
        )
        compare.click(self._run, asked, self.outputs, **EVENT)
        stop.click(halting(desk, self._job), None, [self._job], **EVENT)
        remembered(desk, KEY, asked, after=[changed])

    def _make_questions(self, model: str) -> None:
        with gr.Group(elem_id="ask-compare"):
            self.model_menu = part("menu", model, items=menus.model_items(), note="", label="Model", elem_id="compare-model")
            self._method_menu = part(
                "menu", _usual(model), items=menus.method_items(model), note="", label="Methods", elem_id="compare-methods"
            )
            self._classes = gr.Dropdown(
                list(menus.labels(model)), value=[], multiselect=True, label="Evidence for",
                info="Nothing chosen: the two most probable answers.",
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
        table = gr.HTML(None if result is None else _finished(session, result), input=facts)
        shown: dict[Any, Any] = {self._table: table, self._job: IDLE}  # all later updates contain it: see :func:`followed`
        yield shown
        if session.job is not None and session.job.key == KEY and session.job.state in ("waiting", "running", "failed"):
            async for update in self._follow(session, session.job):
                yield shown | update

    def begin(self, request: gr.Request) -> Any:
        """Return what was chosen before the page was loaded again."""

        def update() -> Any:
            # Gradio forgets the values of components in a tab that was never looked at, so all of them are sent.
            chosen = self._desk.of(request.session_hash).chosen.get(KEY, [self._model, _usual(self._model), []])
            model, methods, labels = chosen
            same = {
                self.model_menu: gr.HTML(model, items=menus.model_items(), note="", label="Model"),
                self._method_menu: gr.HTML(methods, items=menus.method_items(model), note="", label="Methods"),
            }
            return self._menus_for(model, labels) | same

        return guarded(update, self._job)

    def _menus_for(self, model: Any, labels: list[str] | None) -> dict[Any, Any]:
        name = menus.check_model(model)
        known = set(menus.labels(name))
        return {
            self._method_menu: gr.HTML(_usual(name), items=menus.method_items(name)),
            self._classes: gr.Dropdown(choices=list(menus.labels(name)), value=[c for c in labels or [] if c in known]),
        }

    def _change_model(self, model: Any, labels: Any) -> Any:
        return guarded(lambda: self._menus_for(model, labels), self._job)

    async def _follow(self, session: Session, job: Job) -> AsyncIterator[Any]:
        async for words in followed(job, self._desk):
            yield {self._job: words}
        is_current = session.results.get(KEY) is job.result  # there is no other video yet
        if job.state != "done":
            yield {self._job: working(job, self._desk)}
        elif is_current:
            yield {self._job: IDLE, self._table: _finished(session, job.result)}
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
    """Return one method of each family that works: the first of its quick ones."""
    return [
        next(name for name in family if menus.refusal(name, model) is None)
        for family in (("cam", "gradcam"), ("gradcam++",), ("layercam",), ("gradientxinput",), ("lrp", "attention-rollout"))
        if any(menus.refusal(name, model) is None for name in family)
    ]


def _finished(session: Session, result: jobs.Compared) -> dict[str, Any]:
    """Return the values of the table and its files and notes."""
    return _table_values(result.comparison) | {
        "video": session.serve(result.outputs["video"]),
        "files": view_models.downloads(session, result.outputs),
        "notes": [session.own_words(n) for n in (*result.comparison.notes, *result.comparison.warnings)],
    }


def _table_values(comparison: Comparison) -> dict[str, Any]:
    """Return the values of the table: a row for each method, a picture for each class."""
    cheapest = comparison.cheapest.window_s
    return {
        "model": comparison.model,
        "peak": seconds(comparison.peak_s),
        "classes": [{"label": label, "prob": percent(comparison.probs[label])} for label in comparison.labels],
        "plain": None if comparison.plain is None else jpeg_url(comparison.plain),
        "rows": [
            {
                "name": e.method.name,
                "title": e.method.title,
                "cost": duration(e.window_s),
                "times": "the quickest" if e.window_s == cheapest else f"{e.window_s / cheapest:.1f} × the quickest",
                "share": max(MIN_SHARE, e.window_s / max(f.window_s for f in comparison.entries)),
                "agrees": _agreement(comparison, e.method.name),
                "blind": e.class_independent,
                "pictures": [jpeg_url(comparison.pictures[e.method.name, label]) for label in comparison.labels],
            }
            for e in comparison.entries
        ],
    }


def _agreement(comparison: Comparison, method: str) -> str | None:
    """Return the mean rank correlation of the method's map with those of the other methods, for the first class."""
    agreement = comparison.agreement[comparison.labels[0]]
    row = np.asarray(agreement.correlation)[agreement.names.index(method)]
    others = np.delete(row, agreement.names.index(method))
    others = others[np.isfinite(others)]
    return None if not len(others) else f"{others.mean():.2f}".replace("-", "−")
