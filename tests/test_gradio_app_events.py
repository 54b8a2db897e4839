"""What the events of the app's page yield: Gradio must lose nothing of it, whatever comes first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from support.clock import ManualClock
from support.waiting import run_async

from vidcam.errors import UsageError
from vidcam.web.studio import annotate, compare, jobs, models, runs, sessions, view_models
from vidcam.web.studio import menus as menu_choices
from vidcam.web.studio.annotate_questions import Questions
from vidcam.web.studio.annotate_view import View
from vidcam.web.studio.work import Cancelled

REQUEST: Any = SimpleNamespace(session_hash="tab")


@pytest.fixture(scope="module")
def tabs(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The tabs of the page; the jobs of their ``desk`` run when a test calls ``step``."""
    desk = sessions.SessionManager(tmp_path_factory.mktemp("sessions"), clock=ManualClock())

    async def make() -> SimpleNamespace:  # Gradio looks for the loop that runs, and otherwise makes one that it never closes
        engines = jobs.Engines("cpu")
        shelf = runs.RunShelf(tmp_path_factory.mktemp("runs"))
        with gr.Blocks(analytics_enabled=False):
            tab = annotate.AnnotateTab(desk, engines, shelf, model="mini", examples=[])
            compared = compare.CompareTab(desk, engines, model="mini")
            return SimpleNamespace(desk=desk, annotate=tab, compare=compared, models=models.ModelsTab(desk))

    return run_async(make())


@pytest.fixture
def page(tabs: SimpleNamespace) -> SimpleNamespace:
    """The tabs of a page that shows a new session."""
    return SimpleNamespace(session=tabs.desk.open("tab"), **vars(tabs))


def told(updates: AsyncIterator[Any], meanwhile: Callable[[], Any] = lambda: None) -> list[dict[Any, Any]]:
    """All updates that an event yields; ``meanwhile`` is called after each of them."""

    async def collect() -> list[dict[Any, Any]]:
        collected = []
        async for update in updates:
            collected.append(update)
            meanwhile()
        return collected

    return run_async(collect())


def test_an_event_with_nothing_to_tell_yields_an_update_that_changes_nothing(page) -> None:
    # Gradio empties the outputs of an event that yields nothing: no video could be brought any more.
    tab = page.annotate
    [update] = told(tab.jobs.resume(REQUEST, tab.show))
    assert list(update.values()) == [gr.skip()]


def test_a_job_that_ends_while_the_page_is_loaded_is_shown_with_its_result(page, monkeypatch) -> None:
    tab, session = page.annotate, page.session
    monkeypatch.setattr(View, "of", lambda self, session, **more: {tab.stage: session.results.get("annotate")})
    monkeypatch.setattr(jobs, "asked_of", lambda result: ("mini", None))
    monkeypatch.setattr(view_models, "answered", lambda result, session: {"top": []})
    job = page.desk.submit(session, lambda job: SimpleNamespace(folder=session.folder), key="annotate", keep=True)
    assert tab.jobs.standing(session)[tab.jobs.line]["state"] == "waiting"
    page.desk.step()  # after the page was told how the job stands, before it follows it
    [last] = told(tab.jobs.resume(REQUEST, tab.show))
    assert last[tab.stage] is job.result
    assert last[tab.jobs.line] == {"state": "idle"}


def test_a_comparison_is_shown_when_the_job_that_a_loaded_page_follows_ends(page, monkeypatch) -> None:
    tab, session = page.compare, page.session
    monkeypatch.setattr(compare, "_finished", lambda session, result: result)
    job = page.desk.submit(session, lambda job: SimpleNamespace(folder=session.folder), key="compare", keep=True)
    assert tab.page in tab.begin(session)
    first, last = told(tab.jobs.resume(REQUEST, tab.show), page.desk.step)  # the job runs once its progress is followed
    assert first[tab.jobs.line]["state"] == "waiting"
    assert last == {tab.page: job.result, tab.jobs.line: {"state": "idle"}}


@pytest.mark.parametrize(("state", "shown"), [("cancelled", "idle"), ("failed", "failed")])
def test_a_loaded_page_shows_why_the_last_job_failed_and_not_that_one_was_stopped(page, state: str, shown: str) -> None:
    tab, session = page.compare, page.session

    def work(job: Any) -> None:
        raise Cancelled if state == "cancelled" else UsageError("no")

    page.desk.submit(session, work, key="compare")
    page.desk.step()
    for update in (tab.jobs.standing(session), *told(tab.jobs.resume(REQUEST, tab.show))):
        assert update[tab.jobs.line]["state"] == shown


def test_an_answer_that_fails_is_said_on_the_line_and_changes_nothing_else(page) -> None:
    tab, heard = page.compare, []

    def refuse(session: Any, said: dict[str, Any], *values: Any) -> dict[Any, Any]:
        raise UsageError(f"{said['name']} {values} {session is page.session}")

    tab.jobs.on(lambda run, inputs, outputs, **_: heard.extend([run, *outputs]), refuse, ["input"], [tab.page], said=True)
    answer, *outputs = heard
    assert outputs == [tab.jobs.line, tab.page]
    assert answer(REQUEST, SimpleNamespace(_data={"name": "clip"}), 5) == {
        tab.jobs.line: {"state": "failed", "message": "clip (5,) True"}
    }
    closed: Any = SimpleNamespace(session_hash="closed")
    assert "has expired" in answer(closed, SimpleNamespace(_data={}), 5)[tab.jobs.line]["message"]


