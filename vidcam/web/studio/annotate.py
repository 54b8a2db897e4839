"""The Annotate tab: a video in, the answer out; how it is asked, and how it looks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import gradio as gr

from vidcam import Look, Settings
from vidcam.errors import UsageError
from vidcam.render import STYLES

from . import jobs, menus, view_models
from .components import EVENT, IDLE, failed, followed, guarded, halting, part, remembered, working
from .sessions import Job, Session, SessionManager, sentence
from .uploads import Video, megabytes, minutes

__all__ = ["Tab", "build", "take"]

KEY = "annotate"
LOOK = Look()
NOBODY = [("nothing in particular", "")]


class Tab(NamedTuple):
    """The parts that others must know: ``begin`` gives ``starting`` their values when a tab of the browser is loaded."""

    stage: gr.HTML
    model_menu: gr.HTML
    starting: list[Any]
    begin: Callable[..., Any]


def build(desk: SessionManager, engines: jobs.Engines, *, model: str, examples: list[Video]) -> Tab:
    """The tab, with ``model`` chosen at first."""
    with gr.Row(equal_height=False, elem_id="annotate"):
        with gr.Column(scale=7, min_width=340):
            stage = part("stage", {}, input=None, result=None, elem_id="stage")
        with gr.Column(scale=4, min_width=320, elem_id="side", elem_classes="asks"):
            answer = part("answer", {}, elem_id="answer")
            with gr.Group(elem_id="look"):
                style = gr.Radio([(s.replace("-", " ").capitalize(), s) for s in STYLES], value=LOOK.style, label="Drawn as")
                with gr.Row():
                    opacity = gr.Slider(
                        0.05, 1.0, LOOK.opacity, step=0.01, label="Opacity", buttons=[], min_width=170, elem_id="opacity"
                    )
                    signed = gr.Checkbox(LOOK.signed, label="Against it too", min_width=130, elem_id="signed")
            with gr.Group(elem_id="ask"):
                model_menu = part("menu", model, items=menus.model_items(), note="", label="Model", elem_id="model")
                method_menu = part(
                    "menu", menus.own_method(model), items=menus.method_items(model), note="", label="Method", elem_id="method"
                )
                classes = gr.Dropdown(
                    list(menus.labels(model)), value=[], multiselect=True, label="Evidence for", elem_id="classes",
                    info="Nothing chosen: what the model says.",
                )  # fmt: skip
                versus = gr.Dropdown(_others(model), value="", label="Rather than", elem_id="versus")
                verdict = gr.Checkbox(True, label="Test the evidence: does the answer need it?", elem_id="verdict")
                with gr.Accordion("More", open=False):
                    smoothing = gr.Radio(
                        ["gaussian", "exponential", "flow", "none"], value="gaussian", label="Smoothing over time"
                    )
                    smooth_s = gr.Slider(0, 2, 0.25, step=0.05, label="Smoothing, seconds", buttons=[])
                    hop = gr.Slider(0, 4, 0, step=0.05, label="Seconds between windows", info="0: half a clip.", buttons=[])
                    cover = gr.Checkbox(False, label="Several crops that cover the whole frame")
                    with gr.Row():
                        start = gr.Number(0, label="From second", minimum=0, min_width=100)
                        end = gr.Number(None, label="To second", minimum=0, min_width=100, placeholder="the end")
            with gr.Row(elem_id="go"):
                explain = gr.Button("Explain", variant="primary", elem_id="explain", elem_classes="go")
                stop = gr.Button("Stop", elem_id="stop", elem_classes="stop")
            job = part("job", IDLE, elem_id="job")

    shown = [stage, answer, job, explain]

    async def begin(request: gr.Request) -> AsyncIterator[Any]:
        try:
            session = desk.of(request.session_hash)
        except UsageError as error:
            yield {job: failed(str(error))}
            return
        session.look = session.look or LOOK
        value = {
            "token": session.token,
            "secret": session.secret,
            "size": desk.limits.size,
            "words": f"up to {megabytes(desk.limits.size)} and {minutes(desk.limits.seconds)}",
            "examples": [{"name": v.name, "facts": v.facts, "poster": v.poster} for v in examples],
        }
        yield known(session, value=value) | chosen_before(session)
        if session.job is not None and session.job.key == KEY and session.job.state in ("waiting", "running", "failed"):
            async for update in follow(session, session.job):
                yield update

    def chosen_before(session: Session) -> dict[Any, Any]:
        """What was chosen before the page was loaded again."""
        look = session.look or LOOK
        values: dict[Any, Any] = {style: look.style, opacity: look.opacity, signed: look.signed}
        if KEY in session.chosen:
            own = dict(zip(asked, session.chosen[KEY], strict=True))
            values |= own | menus_for(*(own[c] for c in (model_menu, method_menu, classes, versus)))
        return values

    def known(session: Session, **more: Any) -> dict[Any, Any]:
        """The session's video, and what is known of it."""
        video = None if session.video is None else view_models.of_video(session, session.video)
        result: jobs.Result | None = session.results.get(KEY)
        parts = {stage: gr.HTML(input=video, result=None, **more), answer: {}, explain: gr.Button("Explain")}
        if result is not None:
            parts |= finished(session, result) | {explain: gr.Button("Explain again")}
            parts[stage] = gr.HTML(input=video, result=_stage_value(session, result), **more)
        return parts

    def came(request: gr.Request) -> Any:
        return guarded(lambda: known(desk.of(request.session_hash)) | {job: IDLE}, job)

    def example(event: gr.EventData, request: gr.Request) -> Any:
        name = event._data.get("name")

        def chosen() -> Any:
            session = desk.of(request.session_hash)
            found = next((v for v in examples if v.name == name), None)
            if found is None:
                raise UsageError(f"{name!r} is none of the examples")
            take(session, found)
            return known(session) | {job: IDLE}

        return guarded(chosen, job)

    def menus_for(chosen: Any, method: Any, named: list[str] | None, other: Any) -> dict[Any, Any]:
        """The menus for the model ``chosen``, which keep what is chosen there if it knows it."""
        name, before = menus.check_model(chosen), str(method)
        reason, own = menus.refusal(before, name), menus.own_method(name)
        note = "" if reason is None else f"{reason[0].upper()}{reason[1:]}: {own} instead."
        known = set(menus.labels(name))
        return {
            model_menu: name,
            method_menu: gr.HTML(own if reason else before, items=menus.method_items(name), note=note),
            classes: gr.Dropdown(choices=list(menus.labels(name)), value=[c for c in named or [] if c in known]),
            versus: gr.Dropdown(choices=_others(name), value=other if other in known else ""),
        }

    def model_chosen(chosen: Any, method: Any, named: Any, other: Any, request: gr.Request) -> Any:
        def updated() -> Any:
            desk.of(request.session_hash)
            return {c: v for c, v in menus_for(chosen, method, named, other).items() if c is not model_menu}

        return guarded(updated, job)

    def model_tried(method: Any, named: Any, other: Any, event: gr.EventData, request: gr.Request) -> Any:
        """The other model that the answer offers is chosen."""

        def updated() -> Any:
            desk.of(request.session_hash)
            return menus_for(event._data.get("model"), method, named, other)

        return guarded(updated, job)

    async def follow(session: Session, now: Job) -> AsyncIterator[Any]:
        """The job's progress, and in the end what came of it, drawn again if another look was chosen too late for that."""
        while True:
            async for words in followed(now, desk):
                yield {job: words}
            result: jobs.Result | None = now.result if now.state == "done" else None
            if result is not None and session.results.get(KEY) is not result:
                return  # there is another video by now
            again = {
                job: working(now, desk) if result is None else IDLE,
                explain: gr.Button("Explain" if KEY not in session.results else "Explain again"),
            }
            yield again | ({} if result is None else finished(session, result))
            if result is None or session.busy or session.look == result.look:
                return
            try:
                now = desk.submit(session, jobs.redraw(session, result), key=KEY, keep=True)
            except UsageError as error:
                yield {job: failed(str(error))}
                return

    def finished(session: Session, result: jobs.Result) -> dict[Any, Any]:
        words = view_models.answered(result.analysis, session) | {"files": view_models.downloads(session, result.outputs)}
        return {stage: gr.HTML(result=_stage_value(session, result)), answer: words}

    async def run(
        chosen: Any, method: Any, named: Any, other: Any, kind: Any, smooth: Any, every: Any, crops: Any, first: Any, last: Any,
        tested: Any, request: gr.Request,
    ) -> AsyncIterator[Any]:  # fmt: skip
        try:
            session = desk.of(request.session_hash)
            name = menus.check_model(chosen)
            settings = Settings(
                method=str(method), classes=tuple(map(str, named or ())), versus=str(other) if other else None,
                seconds_between_clip_starts=float(every) or None, cover=bool(crops),
                smoothing=kind, smooth_s=0.0 if kind == "none" else float(smooth),
                start_s=float(first) if first else None, end_s=float(last) if last else None, verdict=bool(tested),
            )  # fmt: skip
            now = desk.submit(session, jobs.explain(session, engines, name, settings), key=KEY, keep=True)
        except Exception as error:
            yield {job: failed(sentence(error))}
            return
        async for update in follow(session, now):
            yield update

    async def look_chosen(drawn: str, strength: float, both: bool, request: gr.Request) -> AsyncIterator[Any]:
        try:
            session = desk.of(request.session_hash)
            if drawn not in STYLES or not 0 < float(strength) <= 1:
                raise UsageError(f"a picture is drawn as {', '.join(STYLES)}, with an opacity of 0 to 1")
            session.look = Look(drawn, float(strength), bool(both))
            before = session.results.get(KEY)
            if before is None or session.busy:
                return  # who draws, or follows that, looks by then at what is chosen
            now = desk.submit(session, jobs.redraw(session, before), key=KEY, keep=True)
        except Exception as error:
            yield {job: failed(sentence(error))}
            return
        async for update in follow(session, now):
            yield update

    asked = [model_menu, method_menu, classes, versus, smoothing, smooth_s, hop, cover, start, end, verdict]
    stage.upload(came, None, shown, **EVENT)
    stage.select(example, None, shown, **EVENT)
    menu_parts = [method_menu, classes, versus]
    changes = [
        model_menu.input(model_chosen, [model_menu, *menu_parts], [job, *menu_parts], **EVENT),
        answer.select(model_tried, menu_parts, [job, model_menu, *menu_parts], **EVENT),
    ]
    remembered(desk, KEY, asked, after=changes)
    explain.click(run, asked, shown, **EVENT)
    stop.click(halting(desk, job), None, [job], **EVENT)
    for changed in (style.input, signed.input, opacity.release):
        changed(look_chosen, [style, opacity, signed], shown, **EVENT)
    return Tab(stage, model_menu, [*shown, style, opacity, signed, *asked], begin)


def take(session: Session, video: Video) -> None:
    """Make this the session's video; what was found out about another one is deleted. UsageError while it is worked on."""
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


def _others(model: str) -> list[tuple[str, str]]:
    return NOBODY + [(label, label) for label in menus.labels(model)]
