"""The page's player in a real browser: what it draws is what the MP4 file shows, and all that a user can do with it."""

from __future__ import annotations

import base64
import itertools
import re
import shutil
import tracemalloc
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support import page as pages
from support.explained import made_up
from support.media import number, write_clip
from support.values import track
from support.waiting import until

from vidcam import annotation
from vidcam.analysis import Analysis, Answers
from vidcam.annotation import Outputs
from vidcam.engine import open_engine
from vidcam.evidence.heat import render_heat
from vidcam.evidence.packing import find_levels, pack_maps, pack_times
from vidcam.io.formatting import percent
from vidcam.io.playable import Playback
from vidcam.io.source import open_source
from vidcam.render.overlay import draw_over
from vidcam.reports import notebook
from vidcam.reports.html import write_html
from vidcam.settings import Settings
from vidcam.values import SourceInfo, Track
from vidcam.yuv import from_rgb, to_rgb

pytestmark = pytest.mark.xdist_group("player")
CLIPS = Path(__file__).parent.parent / "clips"
GROUND = 128
PLAYER = "document.getElementById('player').player"

# The heat over a grey picture of the video's own size, as base64 of RGBA.
DRAW = """([time, label, look, ground]) => {
  const { heat, patchesAt } = document.getElementById("player").player, [height, width] = heat.size;
  const over = Object.assign(document.createElement("canvas"), { width, height });
  const picture = Object.assign(document.createElement("canvas"), { width, height }), context = picture.getContext("2d");
  heat.draw(over, patchesAt(time, label), look);
  context.fillStyle = `rgb(${ground}, ${ground}, ${ground})`;
  context.fillRect(0, 0, width, height);
  context.drawImage(over, 0, 0);
  const bytes = context.getImageData(0, 0, width, height).data;
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return btoa(text);
}"""


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Analysis]:
    """The page of a sample clip with three actions, and the analysis."""
    page = tmp_path_factory.mktemp("three") / "three.html"
    clip = shutil.copy(CLIPS / "three_actions.mp4", page.parent)
    return page, annotation.annotate(clip, Outputs(reports={"html": page}), engine=open_engine("mini"))


