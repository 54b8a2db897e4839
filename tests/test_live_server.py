"""The viewer's server: what a page gets and may do, and who is kept out."""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import anyio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from support import planted
from support.clock import NOON, ManualClock
from support.hand import Hand
from support.values import red_square
from support.waiting import HANG_S, until, vidcam_threads

from vidcam.engine import open_engine
from vidcam.errors import UnknownNameError, UsageError
from vidcam.io.jpeg import decode
from vidcam.live.events import Event
from vidcam.live.journal import Journal
from vidcam.live.pictures import PictureEncoder, encode_picture
from vidcam.live.pipeline import MonitorConfig
from vidcam.live.regions import parse_region
from vidcam.live.rules import parse_rule
from vidcam.live.worker import Worker
from vidcam.settings import Settings
from vidcam.values import Frame
from vidcam.web.live import PAGE, protocol, run, watch
from vidcam.web.live.connection import STATUS_S
from vidcam.web.live.hub import Hub, make_camera_hub
from vidcam.web.live.server import make_viewer
from vidcam.web.security import LOOPBACK, check_proxy_name, find_refusal
from vidcam.web.serving import listen

HERE = "http://127.0.0.1:7870"
SOCKET = "ws://127.0.0.1:7870/ws"


@pytest.fixture(scope="module")
def engine():
    return open_engine(f"{planted.__file__}:patches")


@pytest.fixture
def shown(engine) -> Iterator[Hand]:
    """A red square that has been watched for one and a half seconds."""
    config = MonitorConfig((parse_rule("red square > 0.5"),))
    shown = Hand(engine, red_square(60), Settings(seconds_between_clip_starts=0.1, smooth_s=0.0), config=config)
    shown.push(30)
    yield shown
    shown.pipeline.close()
    until(lambda: not vidcam_threads())


@pytest.fixture
def pipeline(shown):
    return shown.pipeline


class Page:
    """What a page does: sorts what comes, acknowledges pictures where it is asked to."""

    def __init__(self, socket) -> None:
        self.socket = socket

    async def _receive(self) -> dict:
        with anyio.fail_after(HANG_S):
            return await self.socket._send_rx.receive()

    def next(self, kind: str, *, got: bool = True) -> dict:
        for _ in range(200):
            message = self.socket.portal.call(self._receive)
            if message.get("bytes") is not None:
                at, jpeg = protocol.unpack_picture(message["bytes"])
                if got:
                    self.socket.send_text('{"type":"got"}')
                if kind == "picture":
                    return {"time": at, "jpeg": jpeg}
            else:
                told = json.loads(message["text"])
                if told["type"] == kind:
                    return told
        raise AssertionError(f"no {kind} came")

    def closed(self) -> int:
        """Wait until the server ends the connection; return its code."""
        for _ in range(200):
            message = self.socket.portal.call(self._receive)
            if message["type"] == "websocket.close":
                return message["code"]
        raise AssertionError("it was not closed")


