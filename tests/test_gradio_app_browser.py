"""The app in a real browser: what a user does, what is said, and that nobody sees what is another's.

The screenshots of docs/app.md are made here, where ``VIDCAM_SCREENSHOTS`` names a folder to put them into.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest
from support import page as pages
from support.media import write_clip
from support.taught import keep_mini, swapped_labels
from support.waiting import HANG_S, happened, until

import vidcam
from vidcam import Look, Outputs, engine
from vidcam.io.source import open_source
from vidcam.methods import core
from vidcam.metrics import verdict
from vidcam.synthetic import scene
from vidcam.web.studio import app, teach_models, view_models

pytestmark = [
    pytest.mark.xdist_group("gradio_app_browser"),
    pytest.mark.filterwarnings(  # Gradio's own statistics, with pandas 3
        "ignore:'future.no_silent_downcasting' is deprecated", "ignore:The copy keyword is deprecated"
    ),
]
WHY = "This model was chosen because it is the best one on this machine."
CLIPS = Path(__file__).parent.parent / "clips"
SHOOTING = "VIDCAM_SCREENSHOTS" in os.environ  # what is shown then is what a user has, not the small limits of the tests

# Stands in for the browser's recorder: what it has recorded is `prepared`.
RECORDER = """
  window.MediaRecorder = class {
    static isTypeSupported(type) { return type.startsWith("video/webm"); }
    constructor() { this.state = "inactive"; }
    start() { this.state = "recording"; }
    stop() { this.state = "inactive"; this.ondataavailable({ data: window.prepared }); this.onstop(); }
  };
"""

# Stands in for a network on which the stream of answers is ahead: the answer to a request that was sent while the stream was open
# comes after two updates of its event, or its last one. Gradio changes the first update then, before the page sees it.
STREAM_FIRST = """
  const ask = window.fetch, updates = {}, held = [];
  let streams = 0;
  const release = () => {
    for (const one of held.filter(({ id }) => !streams || updates[id] >= 2)) { held.splice(held.indexOf(one), 1); one.go(); }
  };
  const read = async answer => {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const messages = (text + value).split("\\n\\n");
        text = messages.pop();
        for (const { msg, event_id } of messages.map(message => JSON.parse(message.slice("data: ".length)))) {
          if (msg === "process_generating") updates[event_id] = (updates[event_id] ?? 0) + 1;
          if (msg === "process_completed") updates[event_id] = Infinity;
        }
        release();
      }
    } catch { /* the page was left */ }
    streams--;
    release();
  };
  window.fetch = async (question, options) => {
    const address = String(question.url ?? question), open = streams > 0, stream = address.includes("/queue/data");
    if (stream) streams++;
    const answer = await ask(question, options);
    if (stream) read(answer.clone());
    if (open && address.includes("/queue/join") && answer.ok) {
      const { event_id: id } = await answer.clone().json();
      await new Promise(go => { held.push({ id, go }); release(); });
    }
    return answer;
  };
