"""The app in a real browser: what a user does, what is said, and that nobody sees what is another's.

The screenshots of docs/app.md are made here, where ``VIDCAM_SCREENSHOTS`` names a folder to put them into.
"""

from __future__ import annotations

import csv
import json
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from support.waiting import until

from vidcam import apps
from vidcam.explainers import core
from vidcam.reader import open_source

pytestmark = pytest.mark.filterwarnings(  # Gradio's own statistics, with pandas 3
    "ignore:'future.no_silent_downcasting' is deprecated", "ignore:The copy keyword is deprecated"
)
CLIPS = Path(__file__).parent.parent / "clips"
app = apps.module("gradio_app")
WAIT_MS = 180_000  # a machine may be slow; what is waited for takes seconds
SHOOTING = "VIDCAM_SCREENSHOTS" in os.environ  # what is shown then is what a user has, not the small limits of the tests


@pytest.fixture(scope="module")
def served() -> Iterator[SimpleNamespace]:
    """The app with mini and small limits, without the network: ``desk`` are its sessions, ``asked`` counts what the model is
    asked, which answers while ``free`` is set."""
    asked: list[int] = []
    free = threading.Event()
    free.set()
    desks: list[Any] = []
    ask = core.explain

    def counted(engine: Any, frames: Any, *more: Any) -> Any:
        asked.append(len(frames))
        free.wait(WAIT_MS / 1000)
        return ask(engine, frames, *more)

    with pytest.MonkeyPatch.context() as patch:
        if SHOOTING:
            patch.delenv("VIDCAM_OFFLINE", raising=False)
        else:
            patch.setenv("VIDCAM_OFFLINE", "1")
        patch.setattr(core, "explain", counted)
        patch.setattr(app, "Desk", lambda *words: desks.append(app_desk(*words)) or desks[-1])
        limits = app.Limits() if SHOOTING else app.Limits(size=20_000_000, seconds=300)
        with app.served(app.Options(port=0, model="mini", limits=limits)) as address:
            yield SimpleNamespace(address=address, asked=asked, desk=desks[0], free=free)
        assert not desks[0].root.exists()


app_desk = app.Desk


@contextmanager
def opened(browser, served, **options: Any) -> Iterator[Any]:
    """A page that must neither complain nor ask anybody else for anything; its files are deleted once it is closed."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | options)
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: complaints.append(r.url) if not r.url.startswith((served.address, "blob:", "data:")) else None)
    before = set(map(id, served.desk.sessions))
    try:
        page.goto(served.address)
        page.wait_for_selector(".example")
        [session] = [s for s in served.desk.sessions if id(s) not in before]
        page.session = session
        yield page
    finally:
        context.close()
    until(lambda: session.closed and not session.folder.exists(), 20)
    refused = "Failed to load resource: the server responded with a status of 400"  # what a browser notes of a file that is
    assert [c for c in complaints if not c.startswith(refused)] == []


def bring(page: Any, path: Path) -> None:
    page.locator("input[type=file]").first.set_input_files(path)


def example(page: Any, name: str) -> None:
    page.locator(f".example[title^='{name}']").click()
    page.wait_for_selector(".vc-stage[data-state=ready]")


def explain(page: Any) -> None:
    page.locator("#explain").click()
    page.wait_for_selector(".vc-stage[data-state=done]")
    page.wait_for_function("document.querySelector('.vc-stage .screen video').readyState >= 2")


def more(page: Any, label: str, value: str) -> None:
    """Type into a field of the panel that opens; Gradio makes the fields when it does, and then gives them their values."""
    page.get_by_role("button", name="More").click()
    field = page.get_by_label(label)
    field.wait_for()
    page.wait_for_timeout(500)
    field.fill(value)
    field.press("Tab")


def settled(page: Any) -> float:
    """The video's time once it has got there."""
    page.wait_for_function("(v => v.readyState >= 2 && !v.seeking)(document.querySelector('.vc-stage .screen video'))")
    return float(page.evaluate("document.querySelector('.vc-stage .screen video').currentTime"))


def needle(page: Any) -> float:
    return float(page.locator(".plot").get_attribute("aria-valuenow"))


