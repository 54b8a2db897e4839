"""The viewer in a real browser: Debian's Chromium, shown a camera whose pictures the test pushes one by one.

What the planted network sees in them is known: the red quarter at the top left, and nothing else.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support import planted
from support.clock import ManualClock
from support.hand import Hand
from support.media import RED, number, numbered
from support.page import opened, pass_time, wait
from support.waiting import until, vidcam_threads

from vidcam.engine import open_engine
from vidcam.evidence.heat import render_heat
from vidcam.io.source import open_source
from vidcam.live.pipeline import MonitorConfig
from vidcam.settings import Settings
from vidcam.values import Box, Frame, Track
from vidcam.web.live import run
from vidcam.web.live.connection import STATUS_S
from vidcam.web.live.hub import Hub, make_camera_hub
from vidcam.web.serving import listen

pytestmark = pytest.mark.xdist_group("live_browser")

CLIPS = Path(__file__).parent.parent / "clips"
RED_SQUARE, NOTHING = planted.LABELS
HEIGHT, WIDTH = 180, 240
STEP_S = 0.1
BEGIN = 12
"""Frames until there is evidence: a window of the network's takes nine."""
SOON_S = 1.1 * STATUS_S
"""After which every page has been told how things are."""

LOOK = """() => {
  const overlay = document.getElementById("overlay"), {width, height} = overlay;
  const data = overlay.getContext("2d").getImageData(0, 0, width, height).data;
  const coloured = [];
  for (let y = 0; y < height; y += 4) for (let x = 0; x < width; x += 4) {
    const at = 4 * (y * width + x), [r, g, b, a] = data.subarray(at, at + 4);
    if (a > 25 && Math.max(r, g, b) - Math.min(r, g, b) > 40) coloured.push([x / width, y / height, a]);
  }
  return {coloured, sum: data.reduce((s, v) => s + v, 0)};
}"""

# The middle of the picture, where its number is.
PICTURE = """() => {
  const picture = document.getElementById("picture"), {width, height} = picture;
  return [height, width, [...picture.getContext("2d").getImageData(0, Math.floor(0.45 * height), width, 0.1 * height).data]];
}"""

# Stands in for the camera of the browser: it shows the pictures that it is given.
GIVEN = """
  const canvas = document.createElement("canvas"), given = window.given = { track: null };
  navigator.mediaDevices.getUserMedia = async () => {
    const stream = canvas.captureStream(0);
    given.track = stream.getVideoTracks()[0];
    return stream;
  };
  given.show = async (jpeg) => {
    const image = await createImageBitmap(new Blob([Uint8Array.from(atob(jpeg), (c) => c.charCodeAt(0))]));
    [canvas.width, canvas.height] = [image.width, image.height];
    canvas.getContext("2d").drawImage(image, 0, 0);
    given.track.requestFrame();
  };
"""

# Decodes the next picture only after `release()`; counts the pictures whose decoding began.
HELD_DECODING = """
  const { createImageBitmap } = window;
  window.given = 0;
  window.holdNext = () => { window.held = new Promise((done) => { window.release = done; }); };
  window.createImageBitmap = async (...words) => {
    const { held } = window;
    window.held = null;
    window.given += 1;
    const image = await createImageBitmap(...words);
    if (held) {
      await held;
      setTimeout(() => { window.wasReleased = true; }); // when the page has had its turn
    }
    return image;
  };
"""

# Has the next rule wait for `release()` before it is sent.
HELD_RULE = """() => {
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function (words) {
    if (!words.includes('"rule"')) return send.call(this, words);
    WebSocket.prototype.send = send;
    window.release = () => send.call(this, words);
  };
}"""


@pytest.fixture(scope="module")
def engine():
    return open_engine(f"{planted.__file__}:patches")


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return [Frame(numbered(i, (HEIGHT, WIDTH)), i * STEP_S, STEP_S) for i in range(60)]


@contextmanager
def served(hub: Hub, *, port: int = 0) -> Iterator[str]:
    """The viewer at its address."""
    said: list[str] = []
    plan = run.Plan(sources=(), port=port, say=said.append)
    with listen(plan.host, port) as listening, run.serve(plan, hub, listening):
        yield said[0].removeprefix("open ")


@pytest.fixture
def turn() -> threading.Lock:
    """Whoever holds it keeps the network from explaining anything."""
    return threading.Lock()


class Held:
    """An engine that computes nothing while somebody else holds ``turn``."""

    def __init__(self, engine, turn: threading.Lock) -> None:
        self._engine, self._turn = engine, turn

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def map(self, *words, **more):
        with self._turn:
            yield from self._engine.map(*words, **more)


@pytest.fixture
def hand(engine, frames, turn) -> Iterator[Hand]:
    """A camera of the server's machine that has been explained once."""
    hand = Hand(Held(engine, turn), frames, Settings(seconds_between_clip_starts=STEP_S, smooth_s=0.0))
    hand.push(BEGIN)
    yield hand
    hand.pipeline.close()
    until(lambda: not vidcam_threads())


@pytest.fixture
def address(hand) -> Iterator[str]:
    with served(Hub(hand.pipeline)) as address:
        yield address


def push(hand: Hand, page: Any, pictures: int = 1) -> None:
    """Have the camera take pictures; each is there before the next is taken, and the last is on the screen with its evidence."""
    for _ in range(pictures):
        receive(hand, page)
    wait_for_newest(hand, page)


