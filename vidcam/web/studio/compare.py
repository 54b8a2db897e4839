"""The Compare tab: methods, or two models, in step on the chosen video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from vidcam import Settings
from vidcam.errors import UsageError
from vidcam.evaluation import compare_models
from vidcam.methods.lookup import all_methods
from vidcam.web import words

from . import jobs, menus
from .compare_jobs import Compared, compare
from .components import part, remembered
from .session import Session
from .sessions import SessionManager
from .tab_jobs import TabJobs, Updates
from .teach_models import shown_name
from .work import Job

__all__ = ["CompareTab"]

KEY = "compare"
MAX_METHODS = 8
METHODS, MODELS = "methods of one model", "two models"


@dataclass(frozen=True)
class Choice:
    """What is chosen in the tab, in the order of its controls."""

    kind: str
    model: str
    other: str | None
    methods: tuple[str, ...]
    method: str | None
    labels: tuple[str, ...]

    @classmethod
    def of(cls, kind: Any, model: Any, other: Any, methods: Any, method: Any, labels: Any) -> Choice:
        """Return what the page sent. UsageError if there is no such model, or no longer."""
        if kind != MODELS and not menus.is_known(other):  # a second model that is gone does not matter then
            other = None
        return cls(
            MODELS if kind == MODELS else METHODS,
            menus.check_model(model),
            menus.check_model(other) if other else None,
            tuple(map(str, methods or ())),
            str(method) if method else None,
            tuple(map(str, labels or ())),
        )

    @property
    def of_models(self) -> bool:
        """Whether two models are compared."""
        return self.kind == MODELS

    def asked(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the models and the methods to compare. UsageError if they cannot be compared."""
        if not self.of_models:
            if not 1 <= len(self.methods) <= MAX_METHODS:
                raise UsageError(words.Compare.number_of_methods(most=MAX_METHODS, chosen=len(self.methods)))
            return (self.model,), self.methods
        if self.other is None:
            raise UsageError(words.Compare.NO_SECOND)
        if self.other == self.model:
            raise UsageError(words.Compare.same_model(model=shown_name(self.model)))
        if self.method is None:
            raise UsageError(words.Compare.NO_METHOD)
        return (self.model, self.other), (self.method,)