def test_bring_a_video_see_the_answer_go_to_its_moments_change_its_look_and_take_it_home(browser, served, tmp_path) -> None:
    with opened(browser, served) as page:
        bring(page, CLIPS / "jumping_jack.mp4")
        page.wait_for_selector(".vc-stage[data-state=ready]")
        assert page.locator(".vc-stage .eyebrow").inner_text().replace("\xa0", " ") == "jumping_jack.mp4 · 5.0 s · 640 × 360"
        explain(page)
        # the answer
        assert re.match(r"jumping jack, (> )?\d\d\.\d %: evidence ", page.locator(".sentence").inner_text().replace("\xa0", " "))
        rows = [row.inner_text().split("\n") for row in page.locator(".vc-answer .top li").all()]
        assert rows[0][0] == "jumping jack"
        shares = [float(row[1].strip("<> %")) for row in rows]
        assert shares == sorted(shares, reverse=True)
        assert 90 < sum(shares) <= 100.5
        assert page.locator(".verdict .chip").inner_text() in ("supported", "weak", "not supported")
        analysis = page.session.results["annotate"].analysis
        # it begins at the strongest moment, and a click on the evidence goes to its time
        best = max(analysis.moments, key=lambda m: m.score).time
        assert settled(page) == pytest.approx(best, abs=0.05)
        box = page.locator(".plot").bounding_box()
        for share in (0.25, 0.8):
            page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
            assert settled(page) == pytest.approx(share * analysis.duration_s, abs=0.06)
            assert needle(page) == pytest.approx(share * analysis.duration_s, abs=0.06)
        moment = analysis.moments[0]
        page.locator(".moment").first.click()
        assert settled(page) == pytest.approx(moment.time, abs=0.05)
        page.get_by_role("button", name="Play or pause").click()
        page.wait_for_timeout(700)
        page.get_by_role("button", name="Play or pause").click()
        assert 0.2 < needle(page) - moment.time < 3  # the needle goes along
        page.locator(".plot").press("ArrowRight")
        assert len(served.asked) >= 6  # windows
        # another look: drawn again, at the same second, without the model
        at, asked = settled(page), len(served.asked)
        first = cv2.imdecode(np.frombuffer(page.locator(".screen").screenshot(), np.uint8), 1)
        page.locator("#opacity input[type=number]").fill("0.1")
        page.locator("#opacity input[type=number]").press("Tab")
        page.get_by_text("Spotlight").click()
        page.locator("#signed input").check()

        def look() -> tuple[str, float, bool]:
            now = page.session.results["annotate"].look
            return now.style, now.opacity, now.signed

        until(lambda: look() == ("spotlight", 0.1, True), WAIT_MS / 1000)  # at once, or after a picture of the first change alone
        page.wait_for_selector("#job .vc-job[data-state=idle]", state="attached")
        drawing = Path(page.session.results["annotate"].outputs["video"])
        assert list(page.session.folder.glob("job-*")) == [drawing.parent]  # the drawings before are deleted
        [key] = [key for key, file in page.session.files.items() if file.path == drawing and file.inline]
        page.wait_for_function(
            f"document.querySelector('.vc-stage .screen video').getAttribute('src').endsWith({json.dumps(key)})"
        )
        assert settled(page) == pytest.approx(at, abs=0.05)
        second = cv2.imdecode(np.frombuffer(page.locator(".screen").screenshot(), np.uint8), 1)
        assert np.abs(first.astype(int) - second).mean() > 3
        assert len(served.asked) == asked
        # the files
        files = {}
        for link in page.locator(".vc-answer .files a").all():
            with page.expect_download() as saved:
                link.click()
            files[link.evaluate("a => a.firstChild.textContent")] = path = tmp_path / saved.value.suggested_filename
            saved.value.save_as(path)
        assert set(files) >= {"MP4", "Report", "JSON", "CSV", "Subtitles", "Maps"}
        with open_source(files["MP4"]) as source, open_source(CLIPS / "jumping_jack.mp4") as original:
            assert len(list(source.frames())) == len(list(original.frames()))
        said = json.loads(files["JSON"].read_text())
        assert said["input"]["path"] == "jumping_jack.mp4"
        assert said["summary"]["top"][0]["label"] == "jumping jack"
        with files["CSV"].open(newline="") as file:
            assert len(list(csv.reader(file))) == len(analysis.times_s) + 1
        assert np.load(files["Maps"]).files
        report = files["Report"].read_text()
        assert 'src="jumping_jack.vidcam.mp4"' in report
        for path in files.values():  # nothing says where this server keeps its files
            assert str(served.desk.root).encode() not in path.read_bytes()


