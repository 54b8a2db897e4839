"""The Compare tab: methods and classes side by side on the video that was chosen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import gradio as gr
import numpy as np

from vidcam import Settings
from vidcam.errors import UsageError
from vidcam.reports.comparison import Comparison
from vidcam.reports.html import duration, jpeg, percent, seconds

from . import jobs, menus, view_models
from .components import EVENT, IDLE, failed, followed, guarded, halting, part, remembered, working
from .sessions import Job, Session, SessionManager, sentence

__all__ = ["build"]

KEY = "compare"
MOST = 8  # methods at once
LOWEST = 0.005


class Tab(NamedTuple):
    """What others must know: ``came`` gives the ``outputs`` when there is a video, ``begin`` gives ``starting`` what was chosen
    before the page was loaded again."""

    model_menu: gr.HTML
    outputs: list[Any]
    came: Callable[..., Any]
    starting: list[Any]
    begin: Callable[..., Any]


def build(desk: SessionManager, engines: jobs.Engines, *, model: str) -> Tab:
    """The tab, with ``model`` chosen at first."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=7, min_width=340):
            table = part("compared", None, input=None, elem_id="compared")
        with gr.Column(scale=4, min_width=320, elem_classes="asks"):
            with gr.Group(elem_id="ask-compare"):
                model_menu = part("menu", model, items=menus.model_items(), note="", label="Model", elem_id="compare-model")
                method_menu = part(
                    "menu", _usual(model), items=menus.method_items(model), note="", label="Methods", elem_id="compare-methods"
                )
                classes = gr.Dropdown(
                    list(menus.labels(model)), value=[], multiselect=True, label="Evidence for",
                    info="Nothing chosen: the two most probable answers.",
                )  # fmt: skip
            with gr.Row():
                go = gr.Button("Compare", variant="primary", elem_id="compare", elem_classes="go")
                stop = gr.Button("Stop", elem_classes="stop")
            job = part("job", IDLE, elem_id="compare-job")

    async def came(request: gr.Request) -> AsyncIterator[Any]:
        try:
            session = desk.of(request.session_hash)
        except UsageError as error:
            yield {job: failed(str(error))}
            return
        video = session.video
        result: jobs.Compared | None = session.results.get(KEY)
        shown = None if video is None else {"name": video.name, "poster": video.poster, "facts": video.facts}
        yield {table: gr.HTML(None if result is None else _finished(session, result), input=shown), job: IDLE}
        if session.job is not None and session.job.key == KEY and session.job.state in ("waiting", "running", "failed"):
            async for update in follow(session, session.job):
                yield update

    def begin(request: gr.Request) -> Any:
        def before() -> Any:
            # Parts of a tab that was never looked at lose whatever they are not told.
            chosen, methods, named = desk.of(request.session_hash).chosen.get(KEY, [model, _usual(model), []])
            same = {
                model_menu: gr.HTML(chosen, items=menus.model_items(), note="", label="Model"),
                method_menu: gr.HTML(methods, items=menus.method_items(chosen), note="", label="Methods"),
            }
            return menus_for(chosen, named) | same

        return guarded(before, job)

    def menus_for(chosen: Any, named: list[str] | None) -> dict[Any, Any]:
        name = menus.check_model(chosen)
        known = set(menus.labels(name))
        return {
            method_menu: gr.HTML(_usual(name), items=menus.method_items(name)),
            classes: gr.Dropdown(choices=list(menus.labels(name)), value=[c for c in named or [] if c in known]),
        }

    def model_chosen(chosen: Any, named: Any) -> Any:
        return guarded(lambda: menus_for(chosen, named), job)

    async def follow(session: Session, now: Job) -> AsyncIterator[Any]:
        async for words in followed(now, desk):
            yield {job: words}
        kept = session.results.get(KEY) is now.result  # there is no other video yet
        if now.state != "done":
            yield {job: working(now, desk)}
        elif kept:
            yield {job: IDLE, table: _finished(session, now.result)}

    async def run(chosen: Any, methods: Any, named: Any, request: gr.Request) -> AsyncIterator[Any]:
        try:
            session = desk.of(request.session_hash)
            name, wanted = menus.check_model(chosen), tuple(map(str, methods or ()))
            if not 1 <= len(wanted) <= MOST:
                raise UsageError(f"Choose one to {MOST} methods: {len(wanted)} are chosen.")
            settings = Settings(classes=tuple(map(str, named or ())))
            now = desk.submit(session, jobs.compare(session, engines, name, wanted, settings), key=KEY, keep=True)
        except Exception as error:
            yield {job: failed(sentence(error))}
            return
        async for update in follow(session, now):
            yield update

    changed = model_menu.input(model_chosen, [model_menu, classes], [job, method_menu, classes], **EVENT)
    go.click(run, [model_menu, method_menu, classes], [table, job], **EVENT)
    stop.click(halting(desk, job), None, [job], **EVENT)
    asked = [model_menu, method_menu, classes]
    remembered(desk, KEY, asked, after=[changed])
    return Tab(model_menu, [table, job], came, [job, *asked], begin)


def _usual(model: str) -> list[str]:
    """One method of each family, of each the first that works and is quick enough for a first look."""
    return [
        next(name for name in family if menus.refusal(name, model) is None)
        for family in (("cam", "gradcam"), ("gradcam++",), ("layercam",), ("gradientxinput",), ("lrp", "attention-rollout"))
        if any(menus.refusal(name, model) is None for name in family)
    ]


def _finished(session: Session, result: jobs.Compared) -> dict[str, Any]:
    return _shown(result.found) | {
        "video": session.serve(result.outputs["video"]),
        "files": view_models.downloads(session, result.outputs),
        "notes": [session.own_words(n) for n in (*result.found.notes, *result.found.warnings)],
    }


def _shown(found: Comparison) -> dict[str, Any]:
    """The table: a row for each method, a picture for each class."""
    cheapest = found.cheapest.window_s
    return {
        "model": found.model,
        "peak": seconds(found.peak_s),
        "classes": [{"label": label, "prob": percent(found.probs[label])} for label in found.labels],
        "plain": None if found.plain is None else jpeg(found.plain),
        "rows": [
            {
                "name": e.method.name,
                "title": e.method.title,
                "cost": duration(e.window_s),
                "times": "the quickest" if e.window_s == cheapest else f"{e.window_s / cheapest:.1f} × the quickest",
                "share": max(LOWEST, e.window_s / max(f.window_s for f in found.entries)),
                "agrees": _agrees(found, e.method.name),
                "blind": e.class_independent,
                "pictures": [jpeg(found.pictures[e.method.name, label]) for label in found.labels],
            }
            for e in found.entries
        ],
    }


def _agrees(found: Comparison, method: str) -> str | None:
    """How alike the method's map for the first class is to those of the other methods, in the mean of its rank correlations."""
    agreement = found.agreement[found.labels[0]]
    row = np.asarray(agreement.correlation)[agreement.names.index(method)]
    others = np.delete(row, agreement.names.index(method))
    others = others[np.isfinite(others)]
    return None if not len(others) else f"{others.mean():.2f}".replace("-", "−")