class CompareTab:
    """The tab, made inside the app's page, with ``model`` chosen at first."""

    def __init__(self, desk: SessionManager, engines: jobs.Engines, *, model: str) -> None:
        self._engines, self._model = engines, model
        with gr.Row(equal_height=False, elem_classes="asks"):
            with gr.Column(scale=7, min_width=340):
                self.jobs = TabJobs(desk, KEY, elem_id="compare-job")
                self.page = part("compared", None, input=None, uses=("bring",), elem_id="compared")
            with gr.Column(scale=4, min_width=320):
                self.asked = asked = self._make_questions()
                with gr.Row(elem_classes="sticky"):
                    start = gr.Button(words.Compare.COMPARE, variant="primary", elem_id="compare", elem_classes="go")
                    self.jobs.stop_button()
        on = self.jobs.on
        changes = [
            on(self._kind.input, self.change, asked, asked),
            on(self._model_menu.input, self._change_model, asked, asked),
            on(self._other_menu.input, self.change, asked, asked),
        ]
        self.jobs.work(start.click, self._compare, asked, [self.page], show=self.show, keep=True)
        remembered(desk, KEY, asked, after=changes)

    def enter(self, loaded: Any) -> None:
        """Fill the tab after the event by which a page is loaded."""
        self.jobs.enter(loaded, self.begin, [self.page, *self.asked], show=self.show, shown=[self.page])

    def follow_video(self, changed: Any) -> None:
        """Show the session's video or its comparison at an event by which there may be another video."""
        self.jobs.on(changed, lambda session: self._show_video(session) | self.jobs.standing(session), outputs=[self.page])

    def follow_models(self, changed: Any) -> None:
        """Fill the menus after an event after which there may be other models."""
        self.jobs.on(changed.then, self.for_models, outputs=self.asked)

    def _make_questions(self) -> list[Any]:
        """Make the controls of what is compared, in the order of the fields of :class:`Choice`; :meth:`begin` fills them."""
        kinds = [(words.Compare.OF_METHODS, METHODS), (words.Compare.OF_MODELS, MODELS)]
        with gr.Group(elem_id="ask-compare"):
            self._kind = gr.Radio(kinds, value=METHODS, label=words.Compare.COMPARE, elem_id="compare-kind")
            self._model_menu = gr.Dropdown([], label=words.Common.MODEL, elem_id="compare-model")
            self._other_menu = gr.Dropdown([], label=words.Compare.SECOND, visible=False, elem_id="compare-other")
            self._method_menu = gr.Dropdown(
                [], multiselect=True, max_choices=MAX_METHODS, label=words.Compare.METHODS, elem_id="compare-methods"
            )
            self._one_method = gr.Dropdown([], label=words.Annotate.METHOD, visible=False, elem_id="compare-method")
            self._classes = gr.Dropdown([], multiselect=True, label=words.Common.EVIDENCE_FOR, elem_id="compare-classes")
        return [self._kind, self._model_menu, self._other_menu, self._method_menu, self._one_method, self._classes]

    def begin(self, session: Session) -> Updates:
        """Return what the session has, and what was chosen before the page was loaded again."""
        # Gradio forgets the values of components in a tab that was never looked at, so all of them are sent.
        return self._show_video(session) | self._menus_for(session, self._chosen_before(session))

    def _show_video(self, session: Session) -> Updates:
        video = session.video
        result: Compared | None = session.results.get(KEY)
        facts = None if video is None else {"name": video.name, "poster": video.poster, "facts": video.facts}
        return {self.page: gr.HTML(None if result is None else _finished(session, result), input=facts)}

    def for_models(self, session: Session) -> Updates:
        """Return the menus for the models that there are now; all controls, if a model that is chosen was deleted."""
        kind, *models = session.chosen.get(KEY, [METHODS, self._model, None])[:3]
        if all(menus.is_known(name) for name in models if name):
            choices = menus.model_choices(session.runs)
            return {menu: gr.Dropdown(choices) for menu in (self._model_menu, self._other_menu)}
        first, second = (name if menus.is_known(name) else None for name in models)
        return self._menus_for(session, Choice.of(kind, first or self._model, second, *session.chosen[KEY][3:]))

    def _chosen_before(self, session: Session) -> Choice:
        """Return what was chosen before the page was loaded again; what is usual if a model of it is gone."""
        try:
            return Choice.of(*session.chosen[KEY])
        except (KeyError, UsageError):
            return Choice(METHODS, self._model, None, tuple(_usual(self._model)), None, ())

    def _menus_for(self, session: Session, choice: Choice) -> Updates:
        """Return the controls for a choice, without what its models do not know."""
        models, first, of_models = menus.model_choices(session.runs), choice.model, choice.of_models
        other = choice.other or next((name for _, name in models if name != first), None)
        both = _methods_of_both(first, other) if of_models else []
        labels = _labels_of_both(first, other) if of_models else menus.labels(first)
        works = [name for _, name in both]
        method = next((name for name in (choice.method, *compare_models.DEFAULT) if name in works), None)
        return {
            self._kind: gr.Radio(value=choice.kind),
            self._model_menu: gr.Dropdown(
                models, value=first, label=words.Compare.FIRST if of_models else words.Common.MODEL, info=menus.reach(first)
            ),
            self._other_menu: gr.Dropdown(models, value=other, info=_note_on_other(first, other), visible=of_models),
            self._method_menu: gr.Dropdown(
                menus.method_choices(first, several=True), value=list(choice.methods) or _usual(first), multiselect=True,
                info=menus.method_note(first), visible=not of_models,
            ),
            self._one_method: gr.Dropdown(both, value=method, visible=of_models),
            self._classes: gr.Dropdown(
                choices=list(labels),
                value=[label for label in choice.labels if label in labels],
                multiselect=True,
                info=words.Compare.ANSWERS_OF_BOTH if of_models else words.Compare.ANSWERS_OF_ONE,
            ),
        }  # fmt: skip

    def change(self, session: Session, *asked: Any) -> Updates:
        """Return the controls for what is chosen now."""
        told = {} if session.busy else self.jobs.idle  # an error was about what was chosen before
        return self._menus_for(session, Choice.of(*asked)) | told

    def _change_model(self, session: Session, kind: Any, model: Any, other: Any, _: Any, *more: Any) -> Updates:
        """Return the controls for another first model, with the methods that are usual for it."""
        return self.change(session, kind, model, other, (), *more)

    def _compare(self, session: Session, *asked: Any) -> Callable[[Job], Compared]:
        choice = Choice.of(*asked)
        return compare(session, self._engines, *choice.asked(), Settings(classes=choice.labels))

    def show(self, job: Job) -> Updates:
        result: Compared | None = job.session.results.get(KEY)
        if result is None or result is not job.result:  # it failed, or there is another video by now
            return {}
        return {self.page: _finished(job.session, result)}


def _usual(model: str) -> list[str]:
    """Return quick methods that work: the first of each group."""
    refused = menus.refusals(model)
    families = (("cam", "gradcam"), ("cam-spread", "layercam"), ("gradcam++",), ("gradientxinput", "attention-rollout"))
    works = [[name for name in family if refused[name] is None] for family in families]
    return [names[0] for names in works if names]


def _methods_of_both(first: str, second: str | None) -> list[tuple[str, str]]:
    """Return the methods that work on both models, with their titles."""
    refused = [menus.refusals(name) for name in (first, second) if name is not None]
    works = [m for m in all_methods() if not any(reasons[m.name] for reasons in refused)]
    return [(f"{m.name} · {m.title}", m.name) for m in works]


def _labels_of_both(first: str, second: str | None) -> tuple[str, ...]:
    """Return the classes that both models know."""
    known = set(menus.labels(first if second is None else second))
    return tuple(label for label in menus.labels(first) if label in known)


def _note_on_other(first: str, second: str | None) -> str:
    """Return in one line what the second model knows, and how many classes it shares with the first."""
    if second is None:
        return words.Compare.NO_OTHER
    if second == first:
        return words.Compare.SAME
    common = len(_labels_of_both(first, second))
    return words.Compare.in_common(reach=menus.reach(second), count=common, first=shown_name(first))


def _finished(session: Session, result: Compared) -> dict[str, Any]:
    """Return the address of the page that plays what was compared in step, and the files."""
    base = session.serve(result.folder)
    files = [{"url": f"{base}{path.name}", "name": path.name} for path in result.outputs.values()]
    return {"page": files[0]["url"], "files": files}