"""


# Stands in for a server that is slow to open a session: all questions of the page wait for `release()`.
HELD_QUESTIONS = """
  const ask = window.fetch, released = new Promise(go => { window.release = go; });
  window.fetch = async (question, options) => {
    if (String(question.url ?? question).includes("/queue/join")) await released;
    return ask(question, options);
  };
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[SimpleNamespace]:
    """The app with mini and small limits, without the network: ``desk`` are its sessions, ``asked`` counts what the model is
    asked, which answers while ``free`` is set."""
    asked: list[int] = []
    free = threading.Event()
    free.set()
    desks: list[Any] = []
    ask = core.explain_by_each

    def counted(engine: Any, frames: Any, *more: Any) -> Any:
        asked.append(len(frames))
        happened(free)
        return ask(engine, frames, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDCAM_STATE", str(tmp_path_factory.mktemp("state")))
        if SHOOTING:  # as on a machine on which vidcam has just been installed
            home = tmp_path_factory.mktemp("home")
            patch.setenv("HOME", str(home))
            patch.setenv("VIDCAM_CACHE", str(home / ".cache" / "vidcam"))
            patch.delenv("VIDCAM_OFFLINE", raising=False)
        else:
            patch.setenv("VIDCAM_OFFLINE", "1")
        patch.setattr(core, "explain_by_each", counted)
        if not SHOOTING:
            patch.setattr(app.menus, "choice_reason", lambda wanted: WHY)
        if not SHOOTING:
            patch.setattr(verdict, "TUBES", 6)  # a tenth of the passes
        limits = app.Limits() if SHOOTING else app.Limits(size=20_000_000, seconds=300)
        with app.served(app.Options(port=0, model="mini", showcase=SHOOTING, limits=limits, begun=desks.append)) as address:
            yield SimpleNamespace(address=address, asked=asked, desk=desks[0], free=free, contexts=[])
        assert not desks[0].root.exists()


@pytest.fixture(scope="module")
def jumping() -> list[np.ndarray]:
    """The first pictures of somebody who does jumping jacks, small: as many as the model looks at."""
    with open_source(CLIPS / "jumping_jack.mp4") as source:
        frames = [frame.image for frame, _ in zip(source.frames(), range(45), strict=False)]
    return [cv2.resize(image, (320, 180), interpolation=cv2.INTER_AREA) for image in frames]


@pytest.fixture(scope="module")
def short(jumping, tmp_path_factory) -> Path:
    """A video that is soon explained, of 1.8 seconds."""
    path = tmp_path_factory.mktemp("clips") / "short.mp4"
    return write_clip(path, frames=len(jumping), fps=25, picture=lambda i: jumping[i])


def recorded(pictures: list[np.ndarray]) -> bytes:
    """The pictures as a browser's recorder writes them: a WebM file that does not say how long it is."""
    file = io.BytesIO()
    with av.open(file, "w", format="webm", options={"live": "1"}) as out:
        stream = out.add_stream("libvpx", rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.time_base, stream.bit_rate = "yuv420p", Fraction(1, 1000), 4_000_000
        stream.options = {"deadline": "realtime", "cpu-used": "8"}
        for i, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = 40 * i, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return file.getvalue()


@contextmanager
def opened(browser, served, **options: Any) -> Iterator[Any]:
    """A page that must neither complain nor ask anybody else for anything; its session outlives it, and is dropped then."""
    before = served.desk.sessions
    # What a browser notes of a file that is refused, and Gradio of a page that is loaded again while it listens to the server.
    gradio = ("AbortError", "Connection errored out", "Unexpected error 404: Not Found")
    excused = ("Failed to load resource: the server responded with a status of 400", *gradio)
    with pages.opened(browser, served.address, excused=excused, **{"used": served.contexts} | options) as page:
        page.wait_for_selector(".example")
        [session] = [s for s in served.desk.sessions if not any(s is other for other in before)]
        page.session = session
        yield page
    until(lambda: not session.tabs)
    assert not session.closed
    assert session.folder.exists()
    served.desk.drop(session)
    until(lambda: not session.folder.exists())


def bring(page: Any, path: Path) -> None:
    page.locator("input[type=file]").first.set_input_files(path)


def example(page: Any, name: str) -> None:
    page.locator(f".example[title^='{name}']").click()
    page.wait_for_selector(".vc-stage[data-state=ready]")


def bring_short(page: Any, short: Path) -> None:
    bring(page, short)
    page.wait_for_selector(".vc-stage[data-state=ready]")


def explain(page: Any) -> None:
    page.locator("#explain").click()
    page.wait_for_selector(".vc-stage[data-state=done]")
    settled(page)
    page.wait_for_selector("#job .vc-job[data-state=idle]", state="attached")


def explain_again(page: Any) -> None:
    """Explain, and wait for another result than the one that is shown."""
    before = page.session.results["annotate"].number
    page.locator("#explain").click()
    until(lambda: page.session.results["annotate"].number != before)
    page.wait_for_selector(f".vc-stage[data-player='{page.session.results['annotate'].number}']")
    settled(page)
    page.wait_for_selector("#job .vc-job[data-state=idle]", state="attached")


def more(page: Any, label: str, value: str) -> None:
    """Type into a field of the panel that opens; Gradio makes the fields when it does."""
    page.get_by_role("button", name="More").click()
    field = page.get_by_label(label)
    field.wait_for()
    field.fill(value)
    field.press("Tab")
    assert field.input_value() == value


def choose(page: Any, menu: str, name: str) -> None:
    """Choose from a menu by what is typed: it is searched."""
    page.locator(f"{menu} input").fill(name)
    page.get_by_role("option", name=re.compile(rf"^(✓ )?{re.escape(name)} ·")).click()


def only_cam(page: Any) -> None:
    """Leave one method in the menu of the comparison: the last three go."""
    for _ in range(3):
        page.locator("#compare-methods input").press("Backspace")
    page.keyboard.press("Tab")
    until(lambda: ["cam"] in page.session.chosen.get("compare", []))


PLAYER = "document.querySelector('.vc-stage .holder .vp').player"


def settled(page: Any) -> float:
    """The video's time once it has got there."""
    page.wait_for_selector(".vc-stage[data-player]")
    page.wait_for_function(f"(v => v.readyState >= 2 && !v.seeking)({PLAYER}.video)")
    return float(page.evaluate(f"{PLAYER}.video.currentTime"))


SUMS = """canvas => {
  const bytes = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let opaque = 0, colours = 0;
  for (let i = 0; i < bytes.length; i += 4) { opaque += bytes[i + 3]; colours += bytes[i] + 2 * bytes[i + 1]; }
  return [opaque / bytes.length, colours / bytes.length];
}"""


# The check boxes of the page, and of a page inside it, that neither are 24 pixels high nor have a label that is.
SMALL_BOXES = """() => [document, ...[...document.querySelectorAll("iframe")].map(frame => frame.contentDocument)]
  .flatMap(page => [...page.querySelectorAll("input[type=checkbox]")])
  .filter(box => box.checkVisibility())
  .filter(box => Math.max(...[box, ...box.labels].map(part => part.getBoundingClientRect().height)) < 24)
  .map(box => box.labels[0]?.textContent ?? box.outerHTML)
"""


# Whether the person before the camera, who does jumping jacks, has a hand up: there is skin before the sky.
HAND_UP = """canvas => {
  const { width: w, height: h } = canvas, { data } = canvas.getContext("2d").getImageData(0.72 * w, 0.2 * h, 0.08 * w, 0.2 * h);
  return data.some((red, i) => i % 4 === 0 && red > data[i + 2] + 25 && red > data[i + 1] + 15);
}"""


COLOURED = """canvas => {
  const bytes = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let count = 0;
  for (let i = 0; i < bytes.length; i += 4) {
    const colour = bytes.subarray(i, i + 3);
    count += bytes[i + 3] > 25 && Math.max(...colour) - Math.min(...colour) > 40;
  }
  return count;
}"""


def heat(page: Any) -> tuple[float, float]:
    """How opaque the heat is that the player has drawn, and what its colours add up to, as means of all pixels."""
    opaque, colours = page.evaluate(f"({SUMS})({PLAYER}.canvas)")
    return opaque, colours


@pytest.mark.usefixtures("repeatable")
def test_a_video_is_explained_played_with_its_heat_and_taken_home(browser, served, short, tmp_path) -> None:
    with opened(browser, served) as page:
        bring_short(page, short)
        assert page.locator(".vc-stage .eyebrow").inner_text().replace("\xa0", " ") == "short.mp4 · 1.8 s · 320 × 180"
        explain(page)
        # the answer
        sentence = page.locator(".sentence").inner_text().replace("\xa0", " ")
        assert re.match(r"jumping jack, (> )?\d\d\.\d % over the whole video: evidence ", sentence)
        rows = [row.inner_text().split("\n") for row in page.locator(".vc-answer .top li").all()]
        assert rows[0][0] == "jumping jack"
        shares = [float(row[1].strip("<> %")) for row in rows]
        assert shares == sorted(shares, reverse=True)
        assert 90 < sum(shares) <= 100.5
        assert page.locator(".verdict .chip").inner_text() in ("supported", "weak", "not supported")
        assert re.search(
            r"lurring the hottest 15.%.* of jumping jack from .* to .*; blurring equal areas elsewhere",
            page.locator(".verdict").inner_text(),
        )
        result = page.session.results["annotate"]
        analysis = result.analysis
        # the video is the one that was brought, nothing is encoded, and it opens at the strongest moment
        [copy] = result.folder.glob("*.mp4")
        assert copy.read_bytes() == short.read_bytes()
        strongest = float(analysis.times_s[np.nanargmax(analysis.curves["jumping jack"])])
        assert settled(page) == pytest.approx(strongest, abs=0.05)
        # class, opacity, style and frame step work without the server
        asked, first = len(served.asked), heat(page)
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        assert first[0] > 0
        moment = f"({SUMS})(document.querySelector('.vp-strip canvas'))"
        page.wait_for_function(f"{moment}[0] > 0")
        coloured = page.evaluate(moment)
        page.get_by_label("Style").select_option("spotlight")
        page.wait_for_function(f"{PLAYER}.lookNow().style === 'spotlight'")
        second = heat(page)
        assert first != second
        assert page.evaluate(moment) != coloured  # the small pictures are drawn alike
        page.get_by_label("Only the strongest").fill("40")
        page.get_by_label("Opacity").fill("10")
        assert 0 < heat(page)[0] < second[0]
        at = settled(page)
        page.locator("h1").click()  # the keys are the whole tab's
        page.keyboard.press(".")
        page.wait_for_function(f"{PLAYER}.state.frame > {at}")
        assert 0 < page.evaluate(f"{PLAYER}.state.time") - at < 0.08
        assert requests == []
        assert len(served.asked) == asked
        # the files are made when they are asked for
        files = {}
        page.locator(".vc-answer .files").evaluate("files => files.scrollIntoView({ block: 'start' })")
        place = page.locator(".vc-answer .files").bounding_box()
        for title in ("MP4", "Report", "JSON", "CSV", "Subtitles", "Maps", "All (.zip)"):
            with page.expect_download() as saved:
                page.locator(".vc-answer .files").get_by_role("button", name=title).click()
            files[title] = path = tmp_path / saved.value.suggested_filename
            saved.value.save_as(path)
            page.wait_for_selector("#job .vc-job[data-state=idle]", state="attached")
            assert page.locator(".vc-answer .files").bounding_box() == place  # nothing moves under the pointer
        assert len(served.asked) == asked
        # and drawn as the player shows the evidence
        look = Look("spotlight", 0.1, threshold=0.4)
        vidcam.draw(short, analysis, Outputs(tmp_path / "drawn.mp4"), look=look)
        with open_source(files["MP4"]) as source, open_source(tmp_path / "drawn.mp4") as drawn:
            for one, other in zip(source.frames(), drawn.frames(), strict=True):
                np.testing.assert_array_equal(one.image, other.image)
        said = json.loads(files["JSON"].read_text())
        assert said["input"]["path"] == "short.mp4"
        assert said["summary"]["top"][0]["label"] == "jumping jack"
        assert said["verdict"]["word"] == page.locator(".verdict .chip").inner_text()
        with files["CSV"].open(newline="") as file:
            assert len(list(csv.reader(file))) == len(analysis.times_s) + 1
        assert np.load(files["Maps"]).files
        report = files["Report"].read_text()
        drawn = {"style": "spotlight", "opacity": 0.1, "signed": False, "threshold": 0.4}
        assert json.loads(re.search(r'"look": ?({.*?})', report)[1]) == drawn
        assert "The page plays short.mp4 itself." in report
        [own] = re.findall(r'id="part-video">([^<]*)<', report)
        assert base64.b64decode(own) == short.read_bytes()
        with zipfile.ZipFile(files["All (.zip)"]) as archive:
            assert {name.rpartition(".")[2] for name in archive.namelist()} == {"mp4", "html", "json", "csv", "vtt", "npz"}
        for path in files.values():  # nothing says where this server keeps its files
            assert str(served.desk.root).encode() not in path.read_bytes()


def test_the_answer_and_the_heat_come_before_the_verdict(browser, served, short, monkeypatch) -> None:
    exploring, go_on_exploring, judging, go_on = (threading.Event() for _ in range(4))
    judge, find = app.jobs.add_verdict, app.jobs._Finding.__call__

    def found(self: Any, prediction: Any) -> None:
        find(self, prediction)
        exploring.set()
        happened(go_on_exploring)

    def held(*given: Any) -> Any:
        judging.set()
        happened(go_on)
        return judge(*given)

    monkeypatch.setattr(app.jobs, "add_verdict", held)
    monkeypatch.setattr(app.jobs._Finding, "__call__", found)
    with opened(browser, served) as page:
        bring_short(page, short)
        top = "document.querySelector('.vc-stage').getBoundingClientRect().top + scrollY"
        before = page.evaluate(top)
        page.locator("#explain").click()
        try:
            happened(exploring)
            page.locator("#job .finding", has_text=re.compile(r"^So far: jumping jack, ")).wait_for()
            assert page.locator(".vc-stage").get_attribute("data-state") == "ready"
            assert page.locator("#job .bar").is_visible()
            assert page.evaluate(top) == before  # nothing moves
            tab, bar = page.get_by_role("tab", name="Models").bounding_box(), page.locator("#job").bounding_box()
            assert bar["x"] > tab["x"] + tab["width"]
            assert bar["y"] + bar["height"] <= before
            go_on_exploring.set()
            happened(judging)
            page.wait_for_selector(".vc-stage[data-state=done]")
            assert page.locator("#job .finding").text_content() == ""
            settled(page)
            assert heat(page)[0] > 0
            assert page.locator(".vc-answer .top li").first.inner_text().startswith("jumping jack")
            assert page.locator(".verdict").count() == 0
            assert page.locator("#stop").is_visible()
            for size in ({"width": 1280, "height": 720}, {"width": 1440, "height": 900}):  # how it is drawn is in reach
                page.set_viewport_size(size)
                for part in (".vp-look select", ".vp-slider input", ".vp-play", ".vp-band"):
                    box = page.locator(f".holder {part}").first.bounding_box()
                    assert box["y"] + box["height"] < size["height"], part
            page.evaluate(f"window.before = {PLAYER}")
        finally:
            go_on_exploring.set()
            go_on.set()
        page.wait_for_selector(".verdict")
        assert page.evaluate(f"window.before === {PLAYER}")  # it plays on


def test_what_is_no_video_or_too_large_is_told_in_a_sentence(browser, served, tmp_path) -> None:
    (tmp_path / "notes.mp4").write_text("these are notes")
    (tmp_path / "large.mp4").write_bytes(bytes(20_000_001))
    with opened(browser, served) as page:
        notice = page.locator(".vc-stage .notice")
        bring(page, tmp_path / "notes.mp4")
        page.wait_for_function("document.querySelector('.vc-stage .notice').textContent !== ''")
        assert notice.inner_text().startswith("notes.mp4 is not a supported video format: use MP4,")
        bring(page, tmp_path / "large.mp4")
        page.wait_for_function("document.querySelector('.vc-stage .notice').textContent.startsWith('large.mp4 is larger')")
        assert list(page.session.folder.iterdir()) == []
        page.locator("#explain").click()
        page.wait_for_selector("#job [data-state=failed]")
        assert page.locator("#job .words").inner_text() == "There is no video yet: choose one, record one, or take an example."
        example(page, "falling")
        more(page, "From second", "60")
        page.locator("#explain").click()
        page.wait_for_selector("#job [data-state=failed]")
        said = page.locator("#job .words").inner_text()
        assert re.search(r"no picture from 60 s on", said)
        assert str(served.desk.root) not in said


def test_a_menu_is_searched_and_the_models_tab_says_what_is_not_here(browser, served) -> None:
    with opened(browser, served) as page:
        choose(page, "#method", "lrp")
        assert page.locator("#method input").input_value().startswith("lrp · ")
        page.locator("#method input").click()
        options = page.locator("#method [role=option]")
        methods = [name for _, name in app.menus.method_choices("mini")]
        until(lambda: options.count() == len(methods))
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.type("gradcam")
        until(lambda: options.count() < len(methods))
        found = [words.strip("✓ \n").partition(" · ")[0] for words in options.all_inner_texts()]
        assert found == [name for name in methods if "gradcam" in name]
        assert 0 < len(found) < len(methods)
        page.keyboard.press("Escape")
        # nothing is cut off unless a second is typed
        page.get_by_role("button", name="More").click()
        for label, stands_for in (("From second", "the beginning"), ("To second", "the end")):
            page.get_by_label(label).wait_for()
            assert page.get_by_label(label).input_value() == ""
            assert page.get_by_label(label).get_attribute("placeholder") == stands_for
        page.get_by_role("tab", name="Models").click()
        page.wait_for_function(f"document.querySelectorAll('#models tbody tr').length === {len(app.menus.list_specs())}")
        assert page.get_by_role("button", name="Download x3d_s").is_disabled()
        offline = "This app was started without downloads, so only the models on this machine can be used."
        assert page.locator("#models").get_by_text(offline).is_visible()
        assert "new drawn clips, 19 classes" in page.locator("#models tr", has_text="mini").first.inner_text()


def test_two_users_wait_for_each_other_and_see_only_their_own(browser, served, short, tmp_path) -> None:
    with opened(browser, served) as anna:
        with opened(browser, served) as bert:
            for page, name in ((anna, "anna.mp4"), (bert, "bert.mp4")):
                (tmp_path / name).write_bytes(short.read_bytes())
                bring_short(page, tmp_path / name)
                page.locator("#verdict input").uncheck()
            served.free.clear()
            try:
                anna.locator("#explain").click()
                anna.wait_for_selector("#stop:visible")
                bert.locator("#explain").click()
                bert.wait_for_function("/Waiting for 1 other job/.test(document.querySelector('#job .words').textContent)")
            finally:
                served.free.set()
            for page in (anna, bert):
                page.wait_for_selector(".vc-stage[data-state=done]")
            assert anna.locator(".vc-stage .eyebrow").inner_text().startswith("anna.mp4")
            assert bert.locator(".vc-stage .eyebrow").inner_text().startswith("bert.mp4")
            assert bert.session.results["annotate"].video.name == "bert.mp4"
            assert anna.session.results["annotate"].video.name == "anna.mp4"
            settled(anna)
            hers = anna.evaluate(f"{PLAYER}.video.getAttribute('src')")
            assert bert.request.get(served.address + hers).status == 200  # who has the address may: it is a secret
            assert bert.request.get(served.address + hers.replace(anna.session.token, bert.session.token)).status == 404
            kept = bert.session.folder
            assert kept.is_dir()
        assert not kept.exists()  # his files are deleted, and hers are left
        assert anna.request.get(served.address + hers).status == 200


def test_a_page_that_is_loaded_again_has_all_of_it_back(browser, served, short) -> None:
    with opened(browser, served) as page:
        bring_short(page, short)
        choose(page, "#method", "gradcam++")
        page.locator("#classes input").click()
        page.get_by_role("option", name="jumping jack").click()
        page.keyboard.press("Escape")
        page.locator("#verdict input").uncheck()
        more(page, "number input for Seconds between clip starts", "0.7")
        until(lambda: "annotate" in page.session.chosen and page.session.chosen["annotate"][-1] is False)
        served.free.clear()
        try:
            asked = len(served.asked)
            page.locator("#explain").click()
            until(lambda: len(served.asked) > asked)  # it is at work
            page.reload()
            page.wait_for_selector(".vc-stage[data-state=ready]")
            assert page.locator(".vc-stage .eyebrow").inner_text().startswith("short.mp4")
            page.wait_for_selector("#stop:visible")
            assert [s for s in served.desk.sessions if s.busy] == [page.session]
        finally:
            served.free.set()
        page.wait_for_selector(".vc-stage[data-state=done]")  # it is followed to its end
        asked, answer = len(served.asked), page.locator(".sentence").inner_text()
        assert page.session.results["annotate"].analysis.method == "gradcam++"

        def as_chosen() -> None:
            assert page.locator("#method input").input_value().startswith("gradcam++ · ")
            page.locator("#classes .token", has_text="jumping jack").wait_for()
            assert not page.locator("#verdict input").is_checked()
            page.get_by_role("button", name="More").click()
            field = page.get_by_label("number input for Seconds between clip starts")
            field.wait_for()
            until(lambda: field.input_value() == "0.7")

        as_chosen()
        answers = page.locator(".vc-answer .top button.name").all_inner_texts()
        page.locator("#classes input").click()
        options = page.locator("#classes [role=option]")
        options.first.wait_for()
        classes = [name.strip("✓ \n") for name in options.all_inner_texts()]
        assert classes[: len(answers)] == answers
        assert classes[len(answers) :] == sorted(classes[len(answers) :])
        page.keyboard.press("Escape")
        page.reload()
        page.wait_for_selector(".vc-stage[data-state=done]")
        settled(page)
        assert page.locator(".sentence").inner_text() == answer
        assert page.locator("#explain").inner_text() == "Explain again"
        as_chosen()
        assert len(served.asked) == asked
        # another tab of the same browser has a session of its own, a duplicated one the same
        sessions = served.desk.sessions
        other = page.context.new_page()
        other.goto(served.address)
        other.wait_for_selector(".vc-stage[data-state=empty] .example")
        [fresh] = [s for s in served.desk.sessions if s not in sessions]
        assert fresh.tabs
        other.evaluate("secret => sessionStorage.setItem('vidcam', secret)", page.session.secret)
        other.reload()
        other.wait_for_selector(".vc-stage[data-state=done]")
        assert other.locator(".sentence").inner_text() == answer
        until(lambda: len(page.session.tabs) == 2 and not fresh.tabs)
        other.close()
        until(lambda: len(page.session.tabs) == 1)
        served.desk.drop(fresh)
        # a secret that nobody was given opens nothing
        page.evaluate("sessionStorage.setItem('vidcam', 'guess')")
        mine = page.session
        page.reload()
        page.wait_for_selector(".vc-stage[data-state=empty] .example")
        until(lambda: not mine.tabs)
        page.evaluate("secret => sessionStorage.setItem('vidcam', secret)", mine.secret)
        [stranger] = [s for s in served.desk.sessions if s.tabs]
        page.reload()
        page.wait_for_selector(".vc-stage[data-state=done]")
        served.desk.drop(stranger)


def test_several_files_become_runs_that_open_alone_and_in_step(browser, served, short) -> None:
    names = ("anna.mp4", "bert.mp4")
    with opened(browser, served) as page:
        page.locator("#verdict input").uncheck()
        drop_files(page, page.locator(".vc-stage .target"), *((name, short.read_bytes()) for name in names))
        cards = page.locator(".vc-runs .run")
        until(lambda: cards.count() == 2)
        page.wait_for_selector("#job .vc-job[data-state=idle]", state="attached")
        owner = page.session.runs
        settled(page)
        page.reload()  # they are kept
        until(lambda: cards.count() == 2)
        assert page.session.runs == owner
        asked = len(served.asked)
        # two in step: what is done with one is done with both
        cards.nth(0).locator("input").click()
        cards.nth(1).locator("input").click()
        page.wait_for_selector(".vc-stage[data-player*='+']")
        players = "[...document.querySelectorAll('.vc-stage .holder .vp')].map(box => box.player)"
        for number, time in ((0, 1.2), (1, 0.4)):
            page.evaluate(f"{players}[{number}].seek({time})")
            page.wait_for_function(f"{players}.every(one => Math.abs(one.state.time - {time}) < 0.03 && !one.video.seeking)")
        page.evaluate(f"{players}[0].video.play()")
        page.wait_for_function(f"{players}.every(one => !one.video.paused)")
        page.evaluate(f"{players}[1].video.pause()")
        page.wait_for_function(f"{players}.every(one => one.video.paused)")
        # one alone
        page.locator(".vc-runs .open", has_text="anna.mp4").click()
        page.locator(".vc-stage .eyebrow", has_text="anna.mp4").wait_for()
        page.wait_for_selector(".vc-stage:not([data-player*='+'])")
        settled(page)
        assert heat(page)[0] > 0
        assert page.locator(".vc-answer .top li").first.inner_text().startswith("jumping jack")
        assert len(served.asked) == asked  # it was kept
        # its look is that of the two that follow, and each has its picture beside the heat
        page.get_by_label("Style").select_option("side-by-side")
        for card in (cards.nth(0), cards.nth(1)):
            card.locator("input").click()
        page.wait_for_selector(".vc-stage[data-player*='+']")
        ticks = page.locator(".vc-runs input")
        until(lambda: [tick.is_checked() for tick in ticks.all()] == [True, True])  # those that are open
        page.wait_for_function(f"{players}.every(one => one.lookNow().style === 'side-by-side')")
        light = "(one => one.getContext('2d').getImageData(0, 0, one.width, one.height).data.some((v, i) => i % 4 < 3 && v > 60))"
        beside = "[...document.querySelectorAll('.vc-stage .holder .vp-plain')]"
        page.wait_for_function(f"{beside}.map({light}).join() === 'true,true'")
        page.locator(".vc-runs .open", has_text="anna.mp4").click()
        page.wait_for_selector(".vc-stage:not([data-player*='+'])")
        settled(page)
        assert not any(tick.is_checked() for tick in ticks.all())
        page.get_by_label("Style").select_option("heat")
        # what if the person is hidden?
        page.get_by_role("button", name="What if a part is hidden?").click()
        box = page.locator(".vc-stage .holder .vp-main").bounding_box()
        page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 2)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + box["height"] - 2, steps=3)
        page.mouse.up()
        page.locator(".vc-stage .reply", has_text="With the framed area hidden, “jumping jack” falls from ").wait_for()
        # all in one zip, and gone
        with page.expect_download() as saved:
            page.get_by_role("button", name="Download all (.zip)").click()
        with zipfile.ZipFile(saved.value.path()) as archive:
            assert sum(name.endswith(names) for name in archive.namelist()) == 2
        page.get_by_role("button", name="Delete the run of bert.mp4").click()
        until(lambda: cards.count() == 1)
        # a click on another answer shows the evidence for that, with the look that was set, and an open run has its own questions
        page.get_by_label("Style").select_option("spotlight")
        page.get_by_label("Opacity").fill("30")
        name = page.locator(".vc-answer .top button.name").nth(1)
        label = name.inner_text()
        name.click()
        until(lambda: cards.count() == 2)
        assert page.session.results["annotate"].analysis.settings.classes == (label,)
        page.locator("#classes", has_text=label).wait_for()
        assert WHY in page.locator("#ask").first.inner_text()  # why it is this model
        assert WHY not in page.locator(".vc-answer").inner_text()  # said once
        first, second = page.locator(".vc-runs .open .soft:last-child").all_inner_texts()  # both are of one video
        assert first.startswith(f"mini · cam-spread · {label} · ")
        assert second.startswith("mini · cam-spread · ")
        assert label not in second
        assert all(re.search(r" · [^·]*\b20\d\d\b[^·]*\d:\d\d", facts) for facts in (first, second))
        page.wait_for_selector("#job .vc-job[data-state=idle]", state="attached")
        page.wait_for_selector(f".vc-stage[data-player='{page.session.results['annotate'].number}']")
        settled(page)
        assert page.evaluate(f"(look => [look.style, look.opacity])({PLAYER}.lookNow())") == ["spotlight", 0.3]
        assert page.get_by_label("Style").input_value() == "spotlight"
        page.locator(".vc-runs .open").nth(1).click()
        until(lambda: page.locator("#classes .token").count() == 0)
        settled(page)
        page.wait_for_function(
            f"(v => v.buffered.length && v.buffered.end(0) > v.duration - 0.1)({PLAYER}.video)"
        )  # all is fetched
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Delete all").click()
        until(lambda: list(owner.iterdir()) == [])