def test_another_model_is_chosen_if_the_chosen_one_was_deleted(page) -> None:
    tab, session = page.annotate, page.session
    model, method, classes, _ = tab.questions.menus
    session.chosen.clear()
    assert set(tab.for_models(session)) == {model}  # its choices alone: what is chosen stays
    session.chosen["annotate"] = ["a-b-0123456789ab", "gradcam", ["walking", "no such action"], "", *[None] * 7]
    shown = tab.for_models(session)
    assert (shown[model].value, shown[method].value, shown[classes].value) == ("mini", "gradcam", ["walking"])
    assert session.chosen["annotate"][0] == "mini"


def test_a_result_is_in_all_updates_that_come_after_it(page, monkeypatch) -> None:
    tab, session = page.annotate, page.session
    first, second = (SimpleNamespace(folder=session.folder) for _ in range(2))
    shown = {tab.view.answer: "words"}
    monkeypatch.setattr(View, "of", lambda self, session: {tab.stage: session.results["annotate"]} | shown)
    monkeypatch.setattr(jobs, "asked_of", lambda result: ("mini", None))
    monkeypatch.setattr(view_models, "answered", lambda result, session: {"top": []})
    job = page.desk.submit(session, lambda job: second, key="annotate", keep=True)

    async def at_once(event: Any, timeout: float) -> bool:
        return event.is_set()

    monkeypatch.setattr(page.desk.clock, "wait_async", at_once)
    steps = iter([lambda: job.show(first), page.desk.step])  # the evidence, while the verdict is made
    updates = told(tab.jobs.follow(job, tab.show), lambda: next(steps, lambda: None)())
    given: set[Any] = set()
    for update in updates:
        assert given <= set(update)
        given |= set(update)
    assert [u[tab.stage] for u in updates if tab.stage in u] == [first, second]
    assert updates[-1][tab.jobs.line] == {"state": "idle"}


def test_a_tab_that_was_closed_at_once_gets_no_example_and_no_complaint(tabs, caplog) -> None:
    closed: Any = SimpleNamespace(session_hash="closed")
    assert run_async(tabs.annotate.show_example(closed)) == gr.skip()
    assert caplog.text == ""


def test_questions_are_put_in_the_words_of_the_page(page) -> None:
    controls = page.annotate.questions.controls
    classes, contrast, check = controls[2], controls[3], controls[-1]
    assert (classes.label, classes.info) == ("Evidence for", "Leave empty to explain the model's answer.")
    assert (contrast.label, contrast.choices[0]) == ("Contrast with", ("none", ""))
    assert check.label == "Check: does the answer depend on this evidence? (takes longer; the heat comes first)"


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [(("", ""), (None, None)), (("0", " 2,5 "), (None, 2.5)), (("1.5", "0"), (1.5, None)), ((None, 3), (None, 3.0))],
)
def test_seconds_are_typed_or_left_out(typed: tuple[Any, Any], wanted: tuple[Any, Any]) -> None:
    _, settings = Questions.asked("mini", "cam", [], "", "gaussian", 0.25, 0, False, *typed, False)
    assert (settings.start_s, settings.end_s) == wanted
    with pytest.raises(UsageError, match=r"^'x' is not a number of seconds: type one such as 2\.5, or leave the field empty\.$"):
        Questions.asked("mini", "cam", [], "", "gaussian", 0.25, 0, False, "x", typed[1], False)


def test_classes_begin_with_the_answers_of_the_video(page, monkeypatch) -> None:
    questions, session = page.annotate.questions, page.session
    [classes, contrast] = questions.class_menus
    plain = questions.for_model(session, "mini", "cam", [], None)[classes].choices
    assert questions.order_classes(session) == {}  # nothing is explained
    answer = {"top": [["walking", 0.6, False], ["none of these", 0.3, True], ["jumping jack", 0.1, False]]}
    session.results["annotate"] = SimpleNamespace(folder=session.folder, analysis=None, answer=answer)
    monkeypatch.setattr(jobs, "asked_of", lambda result: ("mini", None))
    first = [("walking", "walking"), ("jumping jack", "jumping jack")]
    for menus in (questions.order_classes(session), questions.for_model(session, "mini", "cam", [], None)):
        assert menus[classes].choices == first + [label for label in plain if label not in first]
        assert menus[contrast].choices == [("none", ""), *menus[classes].choices]
    assert plain == sorted(plain)
    session.chosen["annotate"] = ["movinet_a0"]  # the menus are those of another model by now
    assert questions.order_classes(session) == {}
    assert menu_choices.sorted_labels("movinet_a0", ["yoga"])[:3] == ["yoga", "abseiling", "acting in play"]