def receive(hand: Hand, page: Any) -> None:
    """Have the camera take a picture, and wait until the page has it."""
    wait(page, "vidcamStats.received > 0")  # who comes is shown the newest at once
    before = page.evaluate("vidcamStats.received")
    hand.push()
    wait(page, f"vidcamStats.received > {before}")


def wait_for_newest(hand: Hand, page: Any) -> None:
    """Wait until the newest picture is on the screen, and that the newest evidence is drawn over it and has come to rest."""
    wait(page, f"vidcamStats.shown === {hand.stream.latest.time!r}")
    wait(page, f"vidcamStats.drawn.evidence === {hand.stream.update.number} && vidcamStats.drawn.settled")
    assert shown(page) == hand.pipeline.capture.frames - 1


def pick(page: Any, name: str, value: str) -> None:
    """Choose a label in a field with a list."""
    page.locator(f"#{name}").fill(value)
    page.locator(f"#{name}").press("Enter")


def shown(page: Any) -> int:
    """The number of the picture on the screen."""
    height, width, values = page.evaluate(PICTURE)
    assert (height, width) == (HEIGHT, WIDTH)
    return number(np.reshape(np.array(values, np.uint8), (-1, width, 4))[..., :3])


def text(page: Any, name: str) -> str:
    return page.evaluate(f"document.getElementById({json.dumps(name)}).textContent")


# ---------------------------------------------------------------------------------------------------- a camera that has gone


GONE = """[
  document.body.classList.contains("gone"), getComputedStyle(document.getElementById("overlay")).visibility,
  document.getElementById("age").textContent,
]"""


def test_silent_source_hides_its_heat_until_it_sends_again(browser, hand, address) -> None:
    with opened(browser, address) as page:
        push(hand, page, 2)
        assert page.evaluate(GONE)[:2] == [False, "visible"]
        hand.clock.advance(2.5)  # longer than a source may be silent; the status comes every second
        wait(page, "document.body.classList.contains('gone')")
        assert page.evaluate(GONE) == [True, "hidden", "no new pictures"]
        assert text(page, "notice").strip() == "the camera has stopped sending pictures"
        push(hand, page)
        hand.clock.advance(1.0)
        wait(page, "!document.body.classList.contains('gone')")
        assert page.evaluate(GONE)[1] == "visible"


def test_camera_that_ends_is_told_and_can_be_used_again(browser, engine) -> None:
    hub = make_camera_hub(engine, Settings(seconds_between_clip_starts=STEP_S, smooth_s=0.0), clock=ManualClock())
    jpeg = base64.b64encode(cv2.imencode(".jpg", numbered(3, (HEIGHT, WIDTH))[..., ::-1])[1].tobytes()).decode()
    with served(hub) as address, opened(browser, address, before=GIVEN) as page:

        def show(expression: str) -> None:
            """Have the camera show pictures until the page has come so far; it misses those before it looks on."""

            def shown_once_more() -> bool:
                page.evaluate("jpeg => given.show(jpeg)", jpeg)
                return page.evaluate(expression)

            wait(page, "given.track !== null")
            until(shown_once_more)

        show("vidcamStats.shown !== null")
        assert page.locator("#start").is_hidden()
        colours = "['#answer', '.soft'].map(s => getComputedStyle(document.querySelector(s)).color)"
        lit, soft = page.evaluate(colours)
        assert lit != soft
        page.evaluate("given.track.dispatchEvent(new Event('ended'))")
        wait(page, "!document.getElementById('start').hidden")
        assert text(page, "start") == "Use my camera again"
        assert "The camera stopped sending pictures" in text(page, "notice")
        assert page.evaluate(GONE)[:2] == [True, "hidden"]
        assert page.evaluate(colours) == [soft, soft]  # it is the answer of a while ago
        page.evaluate("given.track = null")
        page.get_by_role("button", name="Use my camera again").click()
        show(f"vidcamStats.shown > {page.evaluate('vidcamStats.shown')}")
        wait(page, "!document.body.classList.contains('gone')")
        assert page.locator("#start").is_hidden()
    until(lambda: not vidcam_threads())


def test_rates_of_source_and_page_are_told_until_the_source_ends(browser, hand, address, frames) -> None:
    with opened(browser, address, still=True) as page:
        receive(hand, page)
        wait(page, "document.getElementById('facts').textContent !== ''")
        assert f"{1 / STEP_S:.0f} pictures/s ·" in text(page, "facts")  # not long enough to tell
        assert "times/s" not in text(page, "facts")
        pass_time(page, 1.5)
        for _ in range(4):
            receive(hand, page)
        wait(page, f"vidcamStats.shown === {hand.stream.latest.time!r} && vidcamStats.evidence === {hand.stream.update.number}")
        pass_time(page, 1.0)
        hand.clock.advance(1.0)  # the next status
        wait(page, "/shown/.test(document.getElementById('facts').textContent)")
        assert f"{1 / STEP_S:.0f} pictures/s, 2 shown here · evidence 2.0 times/s" in text(page, "facts")  # four in two seconds
        hand.push(len(frames) - hand.pipeline.capture.frames, explained=False)
        assert hand.pipeline.capture.step() is None
        hand.clock.advance(SOON_S)
        wait(page, "document.getElementById('state').dataset.state === 'ended'")
        assert f"{WIDTH}×{HEIGHT}" in text(page, "facts")
        assert "/s" not in text(page, "facts")