def test_a_video_that_comes_before_the_session_waits_for_it(browser, served, short) -> None:
    with pages.opened(browser, served.address, before=HELD_QUESTIONS, excused=("Connection errored out",)) as page:
        page.locator("#stage input[type=file]").wait_for(state="attached")
        page.locator("#stage input[type=file]").set_input_files(short)
        page.get_by_text(f"Uploading {short.name}").wait_for()
        page.evaluate("release()")
        page.locator(".vc-stage .eyebrow", has_text=short.name).wait_for()
        assert page.locator(".vc-stage .notice").inner_text() == ""


def test_a_slow_answer_loses_nothing_when_a_page_is_loaded_again(browser, served, short) -> None:
    with opened(browser, served, before=STREAM_FIRST) as page:
        bring_short(page, short)
        page.locator("#verdict input").uncheck()
        served.free.clear()
        try:
            asked = len(served.asked)
            page.locator("#explain").click()
            until(lambda: len(served.asked) > asked)  # it is at work
            page.reload()
            page.wait_for_selector(".vc-stage[data-state=ready]")
            page.wait_for_selector("#stop:visible")
        finally:
            served.free.set()
        page.wait_for_selector(".vc-stage[data-state=done]")


def test_a_comparison_goes_on_while_its_page_is_loaded_again(browser, served, short) -> None:
    with opened(browser, served) as page:
        bring_short(page, short)
        page.get_by_role("tab", name="Compare").click()
        page.locator("#compared .hint", has_text="short.mp4").wait_for()
        only_cam(page)
        served.free.clear()
        try:
            asked = len(served.asked)
            page.locator("#compare").click()
            until(lambda: len(served.asked) > asked)
            page.reload()
            page.wait_for_selector(".vc-stage[data-state=ready]")
            page.get_by_role("tab", name="Compare").click()
            page.wait_for_selector("#compare-job [data-state=running]")
        finally:
            served.free.set()
        page.wait_for_selector("#compared iframe")
        assert page.locator("#compare-methods .token").count() == 1
        page.reload()
        page.get_by_role("tab", name="Compare").click()
        page.wait_for_selector("#compared iframe")