def test_a_look_that_is_chosen_while_the_files_are_written_is_drawn_too(browser, served, monkeypatch) -> None:
    writing, go_on = threading.Event(), threading.Event()
    write = app.work.REPORTS["csv"]

    def held(*words: Any) -> None:
        writing.set()
        assert go_on.wait(WAIT_MS / 1000)
        write(*words)

    with opened(browser, served) as page:
        example(page, "falling")
        explain(page)
        monkeypatch.setitem(app.work.REPORTS, "csv", held)
        page.get_by_text("Spotlight").click()
        try:
            assert writing.wait(WAIT_MS / 1000)  # it is drawn already
            page.locator("#signed input").check()
            until(lambda: page.session.look.signed)
        finally:
            go_on.set()

        def result() -> Any:
            return page.session.results["annotate"]

        until(lambda: (result().look.style, result().look.signed) == ("spotlight", True), WAIT_MS / 1000)
        page.wait_for_selector("#job .vc-job[data-state=idle]", state="attached")
        assert list(page.session.folder.glob("job-*")) == [result().folder]  # the drawings before are deleted
        assert not page.session.busy


def test_what_is_no_video_or_too_large_is_told_in_a_sentence(browser, served, tmp_path) -> None:
    (tmp_path / "notes.mp4").write_text("these are notes")
    (tmp_path / "large.mp4").write_bytes(bytes(20_000_001))
    with opened(browser, served) as page:
        notice = page.locator(".vc-stage .notice")
        bring(page, tmp_path / "notes.mp4")
        page.wait_for_function("document.querySelector('.vc-stage .notice').textContent !== ''")
        assert notice.inner_text().startswith("notes.mp4 is not a video in a format that is known here: bring MP4,")
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


def test_a_menu_greys_out_what_does_not_fit_and_says_why(browser, served) -> None:
    with opened(browser, served) as page:
        page.locator("#method .face").click()
        row = page.locator("#method [data-name=attention-rollout]")
        assert row.get_attribute("aria-disabled") == "true"
        assert (
            row.locator(".reason").inner_text() == "method 'attention-rollout' needs attention, which model 'mini' does not have"
        )
        row.click(force=True)
        assert page.locator("#method .face b").inner_text() == "cam"
        page.keyboard.type("lrp")
        page.keyboard.press("Enter")
        assert page.locator("#method .face b").inner_text() == "lrp"
        page.locator("#model .face").click()
        reason = page.locator("#model [data-name=x3d_s] .reason").inner_text()
        assert reason == "its weights are not on this machine, and VIDCAM_OFFLINE forbids fetching them"
        page.keyboard.press("Escape")
        page.get_by_role("tab", name="Models").click()
        assert page.locator("#models tbody tr").count() == len(app.menus.registry.specs())
        assert page.get_by_role("button", name="Install x3d_s").is_disabled()


def test_two_users_wait_for_each_other_and_see_only_their_own(browser, served) -> None:
    with opened(browser, served) as anna:
        with opened(browser, served) as bert:
            example(anna, "three_actions")
            example(bert, "falling")
            served.free.clear()
            try:
                anna.locator("#explain").click()
                anna.wait_for_selector("#stop:visible")
                bert.locator("#explain").click()
                bert.wait_for_function("/Waiting: 1 other comes first/.test(document.querySelector('#job .words').textContent)")
            finally:
                served.free.set()
            for page in (anna, bert):
                page.wait_for_selector(".vc-stage[data-state=done]")
            assert anna.locator(".vc-stage .eyebrow").inner_text().startswith("three_actions.mp4")
            assert bert.locator(".vc-stage .eyebrow").inner_text().startswith("falling.mp4")
            assert bert.session.results["annotate"].analysis.source.path.endswith("falling.mp4")
            hers = anna.locator(".vc-stage .screen video").get_attribute("src")
            assert bert.request.get(served.address + hers).status == 200  # who has the address may: it is a secret
            assert bert.request.get(served.address + hers.replace(anna.session.token, bert.session.token)).status == 404
            kept = bert.session.folder
            assert kept.is_dir()
        assert not kept.exists()  # closing the tab took his files along, and left hers
        assert anna.request.get(served.address + hers).status == 200


def test_stopping_leaves_nothing_behind(browser, served) -> None:
    with opened(browser, served) as page:
        example(page, "three_actions")
        more(page, "number input for Seconds between windows", "0.05")
        served.free.clear()
        try:
            page.locator("#explain").click()
            until(lambda: len(list(page.session.folder.glob("job-*"))) == 1, 20)
            page.locator("#stop").click()
            page.wait_for_function("document.querySelector('#job .words').textContent === 'Stopping'")
        finally:
            served.free.set()
        page.wait_for_function("document.querySelector('#job .words').textContent === 'Stopped. Nothing was kept.'")
        assert list(page.session.folder.iterdir()) == []
        assert page.locator("#explain").is_visible()
        assert not page.session.job.active