def test_a_page_gets_everything_it_needs_to_draw(shown, pipeline, engine) -> None:
    with TestClient(make_viewer(Hub(pipeline), PAGE), base_url=HERE) as client:
        assert client.get("/").text.startswith("<!doctype html>")
        with client.websocket_connect(SOCKET) as socket:
            page = Page(socket)
            hello = page.next("hello")
            assert (hello["source"], hello["browser"], hello["model"]["name"]) == ("the camera", False, engine.spec.name)
            works = {m["name"]: m["why"] for m in hello["methods"]}
            assert works["cam"] is None
            assert works["attention-rollout"].startswith("needs ")
            past = page.next("history")["items"]
            assert [p["time"] for p in past] == sorted({round(u.time, 4) for u in pipeline.stream.past})
            news = page.next("evidence")
            update = pipeline.stream.update
            assert (news["label"], news["time"]) == ("red square", pytest.approx(update.time, abs=1e-4))
            (patch,) = news["patches"]
            sent = np.reshape(patch["values"], (14, 14)) / protocol.LEVELS
            assert sent == pytest.approx(
                np.clip(update.tracks["red square"][0].maps[0] / update.scale, -1, 1), abs=0.51 / protocol.LEVELS
            )
            assert sent.max() == pytest.approx(1.0, abs=0.01)
            (head,) = update.tracks["red square"]
            assert news["curves"]["red square"] == pytest.approx(head.maps[head.maps > 0].sum() / head.cell_s, rel=1e-3)
            assert len(json.dumps(news)) < 4096  # kilobytes
            assert dict(news["top"])["red square"] == pytest.approx(update.prediction.prob("red square"), abs=1e-4)
            picture = page.next("picture")
            assert picture["time"] == pipeline.stream.latest.time
            assert picture["jpeg"] == encode_picture(pipeline.stream.latest)
            assert pipeline.viewers == 1
            shown.clock.advance(1.1 * STATUS_S)
            told = page.next("status")
            assert (told["state"], told["size"]) == ("running", [112, 112])
            assert told["settings"] == {"method": "cam", "class": None, "versus": None, "smooth_s": 0.0}
        until(lambda: pipeline.viewers == 0)
        assert pipeline.stream.on_update == [pipeline.monitor.update]  # nobody is told who has gone


@pytest.mark.parametrize("every_s", [0.0, 0.1], ids=["page", "tile"])
def test_viewer_who_comes_while_a_picture_is_encoded_gets_it(every_s) -> None:
    (frame,) = red_square(1)
    encoder, began, go_on, got = PictureEncoder(every_s=every_s), threading.Event(), threading.Event(), []

    def hold(_: bytes, time: float) -> None:
        began.set()
        assert go_on.wait(HANG_S)

    encoder.push(frame)
    encoder.add(hold, frame)
    assert began.wait(HANG_S)
    encoder.add(lambda _, time: got.append(time), frame)  # the first viewer's picture is not finished yet
    go_on.set()
    until(lambda: got == [frame.time])
    encoder.close()


def test_a_choice_acts_at_once_for_all_viewers(shown, pipeline) -> None:
    with (
        TestClient(make_viewer(Hub(pipeline), PAGE), base_url=HERE) as client,
        client.websocket_connect(SOCKET) as first,
        client.websocket_connect(SOCKET) as second,
    ):
        one, two = Page(first), Page(second)
        for page in (one, two):
            assert page.next("evidence")["label"] == "red square"
            assert page.next("picture")["time"] == pipeline.stream.latest.time
        choice = {"type": "choose", "method": "gradcam", "class": "nothing", "versus": "red square", "smooth_s": 0.4}
        first.send_text(json.dumps(choice))
        for page in (one, two):
            assert page.next("evidence")["label"] == "nothing"
        shown.clock.advance(1.1 * STATUS_S)  # who has not chosen is told with the next status
        for page in (one, two):
            told = page.next("status")["settings"]
            while told["method"] != "gradcam":  # the one of the beginning
                told = page.next("status")["settings"]
            assert told == {"method": "gradcam", "class": "nothing", "versus": "red square", "smooth_s": 0.4}


def test_a_wrong_choice_is_told_and_changes_nothing(pipeline) -> None:
    with TestClient(make_viewer(Hub(pipeline), PAGE), base_url=HERE) as client, client.websocket_connect(SOCKET) as socket:
        page = Page(socket)
        before = pipeline.stream.settings
        for wrong, words in (
            ({"class": "nobody"}, "unknown class 'nobody'"),
            ({"method": "attention-rollout"}, "needs"),
            ({"class": ["red square"]}, "The class must be a name"),
            ({"smooth_s": 1e9}, "0 to 5 seconds"),
            ({"smooth_s": 10**4000}, "0 to 5 seconds"),
            ({"smooth_s": True}, "0 to 5 seconds"),
            ({"smooth_s": "1"}, "0 to 5 seconds"),
            ({"class": "nothing", "versus": "nothing"}, "against itself"),
        ):
            socket.send_text(json.dumps({"type": "choose", **wrong}))
            assert words in page.next("error")["message"]
        for noise in ('{"type":"rm"}', '{"type":["got"]}', '{"type":"choose","method":1}'):
            socket.send_text(noise)
        socket.send_bytes(b"not for us")
        assert page.next("error")["message"].startswith("The method must be a name")
        assert pipeline.stream.settings == before


