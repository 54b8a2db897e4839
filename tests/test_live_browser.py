"""The viewer in a real browser: Debian's Chromium with a camera that plays one of the project's own clips."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.waiting import until

from vidcam import placement
from vidcam.engine import open_engine
from vidcam.live import run, sources
from vidcam.live.server import Room, cameras
from vidcam.live.serving import listen
from vidcam.live.watch import Watch
from vidcam.reader import open_source
from vidcam.types import Box, Track

CLIPS = Path(__file__).parent.parent / "clips"
ACTION = "jumping jack"
WAIT_MS = 20_000

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


@pytest.fixture(scope="module")
def engine():
    return open_engine("mini")


@contextmanager
def served(room: Room) -> Iterator[str]:
    """The viewer at its address."""
    said: list[str] = []
    plan = run.Plan(source="", port=0, say=said.append)
    with listen(plan.host, 0) as listening, run.serve(plan, room, listening):
        yield said[0].removeprefix("open ")


@contextmanager
def opened(browser, address: str, **options: Any) -> Iterator[Any]:
    """A page that must neither complain nor ask anybody else for anything."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | options)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: complaints.append(r.url) if not r.url.startswith((address, "blob:", "data:")) else None)
    try:
        page.goto(address)
        yield page
    finally:
        context.close()
    assert [c for c in complaints if "getImageData" not in c] == []  # reading pixels is what the tests do


@pytest.fixture(scope="module")
def looped(engine) -> Iterator[str]:
    """The clip played over and over, as if it were a camera of the server's machine."""
    with ExitStack() as stack:
        watch = Watch(sources.Recording(str(CLIPS / "jumping_jack.mp4"), loop=True)).start()
        stack.callback(watch.close)
        watch.explain(engine, run.DEFAULTS)
        watch.go()
        yield stack.enter_context(served(Room(watch)))