@pytest.fixture(scope="module")
def cropped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the same clip, of which the model sees only the middle."""
    page = tmp_path_factory.mktemp("cropped") / "three.html"
    clip = shutil.copy(CLIPS / "three_actions.mp4", page.parent)
    engine = open_engine("mini")
    engine.spec = replace(engine.spec, resize=(112, 149))
    settings = Settings(classes=("waving one hand",))
    annotation.annotate(clip, Outputs(reports={"html": page}), engine=engine, settings=settings)
    return page


@contextmanager
def opened(browser: Any, page: Path, *, hash: str = "", **options: Any) -> Iterator[Any]:
    """The page, once its first picture is drawn; it must neither complain nor ask for anything but its video."""
    address = page.as_uri()
    with pages.opened(
        browser, f"{address}{hash}", excused=(page.parent.as_uri(), "willReadFrequently", "ERR_FILE_NOT_FOUND"), **options
    ) as view:
        view.evaluate(f"async () => {{ await {PLAYER}.ready; }}")
        pages.wait(view, f"!{PLAYER}.video.seeking")
        yield view


def in_page(
    view: Any, a: Analysis, time: float, label: str, *, style: str, signed: bool, opacity: float = 0.62, threshold: float = 0
) -> np.ndarray:
    strength = min(1, opacity / view.evaluate(f"{PLAYER}.heat.drawing.full"))
    look = {"style": style, "opacity": opacity, "strength": strength, "threshold": threshold, "signed": signed}
    data = base64.b64decode(view.evaluate(DRAW, [time, a.labels.index(label), look, GROUND]))
    return np.frombuffer(data, np.uint8).reshape(a.source.height, a.source.width, 4)[..., :3].astype(int)


def in_file(
    a: Analysis, time: float, label: str, *, style: Any, signed: bool, planes: bool = False, opacity: float = 0.62,
    threshold: float = 0,
) -> np.ndarray:  # fmt: skip
    """What the renderer of the MP4 file draws over grey, in RGB or in the planes of the codec."""
    size = a.source.height, a.source.width
    heat = render_heat(a.drawn[label], time=time, scale=a.scale, size=size, against=signed, coarse=True)
    grey = np.full((*size, 3), GROUND, np.uint8)
    picture = from_rgb(grey) if planes else grey
    draw_over(picture, heat, style=style, opacity=opacity, signed=signed, threshold=threshold)
    return np.asarray(to_rgb(picture) if planes else picture).astype(int)


# --- the same picture

MOMENTS = ((0.0, "waving one hand"), (2.04, "waving one hand"), (5.13, "standing up"), (7.3, "raising both arms sideways"))


def test_heat_in_the_page_equals_that_of_the_mp4_file(browser, three) -> None:
    page, a = three
    with opened(browser, page) as view:
        for (time, label), (style, signed) in itertools.product(MOMENTS, (("heat", False), ("heat", True), ("spotlight", False))):
            ours = in_page(view, a, time, label, style=style, signed=signed)
            assert np.abs(ours - in_file(a, time, label, style=style, signed=signed)).max() <= 3, (label, style, signed, time)
            # In the planes of the codec, 2 x 2 pixels share their colour, which shows at the edge of what the model saw.
            apart = np.abs(ours - in_file(a, time, label, style=style, signed=signed, planes=True)).max(axis=-1)
            assert (apart <= 3).mean() > 0.99, (label, style, signed, time)
            for opacity, threshold in ((0.31, 0.4), (0.62, 0.1), (0.62, 0.4)):
                part: Any = {"style": style, "signed": signed, "opacity": opacity, "threshold": threshold}
                apart = np.abs(in_page(view, a, time, label, **part) - in_file(a, time, label, **part)).max(axis=-1)
                assert (apart <= 3).mean() > 0.9999, (label, part, time)
                assert apart.max() <= 6, (label, part, time)  # evidence fades out just below a threshold, and magnifies rounding


def test_contours_in_the_page_run_where_those_of_the_file_do(browser, three) -> None:
    page, a = three
    with opened(browser, page) as view:
        # The lines are a pixel apart at most (lines there, regions here), and a few more where the map is flat.
        for (time, label), signed, reach in ((MOMENTS[1], False, 1), (MOMENTS[2], True, 1), (MOMENTS[3], True, 3)):
            ours, file = (draw(a, time, label, style="contour", signed=signed) for draw in (partial(in_page, view), in_file))
            lines = [np.abs(image - GROUND).max(axis=-1) > 40 for image in (ours, file)]
            assert lines[1].sum() > 500
            around = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
            near = [cv2.dilate(line.astype(np.uint8), around) > 0 for line in lines]
            assert (lines[0] & near[1]).sum() > 0.99 * lines[0].sum(), (label, reach)
            assert (lines[1] & near[0]).sum() > 0.99 * lines[1].sum(), (label, reach)


@pytest.fixture
def crops(tmp_path: Path) -> tuple[Path, Analysis]:
    """Two crops that overlap, none of which shows the left; nobody looks from 0.5 to 0.7 s."""
    rng = np.random.default_rng(5)
    times = np.arange(10) / 10
    parts = []
    for left in (40, 120):
        maps = rng.normal(0, 0.6, (10, 6, 7))
        maps[5:7] = np.nan
        parts.append(
            track(12 + 24 * np.arange(6), left + 10 + 22 * np.arange(7), (0, left, 144, left + 160), maps, times=times, label="x")
        )
    info = SourceInfo("none.mp4", 320, 144, 0, 10.0, 1.0, 10, None, "h264")
    frames = [type("F", (), {"time": t, "end": t + 0.1})() for t in times]
    a = made_up(info, frames, {"x": tuple(parts)})
    write_html(a, tmp_path / "crops.html")
    return tmp_path / "crops.html", a


def test_overlapping_crops_and_what_nobody_saw_are_drawn_alike(browser, crops) -> None:
    page, a = crops
    with opened(browser, page) as view:
        assert "not found" in view.locator(".vp-lost").inner_text()
        for time, signed in ((0.0, False), (0.33, True), (0.6, False), (0.9, True)):
            apart = np.abs(
                in_page(view, a, time, "x", style="heat", signed=signed) - in_file(a, time, "x", style="heat", signed=signed)
            )
            assert (apart.max(axis=-1) <= 3).mean() > 0.998, time
            assert apart.max() <= 8, time  # at the edges of the crops, where the file's map is drawn pixel by pixel


def test_packed_maps_come_back_within_half_a_level() -> None:
    maps = np.random.default_rng(0).normal(size=(1100, 3, 4)).astype(np.float32)
    maps[7], maps[8, 1, 2], maps[9] = np.nan, 9.0, 0.0
    own = Track("x", np.arange(1100.0), maps, np.arange(3.0), np.arange(4.0), track([0], [0], (0, 0, 1, 1)).seen, 1.0)
    levels = find_levels(own)
    packed = np.frombuffer(b"".join(pack_maps(own, levels)), np.uint8).reshape(maps.shape)
    restored = np.cumsum(packed.astype(int), axis=0) % 256  # the sums of the differences
    assert (restored[7] == 0).all()
    assert (restored[9] == levels.zero).all()
    known = np.delete(np.arange(1100), 7)
    assert np.abs((restored[known] - levels.zero) * levels.step - maps[known]).max() <= levels.step * 0.501
    assert levels.step == pytest.approx((maps[known].max() - maps[known].min()) / 254, rel=0.02)


# --- time


def test_times_with_a_pause_of_hours_come_back_to_the_microsecond() -> None:
    times = 1.4 + np.cumsum([0, 1 / 30, 2 * 3600, 1 / 30, 30 * 24 * 3600])
    steps = np.frombuffer(pack_times(times), "<f8")
    assert 1.4 + np.cumsum([0, *steps]) / 1e6 == pytest.approx(times, abs=2e-6, rel=0)


@pytest.mark.parametrize("embed", [False, True])
def test_evidence_is_that_of_the_presented_frame(browser, tmp_path: Path, embed: bool) -> None:
    """A clip that starts late, with uneven times, B-frames and a turned picture: the frame and its evidence belong together."""
    times = np.cumsum([0, 0.04, 0.1, 0.05, 0.2, 0.04, 0.3, 0.07, 0.12, 0.2])
    name = "a b #1 100% é 'x' \"y\" <犬>.mp4"
    clip = write_clip(tmp_path / name, frames=10, times=times, start=1.4, b_frames=2, rotation=90, size=(240, 320))
    with open_source(clip) as source:
        frames = list(source.frames())
        info = source.info
    maps = np.zeros((10, 2, 2))
    own = track([60, 180], [80, 240], (0, 0, 240, 320), maps + np.arange(10)[:, None, None], times=1.4 + times, label="<b>x</b>")
    a = made_up(info, frames, {"<b>x</b>": (own,)}, playback=Playback(str(clip), info.start_s, (240, 320), "As it is.", embed))
    page = tmp_path / ("moved" if embed else ".") / "page.html"
    page.parent.mkdir(exist_ok=True)
    write_html(a, page)
    if embed:
        clip.unlink()
    with opened(browser, page) as view:
        view.keyboard.press("h")  # hides; the key is up again at once
        view.add_style_tag(content=".vp-heat, .vp-marker { opacity: 0 }")
        for i in (7, 2, 9, 0):
            view.evaluate(f"{PLAYER}.seek({(frames[i].time + frames[i].end) / 2})")
            pages.wait(view, f"Math.abs({PLAYER}.state.frame - {frames[i].time}) < 1e-4")
            picture = cv2.imdecode(np.frombuffer(view.locator(".vp-main").screenshot(), np.uint8), cv2.IMREAD_COLOR)
            assert number(picture) == i
            assert view.evaluate(f"{PLAYER}.patchesAt({PLAYER}.state.frame, 0)[0].values[0]") == pytest.approx(i, abs=0.02)
        for i in (1, 2, 3):  # frame by frame, from the first one
            view.keyboard.press(".")
            pages.wait(view, f"Math.abs({PLAYER}.state.frame - {frames[i].time}) < 1e-4")
        view.keyboard.press(",")
        pages.wait(view, f"Math.abs({PLAYER}.state.frame - {frames[2].time}) < 1e-4")
        assert view.locator("b", has_text="x").count() == 0


def test_link_to_a_moment_opens_there_and_is_kept_up_to_date(browser, three) -> None:
    page, a = three
    with opened(browser, page, hash="#t=2.05&class=waving+one+hand&style=spotlight") as view:
        pages.wait(view, f"Math.abs({PLAYER}.state.frame - 2.04) < 1e-6")
        assert view.evaluate(f"{PLAYER}.state.chosen") == a.labels.index("waving one hand")
        assert view.get_by_label("Style").input_value() == "spotlight"
        view.keyboard.press("3")
        view.keyboard.press("Home")
        pages.wait(view, "location.hash.includes('t=0&')")
        assert urllib.parse.parse_qs(view.url.partition("#")[2])["class"] == [a.labels[2]]
        view.evaluate("location.hash = '#t=6&class=auto'")
        pages.wait(view, f"{PLAYER}.state.chosen === -1 && Math.abs({PLAYER}.state.frame - 6) < 1e-6")


def test_page_opens_at_the_strongest_moment_of_its_headline(browser, three) -> None:
    page, a = three
    peak = a.times_s[np.nanargmax(a.curves[a.labels[0]])]
    with opened(browser, page) as view:
        pages.wait(view, f"Math.abs({PLAYER}.state.frame - {peak}) < 0.041")


# --- what a user does


def test_keys_do_what_their_list_says(browser, three) -> None:
    page, a = three
    with opened(browser, page, hash="#t=1") as view:
        press = view.keyboard.press
        state = lambda name: view.evaluate(f"{PLAYER}.state.{name}")  # noqa: E731
        assert state("chosen") == -1
        for key, chosen in (("2", 1), ("1", 0), ("9", 0), ("0", -1)):  # there is no ninth class
            press(key)
            assert state("chosen") == chosen
        press("2")
        assert view.get_by_role("radio", name=a.labels[1]).is_checked()
        for style in ("contour", "spotlight", "side-by-side", "heat"):
            press("s")
            assert view.get_by_label("Style").input_value() == style
        view.keyboard.down("h")
        assert view.locator(".vp-heat").evaluate("e => e.style.visibility") == "hidden"
        view.keyboard.up("h")
        assert view.locator(".vp-heat").evaluate("e => e.style.visibility") == ""
        press("w")
        assert view.locator(".vp-heat").evaluate("e => e.style.clipPath") == "inset(0px 0px 0px 50%)"
        press("w")
        press("a")
        assert view.get_by_label("Evidence against").is_checked()
        press("[")
        press("ArrowRight")
        press("]")
        assert state("loop") == pytest.approx([1, 2])
        press("Escape")
        assert state("loop") is None
        press(">")
        assert view.evaluate(f"{PLAYER}.video.playbackRate") == 1.5
        press("+")
        assert state("zoom") == 1.5
        press("<")
        assert view.evaluate(f"{PLAYER}.video.playbackRate") == 1
        press("End")
        assert state("time") == pytest.approx(a.times_s[-1], abs=0.6)
        press("Home")
        assert state("time") == pytest.approx(0, abs=0.01)
        press("ArrowRight")
        press("Shift+ArrowRight")
        assert state("time") == pytest.approx(1.1, abs=0.045)  # at a frame
        press("Shift+ArrowLeft")
        assert state("time") == pytest.approx(1, abs=0.045)
        view.locator(".vp-slide").scroll_into_view_if_needed()
        slide = view.locator(".vp-slide").bounding_box()
        view.mouse.move(slide["x"] + 0.2 * slide["width"], slide["y"] + 30)
        view.keyboard.down("Control")
        view.mouse.wheel(0, -100)
        pages.wait(view, f"{PLAYER}.state.zoom === 1.875")
        view.mouse.wheel(0, 100)
        view.mouse.wheel(0, 100)
        view.keyboard.up("Control")
        pages.wait(view, f"Math.abs({PLAYER}.state.zoom - 1.2) < 1e-6")
        slide = view.locator(".vp-slide").bounding_box()
        view.mouse.move(slide["x"] + 0.2 * slide["width"], slide["y"] + 30)
        view.keyboard.down("Shift")
        view.mouse.down()
        view.mouse.move(slide["x"] + 0.4 * slide["width"], slide["y"] + 30, steps=3)
        view.mouse.up()
        view.keyboard.up("Shift")
        duration = view.evaluate(f"{PLAYER}.video.duration")
        assert state("loop") == pytest.approx([0.2 * duration, 0.4 * duration], abs=0.1)
        view.evaluate("document.activeElement.blur()")  # the timeline has been dragged on
        press("Escape")
        assert state("loop") is None
        press("p")
        assert "of the strongest in this video; at most" in view.locator(".vp-hint").inner_text()
        press("?")
        assert view.get_by_role("dialog").is_visible()
        press("Escape")
        pages.wait(view, "document.activeElement === document.body")  # on a button of the dialog, space would click it
        view.evaluate(f"Object.assign({PLAYER}.video, {{currentTime: 0, playbackRate: 0.1}})")  # its end must not pause it first
        press("k")
        pages.wait(view, f"!{PLAYER}.video.paused")
        press(" ")
        assert view.evaluate(f"{PLAYER}.video.paused")
        view.evaluate(f"{PLAYER}.seek(3)")
        pages.wait(view, f"!{PLAYER}.video.seeking")
        press("j")  # backwards, until it is paused
        pages.wait(view, f"{PLAYER}.state.time < 2.9")
        press("k")
        press("l")
        rate = view.evaluate(f"{PLAYER}.video.playbackRate")
        press("l")
        assert view.evaluate(f"{PLAYER}.video.playbackRate") > rate
        press(" ")


def test_loop_begins_again_at_its_end(browser, three) -> None:
    page, _ = three
    with opened(browser, page, hash="#t=1") as view:
        view.evaluate(f"{PLAYER}.loop([3, 3.2]), {PLAYER}.seek(3.1), {PLAYER}.video.play()")
        view.evaluate("window.frames_ = []")
        view.evaluate(f"""() => {{
          const {{ video }} = {PLAYER};
          const note = (_, frame) => {{ frames_.push(frame.mediaTime); video.requestVideoFrameCallback(note); }};
          video.requestVideoFrameCallback(note);
        }}""")
        pages.wait(view, "frames_.some((t, i) => i && t < frames_[i - 1])")
        assert max(view.evaluate("frames_")) < 3.5


def test_clicks_on_evidence_seek_and_choose(browser, three) -> None:
    page, a = three
    with opened(browser, page) as view:
        view.locator(".vp-plot").scroll_into_view_if_needed()
        plot = view.locator(".vp-plot").bounding_box()
        view.mouse.click(plot["x"] + 0.25 * plot["width"], plot["y"] + 30)
        t0, t1 = view.evaluate("(d => [d.chart.t0, d.chart.t1])(JSON.parse(document.getElementById('data').textContent))")
        pages.wait(view, f"Math.abs({PLAYER}.state.time - {t0 + 0.25 * (t1 - t0)}) < 0.05")
        segment = next(s for s in a.segments if s.label == "raising both arms sideways")
        row = view.locator("tr", has_text=segment.label).filter(has=view.get_by_role("button", name="loop"))
        row.get_by_role("button", name="loop").click()
        pages.wait(view, f"Math.abs({PLAYER}.state.time - {segment.start_s}) < 0.05")
        assert view.evaluate(f"{PLAYER}.state.loop") == pytest.approx([segment.start_s, segment.end_s])
        assert view.evaluate(f"{PLAYER}.state.chosen") == a.labels.index(segment.label)
        view.locator("#moments button").first.click()
        assert view.evaluate(f"{PLAYER}.state.chosen") == 1  # the first moment is a wave


def test_place_under_the_pointer_shows_its_evidence_over_time(browser, three, cropped) -> None:
    page, a = three
    [own] = a.drawn["waving one hand"]
    with opened(browser, page, hash="#t=2&class=waving+one+hand") as view:
        box = view.locator(".vp-main").bounding_box()
        view.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.35 * box["height"])
        pages.wait(view, "document.querySelector('.vp-hint').textContent.startsWith('Evidence for waving one hand here')")
        place = view.evaluate(f"{PLAYER}.state.place")
        y, x = place["y"] - 0.5, place["x"] - 0.5
        across = np.array([[np.interp(x, own.xs, row) for row in m] for m in own.maps])
        wanted = np.array([np.interp(y, own.ys, column) for column in across])
        wanted /= max(float(np.nanmax(np.abs(t.maps))) for parts in a.drawn.values() for t in parts)
        now = float(np.interp(view.evaluate(f"{PLAYER}.state.frame"), own.times, wanted))
        text = view.locator(".vp-hint").inner_text()
        said_now, said_most = (int(percent.replace("−", "-")) for percent in re.findall(r"(−?\d+) %", text))
        assert said_most == pytest.approx(100 * wanted.max(), abs=2)
        assert said_now == pytest.approx(100 * now, abs=6)  # the text gives the nearest step of the timeline
        view.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 0.35 * box["height"])
        pages.wait(view, f"{PLAYER}.state.place.pinned")
        said = view.locator(".vp-hint").inner_text().partition(" Other classes here now: ")[2]
        others = [label for label in a.labels if label != "waving one hand"]
        assert [re.sub(r" −?\d+ %$", "", part) for part in said.rstrip(".").split(", ")] == others
    with opened(browser, cropped) as view:
        box = view.locator(".vp-main").bounding_box()
        view.mouse.move(box["x"] + 2, box["y"] + 2)
        pages.wait(view, "document.querySelector('.vp-hint').textContent === 'The model did not look at this place.'")


def test_paused_clock_tells_single_frames_apart(browser, three) -> None:
    page, a = three
    with opened(browser, page, hash="#t=2") as view:
        shown = set()
        for _ in range(3):
            view.keyboard.press(".")
            wanted = view.evaluate(f"{PLAYER}.state.time")
            frame = int(np.argmin(np.abs(a.frame_times_s - wanted)))
            pages.wait(view, f"Math.abs({PLAYER}.state.frame - {wanted}) < 1e-3")
            words = f"{a.frame_times_s[frame]:.2f} s / {a.duration_s:.1f} s frame {frame + 1} of {a.frames}"
            until(lambda words=words: " ".join(view.locator(".vp-clock").inner_text().split()) == words)
            shown.add(words)
        assert len(shown) == 3


def test_playing_begins_at_the_beginning_after_opening_at_a_peak(browser, three) -> None:
    with opened(browser, three[0]) as view:
        assert view.evaluate(f"{PLAYER}.state.time") > 2
        view.keyboard.press("Space")
        pages.wait(view, f"!{PLAYER}.video.paused && {PLAYER}.state.time < 2")


def test_quickly_pressed_frame_steps_all_count(browser, three) -> None:
    page, a = three
    with opened(browser, page, hash="#t=1") as view:
        pages.wait(view, f"Math.abs({PLAYER}.state.frame - 1) < 1e-6")
        first = int(np.argmin(np.abs(a.frame_times_s - 1)))
        press = "key => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))"
        time = view.evaluate(f"[...'....,'].forEach({press}), {PLAYER}.state.time")  # before any of these frames is shown
        assert time == pytest.approx(a.frame_times_s[first + 3])
        time = view.evaluate(f"""async () => {{
          for (let n = 0; n < 30; n++) {{
            ({press})(".");
            await new Promise(requestAnimationFrame); // frames of earlier steps are shown meanwhile
          }}
          return {PLAYER}.state.time;
        }}""")
        assert time == pytest.approx(a.frame_times_s[first + 33])
        pages.wait(view, f"Math.abs({PLAYER}.state.frame - {a.frame_times_s[first + 33]}) < 1e-4")


def test_seek_between_the_end_of_another_and_its_event_wins(browser, three) -> None:
    page, a = three
    with opened(browser, page, hash="#t=1") as view:
        pages.wait(view, f"Math.abs({PLAYER}.state.frame - 1) < 1e-6")
        first, second, third = (float(a.frame_times_s[int(np.argmin(np.abs(a.frame_times_s - t)))]) for t in (2, 3, 4))
        view.evaluate(f"""() => {{
          const {{ video, seek }} = {PLAYER};
          seek({first});
          seek({second}); // waits for the end of the first
          Object.defineProperty(video, "seeking", {{ get: () => false, configurable: true }});
          seek({third}); // the first has ended, and the page has not heard of it yet
          delete video.seeking;
        }}""")
        pages.wait(view, f"!{PLAYER}.video.seeking && Math.abs({PLAYER}.state.frame - {third}) < 0.05")
        view.evaluate("() => new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
        pages.wait(view, f"!{PLAYER}.video.seeking && Math.abs({PLAYER}.state.frame - {third}) < 0.05")
        assert view.evaluate(f"{PLAYER}.state.time") == pytest.approx(third, abs=0.05)


def test_first_frame_of_a_video_that_begins_late_has_its_answer(browser, tmp_path: Path) -> None:
    start = 1001 / 30000  # the page has 0.0334
    info = SourceInfo("none.mp4", 160, 90, 0, 10.0, 1.0, 10, None, "h264", start)
    frames = [type("F", (), {"time": start + t / 10, "end": start + t / 10 + 0.1})() for t in range(10)]
    own = track([20, 60], [40, 120], (0, 0, 90, 160), np.ones((10, 2, 2)), times=start + np.arange(10) / 10, label="x")
    write_html(made_up(info, frames, {"x": (own,)}), tmp_path / "late.html")
    with opened(browser, tmp_path / "late.html") as view:
        view.keyboard.press("Home")
        assert view.evaluate(f"{PLAYER}.state.time") == pytest.approx(start, abs=1e-6)
        assert view.locator(".vp-now").inner_text().startswith("Now: x, ")


def test_probability_beside_the_clock_is_that_of_the_mp4(browser, three) -> None:
    page, a = three
    answers = Answers(a)
    with opened(browser, page) as view:
        for time in (0.5, 2.05, 3.95, 6.05, 8.0):
            view.evaluate(f"{PLAYER}.seek({time})")
            pages.wait(view, f"!{PLAYER}.video.seeking && Math.abs({PLAYER}.state.frame - {time}) < 0.05")
            label, prob = answers.at(view.evaluate(f"{PLAYER}.state.time"))[0].top(1)[0]
            said = view.locator(".vp-now").inner_text()
            assert said == f"Now: {label}, {percent(prob)}".replace("\xa0", " ")


def test_evidence_is_shown_in_percent_of_the_strongest(browser, three) -> None:
    page, a = three
    strongest = max(float(np.nanmax(np.abs(curve))) for curve in a.curves.values())
    with opened(browser, page) as view:
        time = view.evaluate(f"{PLAYER}.state.time")
        shares = [int(text.strip(" %").replace("−", "-")) for text in view.locator(".vp-class output").all_inner_texts()]
        for share, curve in zip(shares, a.curves.values(), strict=True):
            near = curve[np.argsort(np.abs(a.times_s - time), kind="stable")[:2]]
            assert any(share == pytest.approx(100 * value / strongest, abs=1) for value in near)
        highest = max(float(np.nanmax(curve)) for curve in a.curves.values())
        assert f"{100 * highest / strongest:.0f} % of the strongest" in view.locator(".vp-strip").inner_text()
        assert "/s" not in view.locator("#player").inner_text()


def test_legend_and_help_explain_the_picture(browser, three, cropped) -> None:
    with opened(browser, three[0]) as view:
        assert "the model did not look" not in view.locator(".vp-legend").inner_text()
    with opened(browser, cropped) as view:
        legend = view.locator(".vp-legend").inner_text()
        for words in ("no evidence", "strongest", "the model did not look", "now"):
            assert words in legend
        first = view.locator(".vp-scale").evaluate("e => getComputedStyle(e).backgroundImage")
        view.get_by_label("Evidence against").check()
        assert "against" in view.locator(".vp-legend").inner_text()
        assert view.locator(".vp-scale").evaluate("e => getComputedStyle(e).backgroundImage") != first
        view.get_by_role("button", name="Help (?)").click()
        assert "Grey, hatched" in view.get_by_role("dialog").inner_text()
        assert view.get_by_role("dialog").evaluate("e => e.scrollTop") == 0


def test_line_of_now_ends_with_the_curves(browser, three) -> None:
    page, _ = three
    with opened(browser, page) as view:
        bottom = "e => e.getBoundingClientRect().bottom"
        assert view.locator(".vp-slide > .vp-cursor").evaluate(bottom) == pytest.approx(
            view.locator(".vp-plot").evaluate(bottom), abs=2
        )
        assert not view.locator(".vp-place .vp-cursor").is_visible()
        view.keyboard.press("p")
        assert view.locator(".vp-place .vp-cursor").is_visible()


def test_portrait_picture_has_the_timeline_beside_it(browser, tmp_path: Path) -> None:
    info = SourceInfo("none.mp4", 90, 160, 0, 10.0, 1.0, 10, None, "h264")
    frames = [type("F", (), {"time": t / 10, "end": t / 10 + 0.1})() for t in range(10)]
    own = track([40, 120], [20, 60], (0, 0, 160, 90), np.ones((10, 2, 2)), times=np.arange(10) / 10, label="x")
    write_html(made_up(info, frames, {"x": (own,)}), tmp_path / "tall.html")
    with opened(browser, tmp_path / "tall.html", viewport={"width": 1440, "height": 900}) as view:
        picture, plot = (view.locator(name).bounding_box() for name in (".vp-main", ".vp-plot"))
        assert plot["x"] > picture["x"] + picture["width"]
        assert plot["y"] < picture["y"] + picture["height"]
        assert picture["height"] > 600
        view.set_viewport_size({"width": 390, "height": 844})
        pages.wait(view, "document.querySelector('.vp-plot').getBoundingClientRect().top > 400")
        assert view.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_every_control_has_a_name_and_the_page_fits(browser, three, width: int, scheme: str) -> None:
    page, _ = three
    with opened(browser, page, viewport={"width": width, "height": 844}, color_scheme=scheme) as view:
        nameless = view.evaluate("""
          [...document.querySelectorAll("#player :is(button, input, select, [role=slider])")].filter(element =>
            ![element.ariaLabel, element.labels?.[0]?.textContent, element.textContent].some(name => name?.trim())
          ).map(element => element.outerHTML)""")
        assert nameless == []
        # what has an icon alone is named under the pointer as it is to a screen reader, with its key
        icons = view.locator("#player .vp-bar button, #player .vp-zoom button").evaluate_all(
            "all => all.map(b => [b.title, b.ariaLabel])"
        )
        assert all(title == name and len(title) > 5 for title, name in icons)
        assert ["Play (Space)"] * 2 in icons
        assert ["One frame forward (.)"] * 2 in icons
        assert view.evaluate("document.documentElement.scrollWidth") <= width
        slider = view.get_by_role("slider", name="Time in the video")
        assert slider.get_attribute("aria-valuetext").endswith(" s")
        view.keyboard.press("2")
        assert view.locator(".vp-live").inner_text() == "Evidence for waving one hand"
        for _ in range(3):
            view.keyboard.press("Tab")
        focused = view.evaluate("(e => getComputedStyle(e).outlineStyle)(document.activeElement)")
        assert focused != "none"


def test_page_without_its_video_says_so_and_still_answers(browser, three, tmp_path: Path) -> None:
    page = Path(shutil.copy(three[0], tmp_path))
    with opened(browser, page) as view:
        assert "three_actions.mp4" in view.locator(".vp-lost").inner_text()
        view.evaluate(f"{PLAYER}.seek(3)")
        assert view.evaluate(f"{PLAYER}.state.frame") == 3
        view.keyboard.press("Space")  # the heat plays all the same
        pages.wait(view, f"{PLAYER}.state.frame > 3.1")
        assert view.locator(".vp-play").get_attribute("aria-label") == "Pause (Space)"
        view.keyboard.press("Space")
        held = view.evaluate(f"{PLAYER}.state.frame")
        assert view.locator(".vp-play").get_attribute("aria-label") == "Play (Space)"
        view.keyboard.press("j")
        pages.wait(view, f"{PLAYER}.state.frame < {held}")
        view.keyboard.press("Space")
        view.evaluate(f"{PLAYER}.loop([1, 1.2])")
        view.evaluate(f"{PLAYER}.seek(1.15)")
        view.keyboard.press("Space")
        pages.wait(view, f"{PLAYER}.state.frame < 1.1")  # it has begun again
        assert view.locator(".vp-play").get_attribute("aria-label") == "Pause (Space)"


# --- in a notebook


def test_notebook_plays_the_video_in_a_frame_without_rights(browser, three, tmp_path: Path) -> None:
    cell = tmp_path / "cell.html"
    cell.write_text(f"<!doctype html><meta charset=utf-8><title>a notebook</title>{three[1]._repr_html_()}")
    with pages.opened(browser, cell.as_uri(), excused=("willReadFrequently",)) as view:
        inside = view.frames[1]
        inside.evaluate(f"async () => {{ await {PLAYER}.ready; }}")
        assert inside.evaluate(f"{PLAYER}.video.videoWidth") == three[1].source.width
        assert inside.evaluate("origin") == "null"  # scripts of the frame cannot reach the notebook
        assert inside.evaluate(f"{PLAYER}.state.frame") > 0


def test_notebook_says_why_it_plays_no_video(browser, three, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(a: Analysis) -> str:
        cell = tmp_path / "cell.html"
        cell.write_text(f"<!doctype html><meta charset=utf-8><title>a notebook</title>{a._repr_html_()}")
        with pages.opened(browser, cell.as_uri()) as view:
            view.frames[1].evaluate(f"async () => {{ await {PLAYER}.ready; }}")
            view.frames[1].evaluate(f"{PLAYER}.seek(3)")
            assert view.frames[1].evaluate(f"{PLAYER}.patchesAt(3, 0).length") == 1  # the evidence is there all the same
            return str(view.frames[1].locator(".vp-lost").inner_text())

    gone = replace(three[1], source=replace(three[1].source, path="gone.mp4"))
    assert said(gone) == "There is no video file to play: the evidence is drawn without it."
    monkeypatch.setattr(notebook, "EMBED_LIMIT", 1000)
    assert re.match(
        r"three_actions\.mp4 is not in this notebook \(it has \d+ MB, and a notebook contains at most 0\)", said(three[1])
    )


# --- the command


def test_annotate_writes_a_page_in_place_of_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    from vidcam.cli.outputs import plan_outputs
    from vidcam.errors import UsageError

    monkeypatch.chdir(tmp_path)
    [(_, outputs)] = plan_outputs(["a.mp4"], output=Path("why.html"), out_dir=None, reports={}, form=Outputs(embed=True))
    assert outputs == Outputs(None, {"html": Path("why.html")}, embed=True)
    many = plan_outputs(["a.mp4", "b.mp4"], output=Path("{name}.html"), out_dir=None, reports={}, form=Outputs())
    assert [o.paths() for _, o in many] == [{"html": Path("a.html")}, {"html": Path("b.html")}]
    with pytest.raises(UsageError, match=r"-o a\.html and --report b\.html are both HTML pages"):
        plan_outputs(["a.mp4"], output=Path("a.html"), out_dir=None, reports={"html": Path("b.html")}, form=Outputs())
    with pytest.raises(UsageError, match="--embed puts the video into the HTML page"):
        plan_outputs(["a.mp4"], output=Path("a.mp4"), out_dir=None, reports={}, form=Outputs(embed=True))


def test_annotating_into_a_page_reads_the_video_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page needs no pictures: what is played is the file itself."""
    from vidcam.render.draw_pass import DrawPass

    monkeypatch.setattr(DrawPass, "run", lambda *_, **__: pytest.fail("the frames were drawn"))
    clip = write_clip(tmp_path / "a.mp4", frames=20)
    a = annotation.annotate(clip, Outputs(reports={"html": tmp_path / "a.html"}), engine=open_engine("mini"), settings=Settings())
    assert a.playback is not None
    assert (a.playback.path, a.playback.how) == (str(clip), "The page plays a.mp4 itself.")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "a.mp4"]


def test_memory_for_a_page_does_not_grow_with_the_video(tmp_path: Path) -> None:
    info = SourceInfo("none.mp4", 320, 240, 0, 10.0, 1.0, 10, None, "h264")
    frames = [type("F", (), {"time": t, "end": t + 0.1})() for t in (0.0, 9.9)]

    def peak(count: int) -> int:
        maps = np.memmap(tmp_path / f"{count}.maps", np.float32, "w+", shape=(count, 14, 14))
        maps[:] = np.random.default_rng(0).normal(size=(count, 14, 14))
        a = made_up(
            info,
            frames,
            {"x": (track(np.arange(14), np.arange(14), (0, 0, 14, 14), np.zeros((1, 14, 14)), times=[0.0], label="x"),)},
        )
        own = Track("x", np.arange(count) / 10, maps, np.arange(14.0), np.arange(14.0), a.drawn["x"][0].seen, 0.1)
        a = replace(a, drawn={"x": (own,)})
        tracemalloc.start()
        write_html(a, tmp_path / f"{count}.html")
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(10)  # what is imported and compiled once
    short, long = peak(1000), peak(6000)
    assert (tmp_path / "6000.html").stat().st_size > 1_000_000
    assert long - short < 500_000