NONSENSE = {
    "deep": "[" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "5000 digits": '{"type":"choose","smooth_s":' + "9" * 5000 + "}",
    "infinite": '{"type":"choose","smooth_s":1e999}',
    "no number": '{"type":"choose","smooth_s":NaN}',
    "half a letter": '{"type":"choose","class":"\\ud800"}',
    "half a text": '{"type":"got',
    "empty": "",
    "a list": "[]",
    "a zero byte": "\0",
}


@pytest.mark.parametrize("words", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_ends_the_connection_and_no_other(shown, pipeline, words: str) -> None:
    with TestClient(make_viewer(Hub(pipeline), PAGE), base_url=HERE) as client, client.websocket_connect(SOCKET) as other:
        page = Page(other)
        assert page.next("picture")
        with client.websocket_connect(SOCKET) as socket:
            socket.send_text(words)
            assert Page(socket).closed() == 1007
        shown.push()
        while page.next("picture")["time"] != pipeline.stream.latest.time:
            pass
    until(lambda: pipeline.viewers == 0)


@pytest.mark.parametrize("error", [OSError, RuntimeError])  # both are what uvicorn raises
@pytest.mark.parametrize("sends", range(6))
def test_a_page_may_go_at_any_moment(pipeline, sends: int, error: type[Exception]) -> None:
    app, left, came = make_viewer(Hub(pipeline), PAGE), sends, False

    async def receive() -> dict:
        nonlocal came
        if came:
            await anyio.sleep_forever()
        came = True
        return {"type": "websocket.connect"}

    async def send(message: dict) -> None:
        nonlocal left
        if not left:
            raise error("the page has gone")
        left -= 1

    asked = {**scope(host="127.0.0.1"), "path": "/ws", "root_path": "", "subprotocols": []}
    anyio.run(app, asked, receive, send)
    assert (left, pipeline.viewers) == (0, 0)
    assert pipeline.stream.on_update == [pipeline.monitor.update]


def test_a_slow_viewer_gets_the_newest_picture_next(shown, pipeline) -> None:
    with (
        TestClient(make_viewer(Hub(pipeline), PAGE), base_url=HERE) as client,
        client.websocket_connect(SOCKET) as slow,
    ):
        lazy = Page(slow)
        first = pipeline.stream.latest.time
        assert lazy.next("picture", got=False)["time"] == first
        with client.websocket_connect(SOCKET) as quick:
            eager = Page(quick)
            assert eager.next("picture")["time"] == first
            # Who comes has the last picture shown to all: the second, and as many may be on their way.
            assert lazy.next("picture", got=False)["time"] == first
            for _ in range(12):
                shown.push()
                assert eager.next("picture")["time"] == pipeline.stream.latest.time  # none is left out, and none comes twice
            slow.send_text('{"type":"got"}')
            assert lazy.next("picture")["time"] == pipeline.stream.latest.time  # and nothing of what was in between
            assert pipeline.stream.latest.time == pytest.approx(first + 12 * 0.05)


@pytest.fixture
def two(engine) -> Iterator[list[Hand]]:
    """A door and a yard, in front of each of which something else is going on."""
    grey = [Frame(np.full((200, 1000, 3), 90, np.uint8), frame.time, frame.duration) for frame in red_square(40)]
    settings = Settings(seconds_between_clip_starts=0.1, smooth_s=0.0)
    two = [Hand(engine, frames, settings, name=name) for name, frames in (("door", red_square(40)), ("yard", grey))]
    for hand in two:
        hand.push(30)
    yield two
    for hand in two:
        hand.pipeline.close()
    until(lambda: not vidcam_threads())


def test_each_of_several_sources_can_be_looked_at(two) -> None:
    with TestClient(make_viewer(Hub(*(hand.pipeline for hand in two)), PAGE), base_url=HERE) as client:
        assert client.get("/sources").json() == {"sources": ["door", "yard"]}
        assert "grid.js" in client.get("/").text
        assert "app.js" in client.get("/?source=yard").text
        for query, source, label in (
            ("", "door", "red square"),
            ("?source=door", "door", "red square"),
            ("?source=yard", "yard", "nothing"),
        ):
            with client.websocket_connect(SOCKET + query) as socket:
                page = Page(socket)
                assert page.next("hello")["source"] == source
                assert page.next("evidence")["label"] == label
        with client.websocket_connect(SOCKET + "?source=roof") as socket:
            page = Page(socket)
            assert page.next("error")["message"] == "There is no source called roof here; sources: door, yard."
            assert page.closed() == 4000
        answer = client.get("/metrics").text
        assert 'vidcam_frames_total{source="door"} 30.0' in answer
        assert 'vidcam_frames_total{source="yard"} 30.0' in answer


def test_tile_gets_small_pictures_at_most_ten_a_second(two) -> None:
    yard = two[1]
    with TestClient(make_viewer(Hub(*(hand.pipeline for hand in two)), PAGE), base_url=HERE) as client:
        with client.websocket_connect(SOCKET + "?source=yard&tile") as socket:
            page, times = Page(socket), []
            assert page.next("history")["items"] == []
            for _ in range(8):
                yard.push()  # twenty a second
                until(lambda: yard.pipeline.small_pictures.is_idle)
            while not times or times[-1] < yard.stream.latest.time - 0.06:
                picture = page.next("picture")
                times.append(picture["time"])
                assert decode(picture["jpeg"]).shape == (96, 480, 3)
        assert np.diff(times).min() > 0.09
    until(lambda: yard.pipeline.viewers == 0)


class Noted:
    """An action that keeps the events."""

    name = "the list"

    def __init__(self) -> None:
        self.rules: list[str] = []

    def __call__(self, event) -> None:
        self.rules.append(event.rule)


def test_rules_and_regions_made_on_the_page_fill_its_list_only(engine) -> None:
    noted = Noted()
    config = MonitorConfig(
        (parse_rule("red square > 0.9 in all"),), (noted,), has_page=True, regions=(parse_region("all=0,0,1,1"),)
    )
    hand = Hand(engine, red_square(60), Settings(seconds_between_clip_starts=0.1, smooth_s=0.0), config=config)
    hand.push(15)
    with TestClient(make_viewer(Hub(hand.pipeline), PAGE), base_url=HERE) as client, client.websocket_connect(SOCKET) as socket:
        page = Page(socket)

        def ask(**request: object) -> None:
            socket.send_text(json.dumps(request))

        first = page.next("watch")
        assert first["rules"] == [{"words": "red square > 0.9 in all", "fixed": True}]
        assert [(r["name"], r["box"], r["fixed"]) for r in first["regions"]] == [("all", [0, 0, 1, 1], True)]
        for request, words in (
            ({"type": "region", "name": "all", "box": None}, "was given on the command line"),
            ({"type": "region", "name": "a<b", "box": [0, 0, 1, 1]}, "a region's name is"),
            ({"type": "region", "name": "a", "box": [0, 0, 1]}, "four numbers"),
            ({"type": "region", "name": "a", "box": [0, 0, True, 1]}, "four numbers"),
            ({"type": "region", "name": 5, "box": [0, 0, 1, 1]}, "The name must be a text"),
            ({"type": "rule", "add": "red square"}, "cannot be understood"),
            ({"type": "rule", "add": "nobody > 0.5"}, "unknown class"),
            ({"type": "rule", "add": "red square > 0.5 in door"}, "There is no region 'door' here. Draw it first"),
            ({"type": "rule", "add": "red square > 0.5 at roof"}, "This is the page of the camera"),
            ({"type": "rule"}, "The add must be a text"),
        ):
            ask(**request)
            assert words in page.next("error")["message"]
        ask(type="region", name="door", box=[0, 0, 0.75, 1])
        assert [r["name"] for r in page.next("watch")["regions"]] == ["all", "door"]
        ask(type="rule", add="red square > 50%  in door")
        rule = "red square > 0.5 in door"
        assert page.next("watch")["rules"][1:] == [{"words": rule, "fixed": False}]
        ask(type="region", name="door", box=None)
        assert f"The rule {rule!r} needs the region door" in page.next("error")["message"]
        hand.push(15)
        event = page.next("event")
        while event["rule"] != rule or event["picture"] is None:
            event = page.next("event")
        assert (event["action"], event["end_s"]) == ("red square", None)
        picture = decode(base64.b64decode(event["picture"])).astype(int)
        assert picture.shape == (112, 112, 3)
        plain = hand.stream.latest.image.astype(int)
        assert np.abs(picture - plain).max() > 60  # heat is drawn in
        ask(type="rule", remove=rule)
        while event["end_s"] is None:
            event = page.next("event")
        assert event["rule"] == rule
        until(lambda: hand.pipeline.page_monitor.followed == ())
        ask(type="region", name="door", box=None)
        while len(page.next("watch")["regions"]) > 1:
            pass
    with TestClient(make_viewer(Hub(hand.pipeline), PAGE), base_url=HERE) as client, client.websocket_connect(SOCKET) as socket:
        later = Page(socket).next("event")  # who comes later is told too
        assert later["picture"]
    hand.pipeline.close()
    assert set(noted.rules) == {"red square > 0.9 in all"}  # no page can set off an action
    until(lambda: not vidcam_threads())


def test_number_of_rules_and_regions_has_an_end(engine) -> None:
    hand = Hand(engine, red_square(30), Settings(seconds_between_clip_starts=0.1), config=MonitorConfig(has_page=True))
    for n in range(watch.MAX_REGIONS):
        watch.set_region(hand.pipeline, {"name": f"r{n}", "box": [0, 0, 1, 1]})
    with pytest.raises(UsageError, match="There are 20 regions already"):
        watch.set_region(hand.pipeline, {"name": "more", "box": [0, 0, 1, 1]})
    for n in range(watch.MAX_RULES - 1):  # one is there from the beginning
        watch.set_rule(hand.pipeline, {"add": f"red square > 0.{n + 100}"})
    with pytest.raises(UsageError, match="There are 20 rules already"):
        watch.set_rule(hand.pipeline, {"add": "red square > 0.5"})
    hand.pipeline.close()


def test_journal_keeps_the_last_fifty_events_and_no_rejections(engine) -> None:
    stream = SimpleNamespace(latest=None, update=None)
    journal = Journal(stream, Worker(lambda sentence: None), skip=("nothing",))
    start = Event(1, "camera", "any > 0.5", "red square", 1.0, NOON, 0.7)
    for n in range(1, 61):
        journal(replace(start, id=n))
        journal(replace(start, id=n, action="nothing"))
    assert [entry.event.id for entry in journal.entries] == list(range(11, 61))
    journal(replace(start, id=60, end=NOON, end_s=2.0, score=0.9))
    assert (journal.entries[-1].number, journal.entries[-1].event.score, len(journal.entries)) == (60, 0.9, 50)


def test_pictures_that_cannot_be_shown_are_told(shown, pipeline) -> None:
    def fail(jpeg: bytes, at: float) -> None:
        raise RuntimeError("no paper")

    pipeline.pictures.add(fail)
    shown.push()
    until(lambda: pipeline.state == "failed")
    assert pipeline.reason == str(pipeline.error) == "the pictures cannot be shown: RuntimeError: no paper"


def test_it_can_be_mounted_in_another_application(pipeline) -> None:
    app = Starlette(routes=[Mount("/live", make_viewer(Hub(pipeline), PAGE, hosts=None))])
    with TestClient(app, base_url="http://anywhere.example") as client:
        assert "vidcam live" in client.get("/live/").text
        kind = client.get("/live/app.js").headers["content-type"].partition(";")[0]
        assert kind in ("text/javascript", "application/javascript")  # Gradio, once imported, makes Python say the latter
        with client.websocket_connect("/live/ws") as socket:
            assert Page(socket).next("hello")["source"] == "the camera"


def test_the_page_asks_nobody_else_for_anything() -> None:
    for path in PAGE.iterdir():
        for address in ("http://", "https://", "//cdn"):
            found = [line for line in path.read_text().splitlines() if address in line and "www.w3.org" not in line]
            assert not found, path
    with TestClient(make_viewer(Hub(make=lambda source: None), PAGE), base_url=HERE) as client:
        policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


def test_metrics_tell_the_state_in_the_format_of_prometheus(shown, pipeline) -> None:
    from prometheus_client.parser import text_string_to_metric_families as parsed

    late = pipeline.stream.latest.time - pipeline.stream.update.time
    shown.clock.advance(0.75)
    with TestClient(make_viewer(Hub(pipeline), None), base_url=HERE) as client:
        answer = client.get("/metrics")
        assert client.get("/").status_code == 404  # no page where none is wanted
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {}
    for family in parsed(answer.text):
        for sample in family.samples:
            found[sample.name, *sample.labels.values()] = sample.value
    assert found["vidcam_frames_total", "the camera"] == pipeline.capture.frames == 30
    assert found["vidcam_windows_explained_total", "the camera"] == pipeline.stream.explained > 0
    assert found["vidcam_source_up", "the camera"] == 1
    assert found["vidcam_frames_per_second", "the camera"] == pytest.approx(20)
    assert found["vidcam_evidence_age_seconds", "the camera"] == pytest.approx(late + 0.75)
    assert 0 <= late < 0.1  # a frame or two
    assert found["vidcam_probability", "red square", "the camera"] == pytest.approx(
        pipeline.stream.update.prediction.prob("red square")
    )
    assert found["vidcam_events_total", "red square", "red square > 0.5", "the camera"] == 1


# ------------------------------------------------------------------------------------------------- a browser's own camera


def test_each_browser_has_its_own_camera_until_it_goes(engine) -> None:
    hub = make_camera_hub(engine, Settings(seconds_between_clip_starts=0.1, smooth_s=0.0), max_cameras=2, clock=ManualClock())
    red, grey = red_square(20), [f.image * 0 + 90 for f in red_square(20)]
    with TestClient(make_viewer(hub, PAGE), base_url=HERE) as client:
        with client.websocket_connect(SOCKET) as first, client.websocket_connect(SOCKET) as second:
            one, two = Page(first), Page(second)
            names = [page.next("hello")["source"] for page in (one, two)]
            assert sorted(names) == ["browser 1", "browser 2"]
            by_name = {pipeline.stream.name: pipeline for pipeline in hub.pipelines}
            mine, theirs = (by_name[name] for name in names)
            with client.websocket_connect(SOCKET) as third:
                assert "2 cameras are already in use" in Page(third).next("error")["message"]
            for n, (frame, blank) in enumerate(zip(red, grey, strict=True), start=1):
                first.send_bytes(protocol.pack_picture(encode_picture(frame), frame.time))
                second.send_bytes(protocol.pack_picture(encode_picture(type(frame)(blank, frame.time, 0.0)), frame.time + 500))
                until(lambda n=n: mine.capture.frames == theirs.capture.frames == n)  # of two at once, the newer is taken
            first.send_bytes(b"\x00" * 20)  # no picture, and not the end of the world
            red_one, grey_one = one.next("evidence"), two.next("evidence")
            assert red_one["label"] == "red square"
            assert grey_one["label"] == "nothing"
            assert grey_one["time"] > 500 > red_one["time"]
            first.send_bytes(protocol.pack_picture(encode_picture(red[-1]), 1.0))
            until(lambda: mine.capture.frames == 21)
        until(lambda: hub.pipelines == [])
        with client.websocket_connect(SOCKET) as again:
            assert Page(again).next("hello")["source"] == "browser 3"
    until(lambda: not vidcam_threads())


def test_settings_that_do_not_fit_are_told_before_a_viewer_comes(engine) -> None:
    with pytest.raises(UnknownNameError, match="unknown class"):
        make_camera_hub(engine, Settings(classes=("nobody",)))
    with pytest.raises(UnknownNameError, match="unknown class"):
        make_camera_hub(engine, config=MonitorConfig((parse_rule("nobody > 0.5"),)))
    assert vidcam_threads() == []


# ----------------------------------------------------------------------------------------------------------- who may look


def scope(kind: str = "websocket", *, query: str = "", **headers: str) -> dict:
    return {
        "type": kind,
        "query_string": query.encode(),
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
    }


@pytest.mark.parametrize("host", ["127.0.0.1:7870", "localhost:7870", "[::1]:7870", "LOCALHOST"])
def test_a_page_of_this_server_is_welcome(host: str) -> None:
    assert find_refusal(scope(host=host, origin=f"http://{host}"), hosts=LOOPBACK, token=None) is None
    assert find_refusal(scope("http", host=host), hosts=LOOPBACK, token=None) is None


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"host": "127.0.0.1:7870", "origin": "http://evil.example"}, "other sites"),
        ({"host": "127.0.0.1:7870", "origin": "http://127.0.0.1:8000"}, "other sites"),  # another server of this machine
        ({"host": "127.0.0.1:7870", "origin": "null"}, "other sites"),  # a sandboxed frame, or a file
        ({"host": "evil.example:7870", "origin": "http://evil.example:7870"}, "not called evil.example"),  # a rebound name
        ({"host": "127.0.0.1.evil.example", "origin": "http://127.0.0.1.evil.example"}, "not called"),
        ({"host": "[broken", "origin": "http://[broken"}, "not called"),
        ({"host": "127.0.0.1", "origin": "http://[broken"}, "other sites"),
        ({}, "not called None"),
    ],
)
def test_other_sites_are_kept_out(headers: dict[str, str], reason: str) -> None:
    assert reason in find_refusal(scope(**headers), hosts=LOOPBACK, token=None)