def drop_files(page: Any, place: Any, *files: tuple[str, bytes]) -> None:
    """Let go of files over a place of the page, or of a page inside it."""
    carried = place.evaluate_handle(
        """(_, files) => files.reduce((all, [name, text]) => {
            all.items.add(new File([Uint8Array.from(atob(text), c => c.charCodeAt(0))], name));
            return all;
        }, new DataTransfer())""",
        [[name, base64.b64encode(content).decode()] for name, content in files],
    )
    place.dispatch_event("dragover", {"dataTransfer": carried})
    place.dispatch_event("drop", {"dataTransfer": carried})


def test_videos_dropped_on_the_comparison_are_compared(browser, served, short) -> None:
    with opened(browser, served) as page:
        page.get_by_role("tab", name="Compare").click()
        hint = page.locator("#compared .hint")
        hint.get_by_text("There is no video yet. Drop one here.").wait_for()
        drop_files(page, hint, ("first.mp4", short.read_bytes()))
        hint.get_by_text("first.mp4").wait_for()
        only_cam(page)
        page.locator("#compare").click()
        compared = page.frame_locator("#compared iframe").locator(".vp-tile").first
        compared.wait_for()
        drop_files(page, compared, ("second.mp4", short.read_bytes()))
        hint.get_by_text("second.mp4").wait_for()
        drop_files(page, page.locator("#ask-compare").first, ("notes.mp4", b"no video"))
        page.get_by_text("notes.mp4 is not a supported video format").wait_for()  # on the tab that says so
        annotate = page.get_by_role("tab", name="Annotate")
        assert annotate.get_attribute("aria-selected") == "true"
        # several are explained in turn, there too
        page.locator("#verdict input").uncheck()
        page.get_by_role("tab", name="Compare").click()
        hint.wait_for()
        drop_files(page, hint, *((name, short.read_bytes()) for name in ("third.mp4", "fourth.mp4")))
        until(lambda: annotate.get_attribute("aria-selected") == "true")
        until(lambda: page.locator(".vc-runs .run").count() == 2)
        page.wait_for_selector("#job .vc-job[data-state=idle]", state="attached")


