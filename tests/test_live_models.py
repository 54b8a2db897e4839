"""Changing the model while streams run: as if a new stream had begun, for all who look on, or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np
import pytest
from starlette.testclient import TestClient
from support import planted
from support.clock import ManualClock
from support.hand import Hand
from support.page import opened, wait
from support.values import red_square
from support.waiting import HANG_S, until, vidcam_threads
from test_live_browser import pick, served, text
from test_live_server import HERE, SOCKET, Page

from vidcam.engine import open_engine
from vidcam.errors import UsageError, WeightsError
from vidcam.live.explainer import Explainer
from vidcam.live.models import ModelChoice, ModelSwitch, fit_settings
from vidcam.live.pipeline import MonitorConfig
from vidcam.live.rules import parse_rule
from vidcam.settings import Settings
from vidcam.web.live import PAGE
from vidcam.web.live.connection import STATUS_S
from vidcam.web.live.hub import Hub, make_camera_hub
from vidcam.web.live.server import make_viewer

pytestmark = pytest.mark.xdist_group("live_browser")

SETTINGS = Settings(seconds_between_clip_starts=0.1, smooth_s=0.0)
FRAMES = red_square(150)
BEFORE, AFTER = 30, 60  # frames: of the planted network, and then of mini, whose clips are longer


@pytest.fixture(scope="module")
def first():
    return open_engine(f"{planted.__file__}:patches")


@pytest.fixture(scope="module")
def mini():
    return open_engine("mini", device="cpu")


@contextmanager
def watched(engine, open_model: Callable, config: MonitorConfig | None = None) -> Iterator[tuple[Hand, ModelSwitch]]:
    """A stream that has been explained by ``engine``, and what changes its model."""
    explainer = Explainer(least_s=0.1)
    models = ModelSwitch(engine, open_model=open_model)
    hand = Hand(engine, FRAMES, SETTINGS, config=config, explainer=explainer, models=models)
    hand.push(BEFORE)
    yield hand, models
    hand.pipeline.close()
    until(lambda: not vidcam_threads())


def change(models: ModelSwitch, name: str) -> None:
    models.choose(name)
    until(lambda: models.loading is None)


def test_new_model_goes_on_as_a_stream_that_begins_then(first, mini) -> None:
    config = MonitorConfig(has_page=True)
    with watched(first, lambda name: mini, config) as (hand, models):
        assert models.choices[0].name == first.spec.name
        assert "mini" in [choice.name for choice in models.choices]
        hand.stream.choose(Settings(classes=("nothing",), method="gradcam", smooth_s=0.2))
        change(models, "mini")
        assert (models.engine, models.failed) == (mini, "")
        assert hand.stream.past == hand.stream.past.__class__()
        assert hand.stream.update is None
        assert (hand.stream.settings.classes, hand.stream.settings.method, hand.stream.settings.smooth_s) == ((), "gradcam", 0.2)
        hand.push(AFTER)
        (event, *_) = hand.pipeline.journal.entries
        assert event.event.action == "red square"
        assert event.event.end_s is not None  # it ended with its model
        assert event.event.model == first.spec.name
        assert {e.event.model for e in hand.pipeline.journal.entries[1:]} <= {"mini"}

        fresh = Hand(mini, FRAMES[BEFORE : BEFORE + AFTER], hand.stream.settings)
        fresh.push(AFTER)
        ours, theirs = hand.stream.update, fresh.stream.update
        fresh.pipeline.close()
        assert ours.time == theirs.time
        assert (ours.number, ours.label, ours.top) == (theirs.number, theirs.label, theirs.top)
        np.testing.assert_allclose(ours.prediction.probs, theirs.prediction.probs, atol=1e-6)
        np.testing.assert_allclose(ours.tracks[ours.label][0].maps, theirs.tracks[ours.label][0].maps, atol=1e-5)

        change(models, first.spec.name)  # the very engine of the beginning: nothing is opened
        assert models.engine is first


def test_model_that_lacks_the_class_of_a_rule_changes_nothing(first, mini) -> None:
    config = MonitorConfig((parse_rule("red square > 0.5"),), has_page=True)
    with watched(first, lambda name: mini, config) as (hand, models):
        change(models, "mini")
        assert models.failed.startswith("mini cannot be used here: it does not know the class of the rule 'red square > 0.5'")
        assert hand.stream.engine is models.engine is first
        hand.push(1)
        assert hand.stream.update.label == "red square"


def test_what_cannot_be_loaded_is_told_and_can_be_tried_again(first, mini) -> None:
    answers = iter([WeightsError("the file is damaged"), RuntimeError("no memory"), mini])
    gate = threading.Event()

    def open_model(name: str):
        assert gate.wait(HANG_S)
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with watched(first, open_model) as (_, models):
        with pytest.raises(UsageError, match=r"'of mine\.py:build' is not one of the models on this machine: "):
            models.choose("of mine.py:build")
        models.choose("mini")
        with pytest.raises(UsageError, match="mini is being loaded"):
            models.choose("mini")
        gate.set()
        until(lambda: models.loading is None)
        assert models.failed == "mini cannot be used here: the file is damaged"
        change(models, "mini")
        assert models.failed == "mini cannot be used here: RuntimeError: no memory"
        assert models.engine is first
        change(models, "mini")
        assert (models.engine, models.failed) == (mini, "")


def test_settings_keep_what_the_new_model_has(mini) -> None:
    kept = fit_settings(Settings(classes=("Walking", "yoga"), versus="yoga", method="gradcam", smooth_s=0.3), mini)
    assert (kept.classes, kept.versus, kept.method, kept.smooth_s) == (("Walking",), None, "gradcam", 0.3)
    assert fit_settings(Settings(method="attention-rollout"), mini).method is None


def test_all_viewers_get_the_new_model_and_a_wrong_wish_is_told(first, mini) -> None:
    with (
        watched(first, lambda name: mini) as (hand, _),
        TestClient(make_viewer(Hub(hand.pipeline), PAGE), base_url=HERE) as client,
        client.websocket_connect(SOCKET) as one,
        client.websocket_connect(SOCKET) as two,
    ):
        pages = Page(one), Page(two)
        for page in pages:
            assert page.next("hello")["labels"] == list(planted.LABELS)
            assert page.next("models") | {"choices": None} == {
                "type": "models", "current": first.spec.name, "choices": None, "loading": None, "failed": "",
            }  # fmt: skip
        for wrong in ({"name": "nobody"}, {"name": 7}, {}):
            one.send_text(json.dumps({"type": "model", **wrong}))
            assert "model" in pages[0].next("error")["message"]
        one.send_text('{"type": "model", "name": "mini"}')
        until(lambda: hand.stream.engine is mini)
        hand.clock.advance(1.1 * STATUS_S)
        for page in pages:
            assert page.next("hello")["labels"] == list(mini.labels)
        hand.push(AFTER)
        for page in pages:
            assert {label for label, _ in page.next("evidence")["top"]} <= set(mini.labels)


def test_stream_without_a_choice_of_models_says_so(first) -> None:
    hand = Hand(first, FRAMES, SETTINGS)
    hand.push(BEFORE)
    with TestClient(make_viewer(Hub(hand.pipeline), PAGE), base_url=HERE) as client, client.websocket_connect(SOCKET) as socket:
        socket.send_text('{"type": "model", "name": "mini"}')
        assert "cannot be changed here" in Page(socket).next("error")["message"]
    hand.pipeline.close()


def test_model_is_chosen_in_the_page_and_both_viewers_see_it(browser, first, mini) -> None:
    gate = threading.Event()

    def open_model(name: str):
        assert gate.wait(HANG_S)
        return mini

    with (
        watched(first, open_model) as (hand, models),
        served(Hub(hand.pipeline)) as address,
        opened(browser, address) as page,
        opened(browser, address) as other,
    ):
        wait(page, "vidcamStats.drawn.evidence > 0 && document.getElementById('model').value !== ''")
        assert page.get_by_label("Model").input_value() == first.spec.name
        pick(page, "model", "nobody")
        wait(page, "/no model called .nobody. on vidcam.s machine/.test(document.getElementById('notice').textContent)")
        pick(page, "model", "MINI")
        until(lambda: models.loading == "mini")
        hand.clock.advance(1.1 * STATUS_S)
        hand.push(1)  # the old model goes on
        for view in (page, other):
            wait(view, "/^Loading mini. Until it is ready, /.test(document.getElementById('model-note').textContent)")
            assert view.get_by_label("Model").is_disabled()
        gate.set()
        until(lambda: hand.stream.engine is mini)
        hand.push(AFTER)
        for view in (page, other):
            wait(view, "document.getElementById('model').value === 'mini'")
            wait(view, f"document.getElementById('answer').textContent === {json.dumps(hand.stream.update.top[0][0])}")
            assert text(view, "model-note") == ""
            names = view.locator("#class-names option").evaluate_all("all => all.map(o => o.value)")
            assert names == ["the answer", *mini.labels]


def test_viewer_changes_the_model_of_the_own_camera_only(first, mini) -> None:
    opened_models: list[str] = []

    def open_model(name: str):
        opened_models.append(name)
        return mini

    hub = make_camera_hub(first, replace(SETTINGS, classes=("red square",)), clock=ManualClock(), open_model=open_model)
    with TestClient(make_viewer(hub, PAGE), base_url=HERE) as client, ExitStack() as stack:
        one = stack.enter_context(client.websocket_connect(SOCKET))
        assert Page(one).next("hello")["model"]["name"] == first.spec.name
        [own] = hub.pipelines
        two = stack.enter_context(client.websocket_connect(SOCKET))
        assert Page(two).next("hello")["model"]["name"] == first.spec.name
        [others] = set(hub.pipelines) - {own}
        one.send_text('{"type": "model", "name": "mini"}')
        until(lambda: own.stream.engine is mini)
        assert own.stream.settings.classes == ()
        assert (others.stream.engine, others.stream.settings.classes) == (first, ("red square",))
        assert [own.models.engine, others.models.engine] == [mini, first]
        with client.websocket_connect(f"{SOCKET}?model=mini") as three:  # one may begin with another model
            assert Page(three).next("hello")["model"]["name"] == "mini"
        assert opened_models == ["mini"]  # the cameras share it
        with client.websocket_connect(f"{SOCKET}?model=nobody") as four:
            assert "'nobody' is not one of the models on this machine" in Page(four).next("error")["message"]
    until(lambda: not vidcam_threads())


def test_own_models_are_offered_to_their_owner_and_nobody_else(first, mini) -> None:
    own = ModelChoice("anna's", "taught here: a, b", lambda: mini)
    hub = make_camera_hub(first, SETTINGS, clock=ManualClock(), own_models=lambda key: [own] if key == "anna" else [])
    with TestClient(make_viewer(hub, PAGE), base_url=HERE) as client:
        for key, is_offered in (("anna", True), ("bert", False), ("", False)):
            with client.websocket_connect(f"{SOCKET}?key={key}") as socket:
                assert (["anna's", own.title] in Page(socket).next("models")["choices"]) == is_offered
            with client.websocket_connect(f"{SOCKET}?key={key}&model=anna's") as socket:
                page = Page(socket)
                if is_offered:
                    assert page.next("hello")["labels"] == list(mini.labels)
                else:
                    assert "not one of the models" in page.next("error")["message"]
    until(lambda: not vidcam_threads())


def test_streams_of_two_models_are_not_explained_together(first, mini) -> None:
    explainer = Explainer()
    one, two = (Hand(engine, FRAMES, SETTINGS, explainer=explainer, name=name) for engine, name in ((first, "a"), (mini, "b")))
    turns: list[set[int]] = []
    explain = explainer._explain
    explainer._explain = lambda parts: (turns.append({id(session.engine) for _, session, _ in parts}), explain(parts))  # type: ignore
    with one.stream.explaining:  # both wait, so that one round takes both
        one.push(AFTER, explained=False)
        two.push(AFTER, explained=False)
    for hand in (one, two):
        hand.stream.settle()
    assert {len(engines) for engines in turns} == {1}
    assert (one.stream.update.label in first.labels, two.stream.update.label in mini.labels) == (True, True)
    for hand in (one, two):
        hand.pipeline.close()
    until(lambda: not vidcam_threads())
