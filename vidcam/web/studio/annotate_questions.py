"""The questions of the Annotate tab: the controls of what is explained, and what is chosen in them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, get_args

import gradio as gr

from vidcam import Settings
from vidcam.errors import UsageError
from vidcam.settings import Smoothing
from vidcam.web import words

from . import jobs, menus, view_models
from .annotate_view import KEY
from .results import Result
from .session import Session
from .teach_models import find_spec

__all__ = ["Questions"]

Updates = dict[Any, Any]


class Questions:
    """The controls, made inside the tab, with ``model`` chosen at first for the reason ``because``.

    ``controls`` are all of them, ``menus`` the first four: model, method, and the two ``class_menus``.
    """

    def __init__(self, model: str, because: str) -> None:
        self._because = {model: because}
        with gr.Group(elem_id="ask"):
            self.model = gr.Dropdown(
                menus.model_choices(), value=model, label=words.Common.MODEL, info=self._note(model),
                elem_id="model",
            )  # fmt: skip
            self._method = gr.Dropdown(
                menus.method_choices(model), value=menus.own_method(model), label=words.Annotate.METHOD,
                info=menus.method_note(model), elem_id="method",
            )  # fmt: skip
            labels = menus.sorted_labels(model)
            self._classes = gr.Dropdown(
                labels, value=[], multiselect=True, label=words.Common.EVIDENCE_FOR, elem_id="classes",
                info=words.Annotate.CLASSES_HELP,
            )  # fmt: skip
            self._versus = gr.Dropdown(_or_none(labels), value="", label=words.Annotate.CONTRAST, elem_id="versus")
            verdict = gr.Checkbox(True, label=words.Annotate.CHECK, elem_id="verdict")
            with gr.Accordion(words.Common.MORE, open=False):
                smoothing = gr.Radio(list(get_args(Smoothing)), value=Settings().smoothing, label=words.Annotate.SMOOTHING)
                smooth_s = gr.Slider(0, 2, 0.25, step=0.05, label=words.Annotate.SMOOTHING_SECONDS, buttons=[])
                hop = gr.Slider(
                    0, 4, 0, step=0.05, label=words.Annotate.CLIP_STARTS, info=words.Annotate.CLIP_STARTS_HELP, buttons=[]
                )
                cover = gr.Checkbox(False, label=words.Annotate.COVER)
                with gr.Row():
                    self._start = gr.Textbox(
                        "", label=words.Annotate.FROM, min_width=100, placeholder=words.Annotate.FROM_DEFAULT
                    )
                    self._end = gr.Textbox("", label=words.Annotate.TO, min_width=100, placeholder=words.Annotate.TO_DEFAULT)
        self.class_menus = [self._classes, self._versus]
        self.menus = [self.model, self._method, *self.class_menus]
        self.controls = [*self.menus, smoothing, smooth_s, hop, cover, self._start, self._end, verdict]

    def _note(self, model: str) -> str:
        """Return what a model knows, and why it is the one that was selected at first."""
        return f"{menus.reach(model)} {self._because.get(model, '')}".strip()

    def for_model(self, session: Session, model: Any, method: Any, labels: Sequence[str] | None, versus: Any) -> Updates:
        """Return the menus for ``model``; they keep what is chosen in them if the model knows it."""
        name, before = menus.check_model(model), str(method)
        reason, own = menus.refusal(before, name), menus.own_method(name)
        note = menus.method_note(name) if reason is None else words.Menus.instead(reason=reason, method=own)
        known = menus.sorted_labels(name, _answers(session, name))
        return {
            self.model: gr.Dropdown(menus.model_choices(session.runs), value=name, info=self._note(name)),
            self._method: gr.Dropdown(menus.method_choices(name), value=own if reason else before, info=note),
            self._classes: gr.Dropdown(known, value=[label for label in labels or () if label in known], multiselect=True),
            self._versus: gr.Dropdown(_or_none(known), value=versus if versus in known else ""),
        }

    def order_classes(self, session: Session) -> Updates:
        """Return the menus of classes with the answers of the session's result first; nothing if another model is chosen now."""
        model = _model_of_result(session)
        if model is None or session.chosen.get(KEY, [model])[0] != model:
            return {}
        labels = menus.sorted_labels(model, _answers(session, model))
        return {self._classes: gr.Dropdown(labels), self._versus: gr.Dropdown(_or_none(labels))}

    def chosen_before(self, session: Session) -> Updates:
        """Return what was chosen before the page was loaded again; nothing if its model was deleted since."""
        own = dict(zip(self.controls, session.chosen.get(KEY, ()), strict=False))
        if not own or not menus.is_known(own[self.model]):
            return {}
        return own | self.for_model(session, *(own[c] for c in self.menus))

    def of_result(self, session: Session, model: str, s: Settings) -> Updates:
        """Return the controls with what a result was explained with; nothing if its model was deleted."""
        if not menus.is_known(model):
            return {}
        parts = self.for_model(session, model, s.method or menus.own_method(model), list(map(str, s.classes)), s.versus)
        hop = s.seconds_between_clip_starts
        others = [
            s.smoothing, s.smooth_s, 0 if hop is None or hop == find_spec(model).usual_hop_s else hop, s.cover, _text(s.start_s),
            _text(s.end_s), s.verdict,
        ]  # fmt: skip
        return parts | dict(zip(self.controls[len(self.menus) :], others, strict=True))

    def of_part(self, start: float, end: float) -> Updates:
        """Return the controls that choose a part of the video."""
        return {self._start: _text(start), self._end: _text(end)}

    def stale(self, session: Session) -> str:
        """Return what to say if the controls have been changed since the session's result was explained; else nothing."""
        result, chosen = session.results.get(KEY), session.chosen.get(KEY)
        if result is None or not chosen:
            return ""
        try:
            model, shown = jobs.asked_of(result)
        except UsageError:  # its run was deleted
            return ""
        with suppress(UsageError):  # something that cannot be asked was typed: it is not what was asked
            name, asked = self.asked(*chosen)
            hop = asked.seconds_between_clip_starts or find_spec(name).usual_hop_s
            if (name, replace(asked, seconds_between_clip_starts=hop)) == (model, shown):
                return ""
        return words.Answer.stale(shown=view_models.question_facts(model, shown))

    @staticmethod
    def asked(
        model: Any, method: Any, labels: Any, versus: Any, smoothing: Any, smooth_s: Any, hop: Any, cover: Any, start: Any,
        end: Any, verdict: Any,
    ) -> tuple[str, Settings]:  # fmt: skip
        """Return the model and the settings that the controls ask for. UsageError if there are no such ones."""
        return menus.check_model(model), Settings(
            method=str(method), classes=tuple(map(str, labels or ())), versus=str(versus) if versus else None,
            seconds_between_clip_starts=float(hop) or None, cover=bool(cover),
            smoothing=smoothing, smooth_s=0.0 if smoothing == "none" else float(smooth_s),
            start_s=_second(start), end_s=_second(end), verdict=bool(verdict),
        )  # fmt: skip


def _model_of_result(session: Session) -> str | None:
    """Return the model that answered the session's result; None if there is none, or its run was deleted."""
    result: Result | None = session.results.get(KEY)
    try:
        return None if result is None else jobs.asked_of(result)[0]
    except UsageError:
        return None


def _answers(session: Session, model: str) -> list[str]:
    """Return the actions that a model answered for the session's result, the most probable first; none if another one did."""
    if _model_of_result(session) != model:
        return []
    top = view_models.answered(session.results[KEY], session)["top"]
    return [label for label, _, is_rejection in top if not is_rejection]


def _or_none(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Return the choices of a menu of classes in which none may be chosen."""
    return [(words.Annotate.NO_CONTRAST, ""), *((label, label) for label in labels)]


def _second(given: Any) -> float | None:
    """Return the second that was typed, None for an empty field. UsageError if it is no number."""
    typed = str(given or "").strip().replace(",", ".")
    try:
        return float(typed) or None if typed else None
    except ValueError:
        raise UsageError(words.Annotate.not_seconds(given=given)) from None


def _text(second: float | None) -> str:
    return "" if second is None else f"{second:g}"