def test_a_model_that_knows_nothing_of_it_says_so_and_offers_another(browser, served, tmp_path, monkeypatch) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (45, 96, 128, 3), np.uint8)
    clip = write_clip(tmp_path / "noise.mp4", frames=45, fps=25, size=(96, 128), picture=lambda i: noise[i])
    for module in (app.annotate.view_models, engine):
        monkeypatch.setattr(module, "choose_default_model", lambda: ("movinet_a0", ""))
    monkeypatch.setattr(app.menus.loading, "is_available", lambda spec: True)
    with opened(browser, served) as page:
        bring_short(page, clip)
        page.locator("#explain").click()
        page.wait_for_selector(".vc-stage[data-state=done]")
        words = "mini recognises none of its 17 actions in this video."
        assert page.locator(".sentence").inner_text() == words
        assert page.locator(".verdict").count() == 0
        assert page.locator(".vc-answer .shown").count() == 0
        assert page.session.video.name in page.locator(".vc-stage .eyebrow").inner_text()
        settled(page)
        assert page.evaluate(f"({COLOURED})({PLAYER}.canvas)") == 0  # what is said over time can be looked at, without evidence
        assert page.locator(".vc-answer .top .name").first.evaluate("e => e.tagName") == "SPAN"  # it cannot be asked for
        page.get_by_role("button", name="Explain with movinet_a0 (600 actions)").click()
        until(lambda: page.locator("#model input").input_value().startswith("movinet_a0 · "))
        until(lambda: page.session.chosen.get("annotate", [None])[0] == "movinet_a0")
        page.locator("#job .words", has_text="movinet_a0").wait_for()  # it is tried at once, and has no weights here


def test_what_was_not_seen_is_said_and_covered_by_one_click(browser, served, short, monkeypatch) -> None:
    explained = app.jobs.vidcam.explain

    def partly(path: Path, *, settings: Any, **more: Any) -> Any:
        """As a model that looks at a square in the middle does; mini looks at all there is."""
        analysis = explained(path, settings=settings, **more)
        return analysis if settings.cover else replace(analysis, unseen_fraction=0.4375)

    monkeypatch.setattr(app.jobs.vidcam, "explain", partly)
    with opened(browser, served) as page:
        bring_short(page, short)
        page.locator("#verdict input").uncheck()
        explain(page)
        unseen = page.locator(".vc-answer .unseen")
        assert unseen.text_content().startswith("The model did not see 43.8\xa0% of the video (hatched).")
        assert "did not see" not in page.locator(".vc-answer .facts").inner_text()
        choose(page, "#method", "gradcam++")  # what is covered is what is shown
        page.locator(".vc-answer .stale:not(:empty)").wait_for()
        page.get_by_role("button", name="Cover the whole picture").click()
        unseen.wait_for(state="detached")
        settings = page.session.results["annotate"].analysis.settings
        assert (settings.cover, settings.method) == (True, "cam-spread")
        page.get_by_role("button", name="More").click()
        page.get_by_label("Several crops that cover the whole frame").wait_for()
        assert page.get_by_label("Several crops that cover the whole frame").is_checked()
        page.wait_for_selector("#job .vc-job[data-state=idle]", state="attached")