PROXY = "https://cam.example.com"


@pytest.mark.parametrize("host", ["127.0.0.1:7870", "cam.example.com", "cam.example.com:443"])  # nginx by itself, and told to
def test_a_page_through_the_proxy_is_welcome_with_the_token(host: str) -> None:
    for kind in ("http", "websocket"):
        asked = scope(kind, host=host, origin=PROXY, cookie="vidcam_token=abc")
        assert find_refusal(asked, hosts=LOOPBACK, token="abc", name="cam.example.com") is None
        assert "wants the token" in find_refusal(scope(kind, host=host), hosts=LOOPBACK, token="abc", name="cam.example.com")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"host": "127.0.0.1:7870", "origin": "https://evil.example"}, "other sites"),
        ({"host": "127.0.0.1:7870", "origin": "http://cam.example.com"}, "other sites"),
        ({"host": "127.0.0.1:7870", "origin": "https://cam.example.com:8443"}, "other sites"),
        ({"host": "127.0.0.1:7870", "origin": "https://cam.example.com.evil.example"}, "other sites"),
        ({"host": "evil.example", "origin": PROXY}, "not called evil.example"),
    ],
)
def test_a_proxy_lets_nobody_else_in(headers: dict[str, str], reason: str) -> None:
    assert reason in find_refusal(scope(query="token=abc", **headers), hosts=LOOPBACK, token="abc", name="cam.example.com")