def wait(page: Any, expression: str) -> None:
    """Until the expression is true. (Playwright's own way evaluates text inside the page, which the page's policy forbids.)"""
    for _ in range(WAIT_MS // 50):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"it did not come to {expression}")


def wait_for_answer(page: Any) -> None:
    """Until the answer is there and a picture is on the screen: on a busy machine the answer can be first."""
    wait(page, f"document.getElementById('answer').textContent === {json.dumps(ACTION)} && vidcamStats.pictures.length > 0")


def test_the_browsers_own_camera_is_explained_with_heat_on_who_moves(browser, engine) -> None:
    truth = json.loads((CLIPS / "jumping_jack.json").read_text())
    persons = np.array([f["person"] for f in truth["frames"]])
    with open_source(CLIPS / "jumping_jack.mp4") as source:
        height, width = source.info.height, source.info.width
    x0, y0 = persons[:, :2].min(axis=0) / (width, height)
    x1, y1 = persons[:, 2:].max(axis=0) / (width, height)
    room = cameras(engine)
    with served(room) as address:
        with opened(browser, address) as page:
            wait_for_answer(page)  # the camera is granted to this page, so it does not wait to be asked
            assert page.evaluate("getComputedStyle(document.getElementById('frame')).transform") == "matrix(-1, 0, 0, 1, 0, 0)"
            assert page.evaluate("document.getElementById('camera').videoWidth") == width
            inside = total = 0.0
            for _ in range(12):
                page.wait_for_timeout(120)
                for x, y, alpha in page.evaluate(LOOK)["coloured"]:
                    total += alpha
                    inside += alpha * (x0 <= x <= x1 and y0 <= y <= y1)
            area = float((x1 - x0) * (y1 - y0))
            assert total > 0
            assert inside / total > 0.8 > area + 0.15  # the person fills far less of the picture
            age = page.locator("#age").inner_text()
            assert re.fullmatch(r"evidence \d+\.\d\d s old", age)
            assert len(room.watches) == 1
            page.keyboard.press("m")
            assert page.evaluate("getComputedStyle(document.getElementById('frame')).transform") == "none"
        until(lambda: room.watches == [])


def test_the_page_lays_a_map_where_vidcams_own_pictures_lay_it(browser, looped) -> None:
    rng = np.random.default_rng(3)
    height, width = 90, 160  # small enough that the page's fine grid is the pixels
    parts = []
    for left, cells in ((20.0, 7), (70.0, 5)):  # two crops that overlap, with different grids
        ys, xs = np.linspace(12, 80, 6), np.linspace(left + 4, left + 55, cells)
        maps = rng.normal(size=(1, 6, cells)).astype(np.float32)
        parts.append(Track("wave", np.zeros(1), maps, ys, xs, Box(6.0, left, 84.0, left + 60), 0.1))
    scale = 2.0
    patches = [
        {"ys": t.ys.tolist(), "xs": t.xs.tolist(), "seen": list(t.seen), "values": (1000 * t.maps[0] / scale).ravel().tolist()}
        for t in parts
    ]
    find = """async ([patches, width, height]) => {
      const { Heat } = await import("./heat.js");
      const heat = new Heat({ colours: { plain: "", signed: "" }, levels: 1000 });
      return [...heat.field(patches, width, height).values];
    }"""
    with opened(browser, looped) as page:
        for shown in ([0], [1], [0, 1]):
            found = page.evaluate(find, [[patches[i] for i in shown], width, height])
            heat = placement.heat([parts[i] for i in shown], time=0.0, scale=scale, size=(height, width), against=True)
            wanted = heat.values - heat.against
            both = np.zeros((height, width), bool)
            if len(shown) == 2:
                both[:, 70:80] = True  # where crops overlap, the page takes their mean and the pictures fade
            difference = np.abs(np.clip(np.reshape(found, (height, width)), -1, 1) - wanted)
            assert difference[~both].max() < 1e-3
            assert np.abs(wanted).max() > 0.5


def test_controls_act_at_once_on_what_is_drawn_and_on_what_is_explained(browser, looped) -> None:
    with opened(browser, looped) as page:
        wait_for_answer(page)
        page.keyboard.press("Space")  # held: whatever changes now was changed by a control
        page.wait_for_selector("#held:visible")
        seen = {}
        for key, name in (("1", "heat"), ("2", "contour"), ("3", "spotlight")):
            page.keyboard.press(key)
            page.wait_for_timeout(150)
            assert page.locator("#style [aria-checked=true]").inner_text().lower() == name
            seen[name] = page.evaluate(LOOK)["sum"]
        assert len(set(seen.values())) == 3
        page.keyboard.press("1")
        for _ in range(20):
            page.keyboard.press("-")
        page.wait_for_timeout(150)
        assert page.locator("output[for=opacity]").inner_text() == "0%"
        assert page.evaluate(LOOK)["coloured"] == []
        page.keyboard.press("Space")
        page.wait_for_selector("#held", state="hidden")
        page.locator("#class").select_option("walking")
        wait(page, "document.getElementById('what').textContent.startsWith('Evidence for walking,')")
        page.locator("#versus").select_option(ACTION)
        words = f"Evidence for walking rather than {ACTION}, on one running scale."
        wait(page, f"document.getElementById('what').textContent === {json.dumps(words)}")
        page.locator("#versus").select_option("walking")
        wait(page, "/against itself/.test(document.getElementById('notice').textContent)")
        disabled = page.locator("#method option:disabled").evaluate_all("all => all.map(o => [o.value, o.title])")
        assert "attention-rollout" in dict(disabled)
        assert "needs attention" in dict(disabled)["attention-rollout"]
        page.locator("#versus").select_option("")
        page.locator("#class").select_option("")
        wait_for_answer(page)


def test_one_can_pause_look_back_step_and_go_on(browser, looped) -> None:
    with opened(browser, looped) as page:
        wait_for_answer(page)
        page.wait_for_timeout(2500)
        page.keyboard.press("Space")
        page.wait_for_selector("#held:visible")
        pixels = "document.getElementById('picture').getContext('2d').getImageData(0, 0, 640, 360).data.reduce((a, b) => a + b)"
        held = page.evaluate(pixels)
        page.wait_for_timeout(400)
        assert page.evaluate(pixels) == held

        def back() -> float:
            page.wait_for_timeout(200)
            return float(re.fullmatch(r"paused · (-?[\d.]+) s ago", page.locator("#held").inner_text())[1])

        first = back()
        assert 0 <= first <= 0.8
        drawn = np.array(page.evaluate("vidcamStats.pictures"))[-30:] / 1000
        apart = 0.08 + np.diff(drawn).max()  # s: of twelve and a half a second the next that came is kept
        for _ in range(5):
            page.keyboard.press("ArrowLeft")
        assert 0.3 <= back() - first <= 5 * apart + 0.1  # five pictures; both times are rounded
        assert page.evaluate(pixels) != held
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        assert back() == pytest.approx(first, abs=0.11)  # the moment of pausing may lie between two kept pictures
        assert page.evaluate(pixels) == held
        box = page.locator("#timeline").bounding_box()
        page.mouse.click(box["x"] + box["width"] * (1 - 1.5 / 60), box["y"] + box["height"] / 2)
        assert back() == pytest.approx(1.5, abs=0.25)
        assert re.match(r"evidence of (0\.\d\d s (later|earlier)|this moment)", page.locator("#age").inner_text())
        page.keyboard.press("Space")
        page.wait_for_selector("#held", state="hidden")
        before = page.evaluate("vidcamStats.pictures.length")
        page.wait_for_timeout(400)
        assert page.evaluate("vidcamStats.pictures.length") > before


def test_a_snapshot_and_a_recording_are_saved_by_the_browser(browser, looped, tmp_path) -> None:
    with opened(browser, looped) as page:
        wait_for_answer(page)
        with page.expect_download() as saved:
            page.keyboard.press("s")
        assert re.fullmatch(r"vidcam-\d{8}T\d{6}\.png", saved.value.suggested_filename)
        saved.value.save_as(tmp_path / "shot.png")
        shot = cv2.imread(str(tmp_path / "shot.png"))
        assert shot.shape == (360 + 28, 640, 3)
        with open_source(CLIPS / "jumping_jack.mp4") as source:
            plain = [f.image[..., ::-1] for f in source.frames()]
        nearest = min(np.abs(shot[:60, 120:480].astype(int) - p[:60, 120:480]).mean() for p in plain)
        assert nearest < 12  # the picture itself, where there is no heat
        assert shot[360:].max() > 200  # words
        page.get_by_role("button", name="Record").click()
        page.wait_for_timeout(1500)
        drawn = page.evaluate("vidcamStats.pictures.length")
        wait(page, f"vidcamStats.pictures.length > {drawn} + 40 || vidcamStats.pictures.length < {drawn}")  # on a busy machine
        with page.expect_download() as saved:
            page.get_by_role("button", name="Stop").click()
        path = tmp_path / saved.value.suggested_filename
        saved.value.save_as(path)
        assert path.suffix in (".webm", ".mp4")
        with open_source(path) as source:
            assert (source.info.width, source.info.height) == (640, 388)
            assert len(list(source.frames())) > 5


def test_several_look_on_at_once_on_large_and_small_screens(browser, looped) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
    with opened(browser, looped) as large, opened(browser, looped, **phone) as small:
        for page in (large, small):
            wait_for_answer(page)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")  # nothing hangs out at the side
            wait(page, "vidcamStats.pictures.length > 10 && vidcamStats.updates.length > 5")
        wait(large, "/2 viewers/.test(document.getElementById('facts').textContent)")
        assert large.locator("#timeline").bounding_box()["y"] + 118 < 800  # all on one screen
        small.locator("#class").select_option("clapping")  # one chooses for all
        wait(large, "document.getElementById('class').value === 'clapping'")
        small.locator("#class").select_option("")
        wait(large, "document.getElementById('class').value === ''")


def test_a_browser_without_a_camera_says_so(browser, engine) -> None:
    refuse = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotFoundError'); }"
    with served(cameras(engine)) as address:
        context = browser.new_context()
        context.add_init_script(refuse)
        page = context.new_page()
        page.goto(address)
        page.get_by_role("button", name="Use my camera").click()
        wait(page, "document.getElementById('notice').textContent.trim() === 'This device has no camera.'")
        context.close()