def test_an_answer_to_another_question_is_marked_until_it_is_asked_again(browser, served, short) -> None:
    with opened(browser, served) as page:
        bring_short(page, short)
        page.locator("#verdict input").uncheck()
        explain(page)
        colour = "getComputedStyle(document.querySelector('.vc-answer .top li')).color"
        plain = page.evaluate(colour)
        served.free.clear()
        page.locator("#explain").click()
        try:
            page.wait_for_function(f"{colour} !== '{plain}'")  # until there is another answer
        finally:
            served.free.set()
        page.wait_for_function(f"{colour} === '{plain}'")
        page.wait_for_selector("#job .vc-job[data-state=idle]", state="attached")
        mark = page.locator(".vc-answer .stale")
        assert mark.inner_text() == ""
        words = "Shown: mini · cam-spread. Press Explain again to see the new settings."
        choose(page, "#method", "gradcam++")
        page.locator(".vc-answer.old .stale", has_text=words).wait_for()
        page.reload()  # it is kept, as the choice is
        page.locator(".vc-answer.old .stale", has_text=words).wait_for()
        choose(page, "#method", "cam-spread")
        page.wait_for_selector(".vc-answer:not(.old)")
        assert mark.inner_text() == ""
        more(page, "To second", "x")
        page.locator(".vc-answer.old .stale", has_text=words).wait_for()
        page.get_by_label("To second").fill("1,7")
        page.keyboard.press("Tab")
        until(lambda: page.session.chosen["annotate"][-2] == "1,7")
        assert mark.inner_text() == words
        page.evaluate(f"{PLAYER}.seek(0.3)")
        explain_again(page)
        assert settled(page) == pytest.approx(0.3, abs=0.03)  # where it was
        assert mark.inner_text() == ""
        assert "only from the beginning to 1.7\xa0s" in page.locator(".vc-answer .facts").text_content()
        # an open run has its own question, and is never marked
        page.evaluate("""() => {
          const box = document.querySelector(".vc-answer"), mark = box.querySelector(".stale");
          window.marks = [];
          new MutationObserver(() => marks.push(mark.textContent)).observe(box, { childList: true, subtree: true });
        }""")
        page.locator(".vc-runs .open").nth(1).click()
        until(lambda: page.get_by_label("To second").input_value() == "")
        until(lambda: page.session.chosen.get("annotate", ["x"] * 3)[-2] == "")
        page.wait_for_function("marks.length > 0")
        assert set(page.evaluate("marks")) == {""}
        assert page.session.chosen["annotate"][6] == 0  # half a clip, as it was


def test_explain_is_in_reach_on_a_phone_and_covers_no_player(browser, served, short, tmp_path, monkeypatch) -> None:
    (tmp_path / "notes.mp4").write_text("these are notes")
    two = [
        {"label": "walking", "prob": 0.6, "start": 0.0, "end": 1.0},
        {"label": "jumping jack", "prob": 0.9876, "start": 1.0, "end": 1.8},
    ]
    monkeypatch.setattr(view_models, "find_actions", lambda analysis: two)
    with opened(browser, served) as page:
        page.set_viewport_size({"width": 390, "height": 844})
        seen = """share => {
          scrollTo(0, share * (document.documentElement.scrollHeight - innerHeight));
          const button = document.querySelector("#explain"), b = button.getBoundingClientRect(), at = [b.left + 20, b.top + 20];
          return b.top >= 0 && b.bottom <= innerHeight && document.elementFromPoint(...at) === button;
        }"""
        # what is refused is said in sight
        page.evaluate("scrollTo(0, 99999)")
        page.wait_for_function("scrollY > 200")
        page.locator("#explain").click()
        page.locator("#job [data-state=failed] .words", has_text="There is no video yet").wait_for()
        page.wait_for_function("document.querySelector('#job .words').getBoundingClientRect().top >= 0")
        page.evaluate("scrollTo(0, 99999)")
        bring(page, tmp_path / "notes.mp4")
        notice = page.locator(".vc-stage .notice", has_text="notes.mp4 is not a supported video format")
        notice.wait_for()
        box, chosen = notice.bounding_box(), page.get_by_role("button", name="Choose a video").first.bounding_box()
        assert chosen["y"] < box["y"] < chosen["y"] + chosen["height"] + 40
        assert 0 <= box["y"] <= box["y"] + box["height"] <= page.locator("#go").bounding_box()["y"]
        bring_short(page, short)
        page.locator("#verdict input").uncheck()
        assert all(page.evaluate(seen, at) for at in (0, 0.5, 1))
        explain(page)
        assert all(page.evaluate(seen, at) for at in (0, 0.5, 1))
        page.evaluate("scrollTo(0, 0)")
        actions = page.locator(".sentence .part")  # each on its own line
        assert actions.all_inner_texts() == ["walking (60.0 %, 0.0–1.0 s)", "→ jumping jack (98.8 %, 1.0–1.8 s)"]
        assert actions.nth(1).bounding_box()["y"] > actions.nth(0).bounding_box()["y"] + 15
        assert page.locator(".vc-runs .open b").inner_text() == "walking → jumping jack"  # a card has no room for the times
        bar = page.locator("#go").bounding_box()["y"]
        for part in (".vp-main", ".vp-play"):
            box = page.locator(f".vc-stage .holder {part}").bounding_box()
            assert box["y"] + box["height"] <= bar
        bring(page, tmp_path / "notes.mp4")  # while there is a result
        notice.wait_for()
        assert notice.bounding_box()["y"] + notice.bounding_box()["height"] <= bar
        # the answer comes before the runs, and Explain stays in reach while a setting is changed
        places = [page.locator(part).first.bounding_box()["y"] for part in ("#stage", "#answer", "#ask", "#runs")]
        assert places == sorted(places)
        choose(page, "#method", "gradcam++")
        page.wait_for_selector(".vc-answer.old")
        assert all(page.evaluate(seen, at) for at in (0, 0.5, 1))
        # a run has the actions too; one of an earlier version has only the sentence
        page.locator(".vc-runs .open").click()
        page.wait_for_selector(".vc-answer:not(.old)")
        assert actions.count() == 2
        [kept] = page.session.runs.glob("run-*/run.json")
        facts = json.loads(kept.read_text())
        del facts["answer"]["actions"]
        kept.write_text(json.dumps(facts))
        page.locator(".vc-runs .open").click()
        page.locator(".sentence", has_text="walking (0.0–1.0 s) → jumping jack (1.0–1.8 s)").wait_for()
        assert actions.count() == 0


def test_a_loop_is_explained_by_itself(browser, served, jumping, tmp_path) -> None:
    late = write_clip(tmp_path / "late.mp4", frames=len(jumping), fps=25, picture=lambda i: jumping[i], start=1.4)
    with opened(browser, served) as page:
        bring_short(page, late)
        page.locator("#verdict input").uncheck()
        explain(page)
        part = page.get_by_role("button", name="Explain this part")
        page.get_by_role("button", name="What if a part is hidden?").click()
        assert not part.is_visible()  # there is no loop
        page.keyboard.press("Escape")
        page.evaluate(f"{PLAYER}.loop([1.6, 2.9])")
        page.get_by_role("button", name="What if a part is hidden?").click()
        assert page.get_by_role("button", name="Hide the loop").is_visible()
        before = page.session.results["annotate"].number
        part.click()
        until(lambda: page.session.results["annotate"].number != before)
        number = page.session.results["annotate"].number
        page.wait_for_selector(f".vc-stage[data-player='{number}']")
        analysis = page.session.results["annotate"].analysis
        assert (analysis.settings.start_s, analysis.settings.end_s) == (0.2, 1.5)
        assert (analysis.frame_times_s[0], analysis.frame_times_s[-1]) == pytest.approx((1.6, 2.88))
        page.wait_for_selector("#job .vc-job[data-state=idle]", state="attached")
        assert "only from 0.2\xa0s to 1.5\xa0s" in page.locator(".vc-answer .facts").text_content()
        page.get_by_role("button", name="More").click()
        page.get_by_label("From second").wait_for()
        until(lambda: [page.get_by_label(f"{end} second").input_value() for end in ("From", "To")] == ["0.2", "1.5"])
        assert page.locator(".vc-answer .stale").inner_text() == ""