def test_the_name_of_a_proxy_is_a_name() -> None:
    assert check_proxy_name("Cam.Example.com:443") == "cam.example.com"
    assert check_proxy_name("cam.example.com:8443") == "cam.example.com:8443"
    for words in ("", "https://cam.example.com", "cam.example.com/", "a b", "-a", "cam.example.com:x"):
        with pytest.raises(UsageError, match=r"such as cam\.example\.com"):
            check_proxy_name(words)


@pytest.mark.parametrize("host", ["127.0.0.1:PORT", "cam.example.com"])
def test_a_server_behind_a_proxy_serves_page_and_websocket(pipeline, host: str) -> None:
    said: list[str] = []
    plan = run.Plan(sources=("0",), name="cam.example.com", say=said.append)
    with listen("127.0.0.1", 0) as listening, run.serve(plan, Hub(pipeline), listening):
        port = listening.getsockname()[1]
        (words,) = said
        found = re.fullmatch(
            rf"open (http://127\.0\.0\.1:{port}/\?token=(\S+)) or, through the proxy, https://cam\.example\.com/\?token=\2", words
        )
        assert found

        def ask(path: str, **headers: str) -> bytes:
            lines = {"Host": host.replace("PORT", str(port)), "X-Forwarded-Proto": "https", **headers}
            with socket.create_connection(("127.0.0.1", port), timeout=HANG_S) as client:
                words = "".join(f"{key.replace('_', '-')}: {value}\r\n" for key, value in lines.items())
                client.sendall(f"GET {path} HTTP/1.1\r\n{words}\r\n".encode())
                return client.recv(65536)

        upgrade = {
            "Upgrade": "websocket",
            "Connection": "upgrade",
            "Sec_WebSocket_Version": "13",
            "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        assert ask("/").startswith(b"HTTP/1.1 403")
        first = ask(f"/?token={found[2]}", Connection="upgrade")  # as nginx sends it, with no upgrade asked for
        assert first.startswith(b"HTTP/1.1 200")
        assert f"set-cookie: vidcam_token={found[2]};".encode() in first
        cookie = f"vidcam_token={found[2]}"
        assert ask("/ws", **upgrade, Origin=PROXY, Cookie=cookie).startswith(b"HTTP/1.1 101")
        assert ask("/ws", **upgrade, Origin=PROXY).startswith(b"HTTP/1.1 403")
        assert ask("/ws", **upgrade, Origin="https://evil.example", Cookie=cookie).startswith(b"HTTP/1.1 403")
        with urllib.request.urlopen(found[1], timeout=HANG_S) as page:  # on the machine itself
            assert b"vidcam live" in page.read()


@given(st.text(max_size=40))
def test_only_the_token_opens_where_one_is_asked_for(guess: str) -> None:
    refused = find_refusal(scope(host="x", query=f"token={guess}", cookie=f"vidcam_token={guess}"), hosts=None, token="s3cret-ü")
    assert (refused is None) == (guess == "s3cret-ü")


def test_the_token_comes_by_address_then_by_cookie_or_bearer(pipeline) -> None:
    with TestClient(make_viewer(Hub(pipeline), PAGE, hosts=None, token="abc"), base_url="http://10.0.0.5") as client:
        assert client.get("/").status_code == 403
        assert "wants the token" in client.get("/metrics").text
        assert client.get("/metrics", headers={"Authorization": "Bearer abc"}).status_code == 200
        client.cookies.clear()
        with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("ws://10.0.0.5/ws"):
            pass
        assert refused.value.code == 4403
        first = client.get("/?token=abc")
        assert first.status_code == 200
        assert "HttpOnly; SameSite=Strict" in first.headers["set-cookie"]
        with client.websocket_connect("ws://10.0.0.5/ws") as socket:  # with the cookie
            assert Page(socket).next("hello")


def test_another_site_gets_no_websocket(pipeline) -> None:
    with (
        TestClient(make_viewer(Hub(pipeline), PAGE), base_url=HERE) as client,
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect(SOCKET, headers={"origin": "http://evil.example"}),
    ):
        pass
    assert refused.value.code == 4403


def test_a_picture_on_the_wire_is_its_time_and_its_bytes() -> None:
    assert protocol.unpack_picture(protocol.pack_picture(b"jpeg", 1.25)) == (1.25, b"jpeg")
    assert struct.unpack("<d", protocol.pack_picture(b"", 2.5)) == (2.5,)
    with pytest.raises(ValueError, match="eight bytes"):
        protocol.unpack_picture(b"1234567")