def test_a_recording_of_the_camera_is_explained_and_not_mirrored(browser, served) -> None:
    with opened(browser, served) as page:
        page.get_by_role("button", name="Record").click()
        page.get_by_role("button", name="Start").click()
        page.wait_for_timeout(2500)
        page.get_by_role("button", name="Stop and use it").click()
        page.wait_for_selector(".vc-stage[data-state=ready]")
        name, seconds = re.match(r"(.+) · (.+?)\xa0s · ", page.locator(".vc-stage .eyebrow").inner_text()).groups()
        assert name == "recording.webm"
        assert 1.5 < float(seconds) < 6  # though the file itself does not say how long it is
        with open_source(page.session.video.path) as source, open_source(CLIPS / "jumping_jack.mp4") as camera:
            seen = next(iter(source.frames())).image
            shown = cv2.resize(next(iter(camera.frames())).image, seen.shape[1::-1])
        same, mirrored = (np.abs(seen.astype(int) - picture).mean() for picture in (shown, shown[:, ::-1]))
        assert same < 0.6 * mirrored
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
                    urllib.request.urlopen(request, timeout=60)
                refused.value.close()
                assert refused.value.code in (400, 403, 404, 405), (way, path)


def test_methods_are_compared_side_by_side(browser, served) -> None:
    with opened(browser, served) as page:
        page.get_by_role("tab", name="Compare").click()
        assert page.locator("#compared .hint").inner_text().startswith("There is no video yet.")
        page.get_by_role("button", name="Choose a video").last.click()
        example(page, "falling")
        page.get_by_role("tab", name="Compare").click()
        page.locator("#compare-methods .face").click()
        for name in ("gradcam++", "layercam", "gradientxinput", "lrp"):
            page.locator(f"#compare-methods [data-name='{name}']").click()
        page.locator("#compare-methods [data-name=eigencam]").click()
        page.keyboard.press("Escape")
        page.locator("#compare").click()
        page.wait_for_selector("#compared .grid")
        found = page.session.results["compare"].found
        names = [b.inner_text() for b in page.locator("#compared .method > b").all()]
        assert names == [e.method.name for e in found.entries] == ["cam", "eigencam"]
        assert [b.inner_text() for b in page.locator("#compared .class b").all()] == list(found.labels)
        assert page.locator("#compared .grid img").count() == 2 * len(found.labels)
        assert page.locator("#compared .method .chip").inner_text() == "one map for all classes"  # Eigen-CAM knows no class
        with page.expect_download() as saved:
            page.locator("#compared .files a", has_text="JSON").click()
        said = json.loads(Path(saved.value.path()).read_text())
        assert said["input"]["path"] == "falling.mp4"
        assert str(served.desk.root) not in json.dumps(said)


def test_every_tab_on_large_and_small_screens_dark_and_light(browser, served, tmp_path) -> None:
    folder = Path(os.environ.get("VIDCAM_SCREENSHOTS", tmp_path))
    sizes = {"laptop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}

    def shots(tab: str) -> None:
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme)
            pictures = []
            for size, viewport in sizes.items():
                page.set_viewport_size(viewport)
                page.evaluate("scrollTo(0, 0)")
                page.wait_for_timeout(350)
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (tab, size)
                dark = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(v => v < 60)")
                assert dark == (scheme == "dark")
                pictures.append(cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR))
            laptop, phone = (cv2.resize(p, (p.shape[1] * 640 // p.shape[0], 640), interpolation=cv2.INTER_AREA) for p in pictures)
            beside = np.concatenate([laptop, np.full((640, 16, 3), 128, np.uint8), phone], axis=1)
            cv2.imwrite(str(folder / f"app-{tab}-{scheme}.jpg"), beside, [cv2.IMWRITE_JPEG_QUALITY, 80])
        page.set_viewport_size(sizes["laptop"])

    with opened(browser, served) as page:
        shots("start")
        example(page, "jumping_jack")
        explain(page)
        shots("annotate")
        page.get_by_role("tab", name="Compare").click()
        page.locator("#compare").click()
        page.wait_for_selector("#compared .grid")
        shots("compare")
        page.get_by_role("tab", name="Models").click()
        page.wait_for_selector("#models tbody tr")
        shots("models")
        page.get_by_role("tab", name="Live").click()
        live = page.frame_locator("#live iframe")
        live.locator("#answer", has_text="jumping jack").wait_for()
        if SHOOTING:
            page.wait_for_timeout(45_000)  # until there is something to look back on
        shots("live")
        page.get_by_role("tab", name="Annotate").click()
        page.wait_for_selector("#live iframe", state="detached")  # the camera is let go