def test_an_empty_page_plays_an_explained_example(browser, tmp_path, short, monkeypatch) -> None:
    monkeypatch.setenv("VIDCAM_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("VIDCAM_OFFLINE", "1")
    explained: list[str] = []
    explain_example = app.jobs.explain_example

    def of_short(engines: Any, model: str, video: Any, folder: Path, is_urgent: Any) -> None:
        explained.append(video.name)
        explain_example(engines, model, replace(video, path=short), folder, is_urgent)

    monkeypatch.setattr(app.jobs, "explain_example", of_short)
    drawn = f"() => ({SUMS})(document.querySelector('.showcase canvas.vp-heat'))[0]"
    with app.served(app.Options(port=0, model="mini", showcase=True)) as address:
        for _ in range(2):
            with pages.opened(browser, address) as page:
                page.wait_for_selector(".vc-stage[data-state=empty][data-example=ready]")
                until(lambda page=page: page.evaluate(drawn) > 0)
                words = page.locator(".showcase p", has_text="An example: ")
                assert words.inner_text().endswith("The heat shows where the model finds its evidence.")
                assert page.locator(".vc-stage .holder .vp").count() == 0
    assert len(explained) == 1  # the second page is shown what was kept


def test_stopping_leaves_nothing_behind(browser, served) -> None:
    with opened(browser, served) as page:
        example(page, "falling")
        served.free.clear()
        asked = len(served.asked)
        try:
            page.locator("#explain").click()
            until(lambda: len(served.asked) > asked)  # it is at work
            assert len(list(page.session.folder.glob("job-*"))) == 1
            page.locator("#stop").click()
            page.wait_for_function("document.querySelector('#job .words').textContent === 'Stopping'")
        finally:
            served.free.set()
        page.wait_for_function("document.querySelector('#job .words').textContent === 'Stopped. Nothing was saved.'")
        assert list(page.session.folder.iterdir()) == []
        assert page.locator("#explain").is_visible()
        assert not page.session.job.active


def test_the_camera_is_recorded_as_it_is_and_not_mirrored(browser, served) -> None:
    with opened(browser, served) as page:
        page.get_by_role("button", name="Record").click()
        taken = "document.querySelector('.recorder video').getVideoPlaybackQuality().totalVideoFrames"
        page.wait_for_selector(".recorder video")
        page.wait_for_function(f"{taken} > 0")
        page.get_by_role("button", name="Start").click()
        before = page.evaluate(taken)
        page.wait_for_function(f"{taken} > {before} + 15")
        page.get_by_role("button", name="Stop and use it").click()
        page.wait_for_selector(".vc-stage[data-state=ready]")
        name, seconds = re.match(r"(.+) · (.+?)\xa0s · ", page.locator(".vc-stage .eyebrow").inner_text()).groups()
        assert name == "recording.webm"
        with open_source(page.session.video.path) as source:
            stated, frames = source.info.duration_s, list(source.frames())
        with open_source(CLIPS / "jumping_jack.mp4") as camera:
            shown = cv2.resize(next(iter(camera.frames())).image, frames[0].image.shape[1::-1])
        length = frames[-1].end - frames[0].time if stated is None else stated
        assert float(seconds) == pytest.approx(length, abs=0.051)
        assert 0 < frames[-1].time - frames[0].time < length + 0.05
        seen = frames[0].image.astype(int)
        same, mirrored = (np.abs(seen - picture).mean() for picture in (shown, shown[:, ::-1]))
        assert same < 0.6 * mirrored


def test_the_live_tab_tells_of_a_lost_camera_and_goes_on_with_it(browser, served) -> None:
    with opened(browser, served) as page:
        page.get_by_role("tab", name="Live").click()
        page.locator("#live iframe").wait_for()
        viewer = page.locator("#live iframe").element_handle().content_frame()
        updates = "window.vidcamStats?.updates.length"
        until(lambda: viewer.evaluate(f"{updates} > 0"))
        lost = "track => { track.stop(); track.dispatchEvent(new Event('ended')); }"  # as the browser does if it is unplugged
        track = viewer.evaluate_handle("document.getElementById('camera').srcObject.getVideoTracks()[0]")
        track.evaluate(lost)
        again = viewer.get_by_role("button", name="Use my camera again")
        again.wait_for()
        until(lambda: viewer.locator("#state").get_attribute("data-state") == "silent")  # the server has noticed it too
        assert "The camera stopped sending pictures" in viewer.locator("#notice").inner_text()
        assert viewer.evaluate("getComputedStyle(document.getElementById('overlay')).visibility") == "hidden"
        before = viewer.evaluate(updates)
        again.click()
        until(lambda: viewer.evaluate(f"{updates} > {before} && vidcamStats.drawn.evidence === vidcamStats.evidence"))
        until(lambda: not viewer.evaluate("document.body.classList.contains('gone')"))
        assert again.is_hidden()
        assert viewer.locator("#notice").is_hidden()


def test_a_recording_is_timed_while_it_runs_and_explained(browser, served, jumping, tmp_path) -> None:
    webm = recorded(jumping)
    (tmp_path / "recorded.webm").write_bytes(webm)
    with open_source(tmp_path / "recorded.webm") as source:
        assert source.info.duration_s is None  # what some browsers record does not say how long it is
    with opened(browser, served, before=RECORDER, used=None) as page:  # its clock is changed
        page.evaluate(
            "webm => { window.prepared = new Blob([Uint8Array.from(atob(webm), c => c.charCodeAt(0))]); }",
            base64.b64encode(webm).decode(),
        )
        page.clock.install()
        page.get_by_role("button", name="Record").click()
        page.get_by_role("button", name="Start").wait_for()
        page.clock.pause_at(page.evaluate("Date.now() / 1000 + 1"))
        page.get_by_role("button", name="Start").click()
        for seconds in ("2.0 s", "4.0 s"):
            page.clock.run_for(2000)
            assert page.locator(".recorder .num").inner_text() == seconds
        page.clock.resume()
        page.get_by_role("button", name="Stop and use it").click()
        page.wait_for_selector(".vc-stage[data-state=ready]")
        words = page.locator(".vc-stage .eyebrow").inner_text().replace("\xa0", " ")
        assert words == "recording.webm · 1.8 s · 320 × 180"
        assert page.locator(".recorder").count() == 0
        page.locator("#verdict input").uncheck()
        explain(page)
        assert page.locator(".sentence").inner_text().startswith("jumping jack, ")
        assert page.locator(".verdict").count() == 0


def test_files_of_others_and_of_the_machine_are_refused(browser, served) -> None:
    with opened(browser, served) as page:
        bring(page, CLIPS / "falling.mp4")
        page.wait_for_selector(".vc-stage[data-state=ready]")
        own = page.session.video.path
        foreign = [
            "/etc/passwd",
            str(own),
            __file__,
            str(CLIPS / "falling.mp4"),
            str(Path(app.__file__)),
            "../../../../etc/passwd",
        ]
        for path in foreign:
            for way in ("gradio_api/file=", "gradio_api/file/", "media/", f"media/{page.session.token}/", "live/", "live/../"):
                request = urllib.request.Request(f"{served.address}{way}{path}")
                with pytest.raises(urllib.error.HTTPError) as refused:
                    urllib.request.urlopen(request, timeout=HANG_S)
                refused.value.close()
                assert refused.value.code in (400, 403, 404, 405), (way, path)


def test_methods_are_compared_side_by_side(browser, served, short) -> None:
    with opened(browser, served) as page:
        page.get_by_role("tab", name="Compare").click()
        assert page.locator("#compared .hint").inner_text().startswith("There is no video yet.")
        page.get_by_role("button", name="Choose a video").last.click()
        bring_short(page, short)
        page.get_by_role("tab", name="Compare").click()
        page.locator("#compared .hint", has_text="short.mp4").wait_for()
        for _ in range(3):
            page.locator("#compare-methods input").press("Backspace")
        choose(page, "#compare-methods", "eigencam")
        page.keyboard.press("Tab")
        page.locator("#compare").click()
        inside = page.frame_locator("#compared iframe")
        inside.locator(".vp-tile").first.wait_for()
        found = page.session.results["compare"].comparison
        assert [e.method.name for e in found.entries] == ["cam", "eigencam"]
        assert inside.locator(".vp-tile b").all_inner_texts() == ["cam", "eigencam"] * len(found.labels)
        assert inside.get_by_text("eigencam is class independent").count() == 1
        # all show the same frame: the second map is shown in large by a click
        inside.locator(".vp-tile").nth(1).click()
        inside.locator(".vp-tile[aria-pressed=true] b", has_text="eigencam").wait_for()
        with page.expect_download() as saved:
            page.locator("#compared .files a", has_text=".json").click()
        said = json.loads(Path(saved.value.path()).read_text())
        assert said["input"]["path"] == "short.mp4"
        assert str(served.desk.root) not in json.dumps(said)


def test_two_models_are_compared_in_step(browser, served, short, tmp_path) -> None:
    with opened(browser, served) as page:
        bring_short(page, short)
        page.get_by_role("tab", name="Compare").click()
        page.get_by_label("Two models").check()
        page.get_by_text("There is no other model on this machine").wait_for()
        page.locator("#compare").click()
        page.locator("#compare-job").get_by_text("Choose a second model.").wait_for()
        # one that was taught in this browser is offered: mini, which takes a jumping jack for walking and the other way round
        taught = keep_mini(page.session.runs.name, tmp_path, swapped_labels())
        page.reload()
        page.wait_for_selector(".vc-stage[data-state=ready]")
        page.get_by_role("tab", name="Compare").click()
        page.locator("#compare-other input").wait_for()  # the choice survives, and the new model is in the menu
        until(lambda: page.locator("#compare-other input").input_value().startswith("a-b · taught here"))
        page.locator("#compare-method input").wait_for()
        assert not page.locator("#compare-methods").is_visible()
        choose(page, "#compare-method", "cam")
        page.keyboard.press("Tab")
        page.locator("#compare").click()
        inside = page.frame_locator("#compared iframe")
        inside.locator(".vp-tile").first.wait_for()
        assert inside.locator(".vp-tile b").all_inner_texts() == ["mini", "a-b"] * 2
        assert inside.locator("h2.minor").all_inner_texts()[0].startswith("jumping jack · mini ")
        assert inside.get_by_text("the models answer differently: mini 'jumping jack', a-b 'walking'").count() == 1
        at_first = str(inside.locator(".vp-band span").first.get_attribute("title"))
        assert re.fullmatch(r"mini: jumping jack .*%, a-b: walking .*%", at_first)
        found = page.session.results["compare"].comparison
        assert [e.method.name for e in found.entries] == ["cam", "cam"]
        for label, d in found.differences.items():
            assert inside.get_by_text(f"On “{label}” they differ most at").count() == (d is not None)
        # the same model twice is refused, and what is refused stays no longer than the choice
        choose(page, "#compare-other", "mini")
        page.get_by_text("This is the first model: choose another one.").wait_for()
        page.locator("#compare").click()
        page.locator("#compare-job").get_by_text("mini is chosen twice").wait_for()
        page.get_by_label("Methods of one model").check()
        page.locator("#compare-methods .token").first.wait_for()
        page.wait_for_selector("#compare-job [data-state=idle]", state="attached")
        assert page.locator("#compare-methods .token").count() == 4
        teach_models.model_shelf().delete(page.session.runs.name, taught.name)


def teach_two_actions(page: Any, folder: Path) -> None:
    """Teach a model two actions of drawn people, with five clips each."""
    for place, label in enumerate(("jumping jack", "waving one hand")):
        paths = []
        for n in range(5):
            pictures = [frame.image for frame in scene([(label, 3.0)], seed=100 * place + n, size=(240, 320))]
            path = folder / f"{place}-{n}.mp4"
            paths.append(write_clip(path, frames=len(pictures), fps=25, picture=lambda i, pictures=pictures: pictures[i]))
        action = page.locator(".vc-teach .action").nth(place)
        action.locator(".name").fill(label)
        action.locator("input[type=file]").set_input_files(paths)
        action.locator(".clips li").nth(4).wait_for()
    page.locator("#teach-go").click()
    page.wait_for_selector(".vc-taught .big")
    page.wait_for_selector("#teach-job .vc-job[data-state=idle]", state="attached")


def save_beside(path: Path, *pictures: np.ndarray) -> None:
    """Save two screenshots beside each other, as the docs show them."""
    laptop, phone = (cv2.resize(p, (p.shape[1] * 640 // p.shape[0], 640), interpolation=cv2.INTER_AREA) for p in pictures)
    beside = np.concatenate([laptop, np.full((640, 16, 3), 128, np.uint8), phone], axis=1)
    cv2.imwrite(str(path), beside, [cv2.IMWRITE_JPEG_QUALITY, 80])


def test_every_tab_on_large_and_small_screens_dark_and_light(browser, served, short, tmp_path) -> None:
    folder = Path(os.environ.get("VIDCAM_SCREENSHOTS", ""))
    sizes = {"laptop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}

    used = set(re.findall(r"images/(app-\S+?\.jpg)", (CLIPS.parent / "docs" / "app.md").read_text(encoding="utf-8")))

    def shots(tab: str, arrange: Callable[[], Any] = lambda: None) -> None:
        page.mouse.move(0, 0)
        for scheme in ("dark", "light"):
            used.remove(f"app-{tab}-{scheme}.jpg")
            page.emulate_media(color_scheme=scheme)
            pictures = []
            for viewport in sizes.values():
                page.set_viewport_size(viewport)
                page.evaluate("scrollTo(0, 0)")
                arrange()
                wide, dark = viewport["width"], scheme == "dark"
                page.wait_for_function(f"innerWidth === {wide} && document.documentElement.scrollWidth <= innerWidth")
                assert wide > 390 or page.evaluate(SMALL_BOXES) == []
                page.wait_for_function(
                    f"getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(v => v < 60) === {json.dumps(dark)}"
                )
                if SHOOTING:
                    seen = page.screenshot(animations="disabled")
                    pictures.append(cv2.imdecode(np.frombuffer(seen, np.uint8), cv2.IMREAD_COLOR))
            if SHOOTING:
                save_beside(folder / f"app-{tab}-{scheme}.jpg", *pictures)
        page.set_viewport_size(sizes["laptop"])

    with opened(browser, served) as page:
        if SHOOTING:
            page.wait_for_selector(".vc-stage[data-example=ready]")
        shots("start")
        if SHOOTING:
            example(page, "jumping_jack")
        else:
            bring_short(page, short)
            page.locator("#verdict input").uncheck()
        explain(page)
        shots("annotate")
        page.get_by_role("tab", name="Compare").click()
        if not SHOOTING:
            only_cam(page)
        page.locator("#compare").click()
        tiles = page.frame_locator("#compared iframe").locator(".vp-tile")
        tiles.first.wait_for()

        def show_tiles() -> None:
            tiles.first.evaluate(
                "tile => { window.compared = tile.ownerDocument.querySelector('.vp').player; compared.seek(1.76); }"
            )
            until(lambda: tiles.first.evaluate("() => Math.abs(compared.state.frame - 1.76) < 0.05"))
            tiles.first.evaluate("tile => tile.ownerDocument.querySelector('.vp').scrollIntoView()")

        shots("compare", show_tiles)
        page.get_by_role("tab", name="Models").click()
        page.wait_for_selector("#models tbody tr")
        shots("models")
        page.get_by_role("tab", name="Teach").click()
        page.wait_for_selector(".vc-teach .action")
        if SHOOTING:
            teach_two_actions(page, tmp_path)
        shots("teach")
        page.get_by_role("tab", name="Live").click()
        live = page.frame_locator("#live iframe")
        live.locator("#answer", has_text=re.compile(r"\w")).wait_for()
        if SHOOTING:  # until there is a minute to look back on
            live.locator("#step").check()
            until(lambda: live.locator("#answer").evaluate("() => vidcamStats.updates.at(-1) - vidcamStats.updates[0] > 62_000"))
        picture = live.locator("#picture")

        def raise_hands() -> None:
            if SHOOTING:
                until(lambda: not picture.evaluate(HAND_UP))
                until(lambda: picture.evaluate(HAND_UP))

        shots("live", raise_hands)
        assert not used  # docs/app.md shows these pictures and no others
        page.get_by_role("tab", name="Annotate").click()
        page.wait_for_selector("#live iframe", state="detached")  # the camera is let go