# ---------------------------------------------------------------------------------------------- the camera of the browser


def test_the_browsers_own_camera_is_shown_mirrored_and_let_go(browser, engine) -> None:
    with open_source(CLIPS / "jumping_jack.mp4") as source:
        size = [source.info.width, source.info.height]
    hub = make_camera_hub(engine, clock=ManualClock())
    with served(hub) as address:
        with opened(browser, address) as page:  # the camera is granted to this page, so it does not wait to be asked
            wait(page, "vidcamStats.updates.length > 0 && vidcamStats.ages.length > 0")
            assert page.evaluate("getComputedStyle(document.getElementById('frame')).transform") == "matrix(-1, 0, 0, 1, 0, 0)"
            assert page.evaluate("(v => [v.videoWidth, v.videoHeight])(document.getElementById('camera'))") == size
            assert re.fullmatch(r"evidence \d+\.\d\d s old", text(page, "age"))
            (pipeline,) = hub.pipelines
            assert pipeline.stream.size[0] == 240  # its shorter side: no more than the network can use is sent
            page.keyboard.press("m")
            assert page.evaluate("getComputedStyle(document.getElementById('frame')).transform") == "none"
        until(lambda: hub.pipelines == [])
    until(lambda: not vidcam_threads())


def test_heat_over_a_browsers_camera_lies_on_who_moves(browser) -> None:
    truth = json.loads((CLIPS / "jumping_jack.json").read_text())
    with open_source(CLIPS / "jumping_jack.mp4") as source:
        clip = list(source.frames())[:75:3]
        height, width = source.info.height, source.info.width
    persons = np.array([f["person"] for f in truth["frames"]])
    x0, y0 = persons[:, :2].min(axis=0) / (width, height)
    x1, y1 = persons[:, 2:].max(axis=0) / (width, height)
    hub = make_camera_hub(open_engine("mini"), clock=ManualClock())
    inside = total = 0.0
    looks = 0
    with served(hub) as address, opened(browser, address, still=True, before=GIVEN) as page:

        def give(frame: Frame) -> float:
            """Have the camera show a picture; returns the page's second at which it does."""
            jpeg = cv2.imencode(".jpg", frame.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
            page.evaluate("jpeg => given.show(jpeg)", base64.b64encode(jpeg).decode())
            return float(page.evaluate("performance.now() / 1000"))

        wait(page, "given.track !== null")
        give(clip[0])
        wait(page, "document.getElementById('picture').hidden")  # the camera is what is seen
        (pipeline,) = hub.pipelines
        taken: list[float] = []
        pipeline.stream.on_frame.append(lambda frame: taken.append(frame.time))  # told once the frame's window is in the line
        for frame in clip:
            pass_time(page, 0.04)
            at = give(frame)
            until(lambda at=at: taken and taken[-1] == pytest.approx(at, abs=1e-4))
            pipeline.stream.settle()
            wait(page, f"vidcamStats.updates.length === {pipeline.stream.explained}")
            pass_time(page, 0.08)
            if pipeline.stream.update is None:
                continue
            assert page.evaluate("vidcamStats.drawn.evidence") == pipeline.stream.update.number
            for x, y, alpha in page.evaluate(LOOK)["coloured"]:
                total += alpha
                inside += alpha * (x0 <= x <= x1 and y0 <= y <= y1)
            looks += 1
        assert looks >= 5
        assert text(page, "answer") == "jumping jack"
        area = float((x1 - x0) * (y1 - y0))
        assert total > 0
        assert inside / total > 0.8 > area + 0.15  # the person fills far less of the picture
        assert 0 <= pipeline.stream.latest.time - pipeline.stream.update.time < 0.25  # a sample or two of the network's


def test_a_browser_without_a_camera_says_so(browser, engine) -> None:
    refuse = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotFoundError'); }"
    with served(make_camera_hub(engine, clock=ManualClock())) as address, opened(browser, address, before=refuse) as page:
        page.get_by_role("button", name="Use my camera").click()
        wait(page, "document.getElementById('notice').textContent.trim() === 'This device has no camera.'")


# ------------------------------------------------------------------------------------------------------------ what is drawn


def test_heat_lies_where_the_network_sees_red_and_nowhere_else(browser, hand, address) -> None:
    with opened(browser, address) as page:
        push(hand, page)
        coloured = np.array(page.evaluate(LOOK)["coloured"])
    scale, cell = 128 / HEIGHT, 8 / 128  # the network sees a square of 112 in the middle of a picture of 128 x 171
    left, top = (WIDTH * scale - 112) / 2 / scale / WIDTH, (128 - 112) / 2 / 128
    x, y, weight = coloured.T
    low = 0.4  # there the number begins
    inside = (x > left - 0.01) & (x < 0.5 + cell) & (y > top - 0.01) & (y < low + cell)
    assert weight[inside].sum() / weight.sum() > 0.999
    assert np.average(x, weights=weight) == pytest.approx((left + 0.5) / 2, abs=0.015)
    assert np.average(y, weights=weight) == pytest.approx((top + low) / 2, abs=0.015)
    assert len(coloured) > 100


def test_the_page_lays_a_map_where_vidcams_own_pictures_lay_it(browser, address) -> None:
    rng = np.random.default_rng(3)
    height, width = 90, 160  # small enough that the page's fine grid is the pixels
    parts = []
    for left, cells in ((20.0, 7), (70.0, 5)):  # two crops that overlap, with different grids
        ys, xs = np.linspace(12, 80, 6), np.linspace(left + 4, left + 55, cells)
        maps = rng.normal(size=(1, 6, cells)).astype(np.float32)
        parts.append(Track("wave", np.zeros(1), maps, ys, xs, Box(6.0, left, 84.0, left + 60), 0.1))
    scale = 2.0
    patches = [
        {"ys": t.ys.tolist(), "xs": t.xs.tolist(), "seen": list(t.seen), "values": (t.maps[0] / scale).ravel().tolist()}
        for t in parts
    ]
    find = """async ([patches, width, height]) => {
      const { Heat } = await import("./player.js");
      const heat = new Heat({ colours: { plain: "", signed: "" } }, [height, width]);
      return [...heat.field(patches).values];
    }"""
    with opened(browser, address) as page:
        for shown in ([0], [1], [0, 1]):
            found = page.evaluate(find, [[patches[i] for i in shown], width, height])
            heat = render_heat([parts[i] for i in shown], time=0.0, scale=scale, size=(height, width), against=True)
            wanted = heat.values - heat.against
            inside = np.zeros((height, width), bool)  # beyond, the page goes on and cuts when it draws
            for i in shown:
                box = parts[i].seen
                inside[round(box.y0) : round(box.y1), round(box.x0) : round(box.x1)] = True
            difference = np.abs(np.clip(np.reshape(found, (height, width)), -1, 1) - wanted)
            assert difference[inside].max() < 1e-3
            assert np.abs(wanted).max() > 0.5


def test_a_control_of_the_look_acts_on_the_picture_that_is_held(browser, hand, address) -> None:
    with opened(browser, address) as page:
        push(hand, page)
        page.keyboard.press("Space")  # held: whatever changes now was changed by a control
        wait(page, "vidcamStats.held !== null")
        seen = {}
        for key, name in (("2", "contour"), ("3", "spotlight"), ("1", "heat")):
            page.keyboard.press(key)
            wait(page, f"vidcamStats.drawn.style === {json.dumps(name)}")
            assert page.locator("#style [aria-checked=true]").inner_text().lower() == name
            seen[name] = page.evaluate(LOOK)
        assert len({look["sum"] for look in seen.values()}) == 3
        assert len(seen["heat"]["coloured"]) > len(seen["contour"]["coloured"]) > 0  # lines, and less than the whole
        assert seen["spotlight"]["coloured"] == []  # what is not evidence is darkened
        for _ in range(20):
            page.keyboard.press("-")
        wait(page, "vidcamStats.drawn.opacity === 0")
        assert page.locator("output[for=opacity]").inner_text() == "0 %"
        assert page.evaluate(LOOK)["coloured"] == []
        page.locator("#signed").check()
        wait(page, "vidcamStats.drawn.signed")
        page.keyboard.press("Space")
        wait(page, "vidcamStats.held === null")
        assert page.locator("#held").is_hidden()


def test_a_chosen_class_is_explained_and_a_wrong_choice_told(browser, hand, address) -> None:
    with opened(browser, address) as page:
        push(hand, page)
        assert text(page, "answer") == RED_SQUARE
        pick(page, "class", "somebody")
        wait(page, "/has no class called .somebody./.test(document.getElementById('notice').textContent)")
        assert page.locator("#class").input_value() == "the answer"
        pick(page, "class", NOTHING.upper())
        wait(page, f"document.getElementById('what').textContent.startsWith('Evidence for {NOTHING}.')")
        rows = page.evaluate("[...document.querySelectorAll('#top li')].map(li => [...li.children].map(e => e.textContent))")
        assert [row[0] for row in rows] == [RED_SQUARE, NOTHING]  # the chosen one is marked, and not put first
        assert text(page, "answer") == RED_SQUARE
        assert page.locator("#top li.shown").all_inner_texts()[0].startswith(NOTHING)
        assert page.locator("#top li.shown").count() == 1
        for part in ("D SQ", "no"):  # one that no other class contains is taken, one of "none" and "nothing" is not
            pick(page, "versus", part)
            assert page.locator("#versus").input_value() == RED_SQUARE
        words = f"Evidence for {NOTHING}, contrasted with {RED_SQUARE}. Full colour is the strongest recent evidence."
        until(lambda: hand.stream.settings.versus == RED_SQUARE)
        hand.clock.advance(SOON_S)
        push(hand, page)
        wait(page, f"document.getElementById('what').textContent === {json.dumps(words)}")
        pick(page, "versus", NOTHING)
        wait(page, "/against itself/.test(document.getElementById('notice').textContent)")
        disabled = dict(page.locator("#method option:disabled").evaluate_all("all => all.map(o => [o.value, o.title])"))
        assert "needs attention" in disabled["attention-rollout"]
        pick(page, "versus", "none")
        pick(page, "class", "the answer")
        until(lambda: hand.stream.settings.classes == ())
        push(hand, page)
        wait(page, f"document.getElementById('what').textContent.startsWith('Evidence for {RED_SQUARE}.')")


# --------------------------------------------------------------------------------------------------------------------- time


def test_one_can_pause_look_back_step_and_go_on(browser, hand, address) -> None:
    with opened(browser, address) as page:
        push(hand, page, 20)
        newest = hand.pipeline.capture.frames - 1

        def held(press: str | None = None) -> tuple[float, int]:
            """What is held after a key was pressed: how many seconds ago it was, and which picture it is."""
            if press:
                page.evaluate("vidcamStats.held = null")
                page.keyboard.press(press)
            wait(page, "vidcamStats.held !== null")
            back = page.evaluate("vidcamStats.held.back")
            assert text(page, "held") == f"paused · {back:.1f} s ago"
            return back, shown(page)

        assert held("Space") == (0.0, newest)
        assert page.locator("#held").is_visible()
        for n in range(1, 6):
            back, picture = held("ArrowLeft")
            assert (round(back, 6), picture) == (pytest.approx(n * STEP_S), newest - n)
        for _ in range(3):  # meanwhile the camera goes on, and nothing of it is seen
            receive(hand, page)
        assert held() == (pytest.approx(0.5), newest - 5)
        for n in range(4, -1, -1):
            back, picture = held("ArrowRight")
            assert (round(back, 6), picture) == (pytest.approx(n * STEP_S), newest - n)
        back, picture = held("Shift+ArrowLeft")
        assert (back, picture) == (pytest.approx(1.0), newest - 10)
        page.evaluate("vidcamStats.held = null")
        box = page.locator("#timeline").bounding_box()
        page.mouse.click(box["x"] + box["width"] * (1 - 1.5 / 60), box["y"] + box["height"] / 2)
        back, picture = held()
        assert back == pytest.approx(1.5, abs=60 / box["width"])  # a pixel
        assert picture in (newest - 15, newest - 16)
        words = re.fullmatch(r"evidence from (?:(\d\.\d\d) s (?:later|earlier)|this moment)", text(page, "age"))
        assert float(words[1] or 0) <= 0.11  # a window ends with each picture, or the one before it
        page.keyboard.press("Space")
        wait(page, "vidcamStats.held === null")
        assert page.locator("#held").is_hidden()
        push(hand, page)


def test_the_age_of_the_evidence_is_that_of_its_newest_frame(browser, hand, turn, address) -> None:
    with opened(browser, address) as page:
        push(hand, page)

        def age() -> tuple[str, bool]:
            return text(page, "age"), page.evaluate("document.getElementById('age').classList.contains('late')")

        def picture() -> None:
            before = page.evaluate("vidcamStats.pictures.length")
            hand.push(explained=False)
            wait(page, f"vidcamStats.pictures.length === {before + 1}")

        with turn:  # nothing is explained now
            evidence = hand.stream.update.time
            for _ in range(7):
                picture()
                old = hand.stream.latest.time - evidence
                assert age() == (f"evidence {old:.2f} s old", old > 0.5)
                assert old == pytest.approx(page.evaluate("vidcamStats.ages.at(-1)"), abs=1e-3)
            assert 0.7 <= round(old, 6) <= 0.9
            assert age()[1]
        hand.stream.settle()
        wait(page, f"vidcamStats.drawn.evidence === {hand.stream.update.number}")
        picture()
        hand.stream.settle()
        assert float(re.search(r"\d\.\d\d", age()[0])[0]) <= 0.31
        assert not age()[1]


def test_picture_in_step_waits_for_its_evidence(browser, hand, turn, address) -> None:
    with opened(browser, address) as page:
        push(hand, page)
        page.keyboard.press("i")
        assert page.locator("#step").is_checked()

        def picture() -> None:
            received = page.evaluate("vidcamStats.received")
            hand.push(explained=False)
            wait(page, f"vidcamStats.received > {received}")

        for _ in range(12):
            picture()
            hand.stream.settle()
            wait(page, f"vidcamStats.updates.length && vidcamStats.evidence === {hand.stream.update.number}")
        with turn:
            known = hand.stream.update.time
            for _ in range(6):  # pictures whose evidence has not come
                picture()
                assert page.evaluate("vidcamStats.shown") <= known + 1e-3
            assert page.evaluate("vidcamStats.shown") >= known - STEP_S - 1e-3
        hand.stream.settle()
        known = hand.stream.update.time
        wait(page, f"vidcamStats.evidence === {hand.stream.update.number}")
        picture()
        assert page.evaluate("vidcamStats.shown") <= known + 1e-3
        late = hand.stream.latest.time - page.evaluate("vidcamStats.shown")
        assert 0.4 < late < 0.9  # the delay falls slowly
        assert re.fullmatch(r"in step, 0\.\d\d s delay", text(page, "age"))
        stepped = page.evaluate("vidcamStats.shown")
        wait(page, f"Math.abs(vidcamStats.drawn.time - {stepped}) <= {STEP_S}")
        assert page.evaluate("vidcamStats.drawn.settled")
        page.keyboard.press("i")
        push(hand, page)


def test_a_notice_of_a_mistake_vanishes_after_six_seconds(browser, hand, address) -> None:
    with opened(browser, address, still=True) as page:
        wait(page, "vidcamStats.received > 0")
        for name in ("class", "versus"):
            pick(page, name, NOTHING)
        wait(page, "/against itself/.test(document.getElementById('notice').textContent)")
        pass_time(page, 5.9)
        assert page.locator("#notice").is_visible()
        assert "against itself" in text(page, "notice")
        pass_time(page, 0.2)
        assert page.locator("#notice").is_hidden()
        assert text(page, "notice").strip() == ""


def test_a_lost_connection_is_tried_again_after_growing_pauses(browser, hand) -> None:
    hub = Hub(hand.pipeline)
    counted = """
      const Real = window.WebSocket;
      window.tried = 0;
      window.WebSocket = class extends Real { constructor(...words) { super(...words); window.tried += 1; } };
    """
    excused = ("WebSocket connection to",)
    with ExitStack() as server, ExitStack() as stack:
        address = server.enter_context(served(hub))
        page = stack.enter_context(opened(browser, address, still=True, before=counted, excused=excused))
        wait(page, "vidcamStats.received > 0")
        assert (page.evaluate("tried"), page.evaluate("pauses")) == (1, [])
        server.close()
        pauses = []
        for n, pause in enumerate((0.5, 1, 2, 2, 2), start=1):
            pauses.append(round(1000 * pause))
            wait(page, f"pauses.length === {n}")
            assert page.evaluate("pauses") == pauses
            assert text(page, "state").strip() == "no connection"
            assert page.locator("#facts").is_hidden()
            assert "Trying again" in text(page, "notice")
            pass_time(page, pause - 0.001)
            assert page.evaluate("tried") == n
            pass_time(page, 0.001)
            assert page.evaluate("tried") == n + 1
        wait(page, "pauses.length === 6")
        page.get_by_role("button", name="Try now").click()
        wait(page, "pauses.length === 7")
        assert page.evaluate("tried") == 7
        received = page.evaluate("vidcamStats.received")
        with served(hub, port=int(address.rsplit(":", 1)[1].strip("/"))):
            pass_time(page, 2)
            wait(page, f"vidcamStats.received > {received}")
            assert text(page, "state").strip() == "the camera"
            assert page.evaluate("tried") == 8
        wait(page, "pauses.length === 8")
        assert page.evaluate("pauses.at(-1)") == 500  # one that was there begins anew


# ------------------------------------------------------------------------------------------------- what one takes, and who


def test_a_snapshot_is_the_picture_with_its_heat_and_words(browser, hand, address, tmp_path) -> None:
    with opened(browser, address) as page:
        push(hand, page)
        with page.expect_download() as saved:
            page.keyboard.press("s")
        assert re.fullmatch(r"vidcam-\d{8}T\d{6}\.png", saved.value.suggested_filename)
        saved.value.save_as(tmp_path / "shot.png")
    shot = cv2.imread(str(tmp_path / "shot.png"))[..., ::-1]
    assert shot.shape == (HEIGHT + 28, WIDTH, 3)
    newest = hand.pipeline.capture.frames - 1
    assert number(shot[:HEIGHT]) == newest
    plain = numbered(newest, (HEIGHT, WIDTH)).astype(int)
    seen = np.s_[100:168, 130:195]  # what the network sees of the blue quarter
    assert np.abs(shot[seen].astype(int) - plain[seen]).mean() < 6  # the picture itself, where there is no heat
    red = np.s_[30:60, 60:100]
    assert np.abs(shot[red].astype(int) - RED).mean() > 20  # and the heat, where there is
    assert shot[HEIGHT:].max() > 200  # words


def test_a_recording_saved_by_the_browser_shows_what_was_shown(browser, hand, address, tmp_path) -> None:
    with opened(browser, address) as page:
        push(hand, page)
        first = hand.pipeline.capture.frames - 1
        page.get_by_role("button", name="Record").click()
        wait(page, "document.getElementById('record').classList.contains('on')")
        push(hand, page, 15)
        with page.expect_download() as saved:
            page.get_by_role("button", name="Stop").click()
        path = tmp_path / saved.value.suggested_filename
        saved.value.save_as(path)
    assert re.fullmatch(r"vidcam-\d{8}T\d{6}\.(webm|mp4)", path.name)
    with open_source(path) as source:
        assert (source.info.width, source.info.height) == (WIDTH, HEIGHT + 28)
        pictures = [frame.image[:HEIGHT] for frame in source.frames()]
    numbers = [number(picture) for picture in pictures]
    assert numbers == sorted(numbers)  # which of them are there is the browser's affair
    assert set(numbers) <= set(range(first, first + 16))
    assert len(numbers) > 0
    assert all(np.abs(p[30:60, 60:100].astype(int) - RED).mean() > 20 for p in pictures)  # with the heat


def test_region_drawn_on_the_picture_makes_events_one_can_open(browser, engine, frames) -> None:
    settings = Settings(seconds_between_clip_starts=STEP_S, smooth_s=0.0)
    late = [Frame(frame.image.copy(), frame.time, frame.duration) for frame in frames]
    for frame in late[: BEGIN + 4]:  # the red comes while the page looks on
        frame.image[: int(0.4 * HEIGHT), : WIDTH // 2] = 90
    hand = Hand(engine, late, settings, config=MonitorConfig(has_page=True))
    hand.push(BEGIN)
    with ExitStack() as stack:
        stack.callback(hand.pipeline.close)
        address = stack.enter_context(served(Hub(hand.pipeline)))
        page = stack.enter_context(opened(browser, address))
        push(hand, page)
        page.keyboard.press("m")  # what is seen is mirrored; a region lies where it was drawn all the same
        page.get_by_role("button", name="Remove the rule any > 0.6 for 0.5s").click()
        wait(page, "document.querySelectorAll('#rules li').length === 0")
        page.evaluate(HELD_RULE)
        page.locator("#rule").fill("red square > 0.5 in nowhere")
        page.locator("#rule").press("Enter")
        wait(page, "'release' in window")
        page.evaluate("document.getElementById('facts').textContent = ''")
        hand.clock.advance(SOON_S)
        wait(page, "document.getElementById('facts').textContent !== ''")  # a status comes before the refusal
        page.evaluate("release()")
        wait(page, "['refused', 'notice'].some(id => /no region/.test(document.getElementById(id).textContent))")
        assert page.locator("#refused").is_visible()  # beside the field, not over the picture
        assert text(page, "refused") == "There is no region 'nowhere' here. Draw it first."
        assert page.locator("#notice").is_hidden()
        page.get_by_role("button", name="Draw a region").click()
        box = page.locator("#frame").bounding_box()
        x, y = (lambda share: box["x"] + share * box["width"]), (lambda share: box["y"] + share * box["height"])
        page.mouse.move(x(0.9), y(0.05))
        page.mouse.down()
        page.mouse.move(x(0.5), y(0.55))
        page.mouse.up()
        page.locator("#region").fill("upper left")
        page.get_by_role("button", name="Save").click()
        until(lambda: "upper left" in hand.pipeline.regions)
        region = hand.pipeline.regions["upper left"]
        assert (region.x0, region.y0, region.x1, region.y1) == pytest.approx((0.1, 0.05, 0.5, 0.55), abs=0.01)
        wait(page, "document.querySelectorAll('#outlines .region').length === 1")
        page.locator("#rule").fill('red square > 0.5 in "upper left"')
        page.locator("#rule").press("Enter")
        wait(page, "document.querySelectorAll('#rules li').length === 1")
        push(hand, page, 14)
        wait(page, "document.querySelectorAll('#events img').length === 1")
        assert page.locator("#no-events").is_hidden()
        assert page.locator(".event b").inner_text() == RED_SQUARE
        assert page.locator("#refused").is_hidden()
        assert page.locator(".event").inner_text().endswith('red square > 0.5 in "upper left"')
        page.locator(".event").click()  # within the last minute: the page itself has the picture
        wait(page, "vidcamStats.held !== null")
        page.keyboard.press("Space")
        wait(page, "vidcamStats.held === null")
    with ExitStack() as stack:  # somebody else has no pictures of before
        hand = Hand(engine, frames, settings, config=MonitorConfig(has_page=True))
        hand.push(BEGIN + 20)
        stack.callback(hand.pipeline.close)
        address = stack.enter_context(served(Hub(hand.pipeline)))
        page = stack.enter_context(opened(browser, address))
        wait(page, "document.querySelectorAll('#events img').length === 1")
        page.locator(".event").click()
        wait(page, "document.getElementById('event').open && document.getElementById('event-picture').naturalWidth > 0")
        assert text(page, "event-title") == RED_SQUARE
        page.get_by_role("button", name="Close").click()
    until(lambda: not vidcam_threads())


def test_several_sources_are_tiles_that_open_their_own_page(browser, engine, frames) -> None:
    grey = [Frame(np.full_like(frame.image, 90), frame.time, frame.duration) for frame in frames]
    settings = Settings(seconds_between_clip_starts=STEP_S, smooth_s=0.0)
    hands = {name: Hand(engine, given, settings, name=name) for name, given in (("front door", frames), ("yard", grey))}
    for hand in hands.values():
        hand.push(BEGIN)
    with ExitStack() as stack:
        for hand in hands.values():
            stack.callback(hand.pipeline.close)
        address = stack.enter_context(served(Hub(*(hand.pipeline for hand in hands.values()))))
        page = stack.enter_context(opened(browser, address))
        for name, hand in hands.items():
            hand.clock.advance(SOON_S)
            wait(page, f"vidcamStats[{json.dumps(name)}]?.drawn === {hand.stream.update.number}")
        wait(page, "document.getElementById('state').textContent.trim() === '2 of 2 sources send pictures'")
        answers = page.locator(".tile .what").all_text_contents()
        assert answers == [RED_SQUARE, NOTHING]
        where = """index => {
          const canvas = document.querySelectorAll(".tile .overlay")[index], {width, height} = canvas, found = [];
          const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
          for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
            const [r, g, b, a] = data.subarray(4 * (y * width + x));
            if (a > 25 && Math.max(r, g, b) - Math.min(r, g, b) > 40) found.push([x / width, y / height]);
          }
          return found;
        }"""
        red, none = np.array(page.evaluate(where, 0)), page.evaluate(where, 1)
        assert len(red) > 100
        assert red.max() < 0.58  # the upper left quarter
        assert none == []
        hands["yard"].clock.advance(2.5)  # silent now
        wait(page, "document.querySelectorAll('.tile')[1].classList.contains('gone')")
        assert text(page, "state").strip() == "1 of 2 sources send pictures"
        page.get_by_role("link", name="front door").click()
        wait(page, "window.vidcamStats?.received > 0")
        wait_for_newest(hands["front door"], page)
        assert text(page, "answer") == RED_SQUARE
        wait(page, "!document.getElementById('all').hidden")
        page.get_by_role("link", name="All sources").click()
        wait(page, "document.querySelectorAll('.tile').length === 2")
    until(lambda: not vidcam_threads())


def test_events_of_all_sources_open_their_own_source(browser, engine, frames) -> None:
    settings = Settings(seconds_between_clip_starts=STEP_S, smooth_s=0.0)
    config = MonitorConfig(has_page=True)
    hands = [Hand(engine, frames, settings, config=config, name=name) for name in ("front door", "yard")]
    with ExitStack() as stack:
        for hand in hands:
            stack.callback(hand.pipeline.close)
            hand.push(BEGIN)
        address = stack.enter_context(served(Hub(*(hand.pipeline for hand in hands))))
        page = stack.enter_context(opened(browser, address))
        wait(page, "document.querySelectorAll('.tile').length === 2")
        assert text(page, "no-events") == "No events yet."
        for count, hand in enumerate(reversed(hands), start=1):  # the yard's event comes first
            hand.clock.advance(5.0 * count)
            hand.push(20)
            wait(page, f"document.querySelectorAll('#events img').length === {count}")
        listed = page.locator(".event small:last-child").all_text_contents()
        assert listed == ["front door", "yard"]
        assert page.locator(".event b").all_text_contents() == [RED_SQUARE] * 2
        assert page.locator("#no-events").is_hidden()
        page.locator(".event").nth(1).click()
        wait(page, "document.getElementById('event')?.open && document.getElementById('event-picture').naturalWidth > 0")
        assert page.url == f"{address}?source=yard"  # shown once: loading the page again shows the source only
        assert text(page, "event-title") == RED_SQUARE
    until(lambda: not vidcam_threads())


LAPTOP = {"viewport": {"width": 1366, "height": 768}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}


@pytest.mark.parametrize(
    ("device", "names"),
    [
        (LAPTOP, ("stage", "top", "watch", "rules", "rule", "draw", "style", "step", "step-help", "timeline")),
        (PHONE, ("stage", "top", "watch", "timeline")),
    ],
    ids=["laptop", "phone"],
)
def test_what_matters_is_seen_beside_the_picture(browser, engine, frames, device, names) -> None:
    hand = Hand(engine, frames, Settings(seconds_between_clip_starts=STEP_S, smooth_s=0.0), config=MonitorConfig(has_page=True))
    with ExitStack() as stack:
        stack.callback(hand.pipeline.close)
        hand.push(BEGIN + 20)
        address = stack.enter_context(served(Hub(hand.pipeline)))
        page = stack.enter_context(opened(browser, address, **device))
        wait(page, "document.querySelectorAll('#events img').length === 1")
        wait(page, "document.querySelectorAll('#rules li').length === 1")
        wait_for_newest(hand, page)
        height = device["viewport"]["height"]
        boxes = {name: page.locator(f"#{name}").bounding_box() for name in (*names, "events")}
        assert {name: box for name, box in boxes.items() if box["height"] < 10 or box["y"] + box["height"] > height} == {}
        event, place = page.locator(".event").bounding_box(), boxes["events"]
        assert event["y"] + event["height"] <= place["y"] + place["height"] + 1  # not cut
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    until(lambda: not vidcam_threads())


@pytest.mark.parametrize(("names", "where"), [(["door"], "#picture"), (["door", "yard"], ".tile .picture")], ids=["page", "tile"])
def test_picture_decoded_late_does_not_replace_a_newer_one(browser, engine, frames, names, where) -> None:
    settings = Settings(seconds_between_clip_starts=STEP_S, smooth_s=0.0)
    with ExitStack() as stack:
        hands = [Hand(engine, frames, settings, name=name) for name in names]
        for hand in hands:
            hand.push()
            stack.callback(hand.pipeline.close)
        address = stack.enter_context(served(Hub(*(hand.pipeline for hand in hands))))
        page = stack.enter_context(opened(browser, address, before=HELD_DECODING))
        picture = PICTURE.replace('document.getElementById("picture")', f"document.querySelector({json.dumps(where)})")

        def number_shown() -> int:
            _, width, values = page.evaluate(picture)
            return number(np.reshape(np.array(values, np.uint8), (-1, width, 4))[..., :3])

        def push_and_await() -> None:
            given = page.evaluate("given")
            hands[0].push()
            wait(page, f"given > {given}")

        wait(page, f"given === {len(hands)}")
        until(lambda: number_shown() == 0)
        page.evaluate("holdNext()")
        push_and_await()
        push_and_await()
        until(lambda: number_shown() == 2)
        page.evaluate("release()")
        wait(page, "window.wasReleased")
        assert number_shown() == 2
        push_and_await()
        until(lambda: number_shown() == 3)
    until(lambda: not vidcam_threads())


def test_several_look_on_at_once_on_large_and_small_screens(browser, hand, address) -> None:
    with opened(browser, address) as large, opened(browser, address, **PHONE) as small:
        for page in (large, small):
            wait(page, "vidcamStats.pictures.length > 0")
        hand.clock.advance(SOON_S)
        wait(large, "/2 viewers/.test(document.getElementById('facts').textContent)")
        hand.push(3)
        for page in (large, small):
            wait_for_newest(hand, page)
            assert text(page, "answer") == RED_SQUARE
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")  # nothing hangs out at the side
        assert large.locator("#timeline").bounding_box()["y"] + 118 < 800  # all on one screen
        for label, classes in ((NOTHING, (NOTHING,)), ("the answer", ())):
            pick(small, "class", label)  # one chooses for all
            until(lambda classes=classes: hand.stream.settings.classes == classes)
            hand.clock.advance(SOON_S)
            wait(large, f"document.getElementById('class').value === {json.dumps(label)}")
