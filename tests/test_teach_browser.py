"""The Teach tab in a real browser: two actions are taught, and the new model answers a clip and the camera."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from support import page as pages
from support.media import write_clip
from support.waiting import until

import vidcam
from vidcam.io.source import open_source
from vidcam.web.studio import app, components, teach_models

pytestmark = [
    pytest.mark.xdist_group("gradio_app_browser"),
    pytest.mark.filterwarnings(  # Gradio's own statistics, with pandas 3
        "ignore:'future.no_silent_downcasting' is deprecated", "ignore:The copy keyword is deprecated"
    ),
]
CLIPS = Path(__file__).parent.parent / "clips"


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[SimpleNamespace]:
    """The app with mini, without the network: ``desk`` are its sessions, ``state`` is the folder of what it keeps."""
    desks: list[Any] = []
    state = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDCAM_STATE", str(state))
        patch.setenv("VIDCAM_OFFLINE", "1")
        with app.served(app.Options(port=0, model="mini", showcase=False, begun=desks.append)) as address:
            yield SimpleNamespace(address=address, desk=desks[0], state=state)


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> dict[str, Path]:
    """Short, small clips of two actions."""
    folder = tmp_path_factory.mktemp("clips")
    paths = {}
    for name in ("jumping_jack", "walking"):
        with open_source(CLIPS / f"{name}.mp4") as source:
            frames = [frame.image for frame, _ in zip(source.frames(), range(45), strict=False)]
        small = [cv2.resize(image, (160, 90), interpolation=cv2.INTER_AREA) for image in frames]
        paths[name] = write_clip(folder / f"{name}.mp4", frames=len(small), fps=25, picture=lambda i, small=small: small[i])
    return paths


def teach(page: Any) -> str:
    """Press "Teach" and return what the page says at the end."""
    page.locator("#teach-go").click()
    page.wait_for_selector("#teach-job .vc-job[data-state=idle], #teach-job .vc-job[data-state=failed]", state="attached")
    return str(page.locator("#teach-job .words").inner_text())


# Stands in for the camera and its recorder, which says what it does.
CAMERA = """
  const place = document.body, said = window.said = [], files = window.files = [];
  navigator.mediaDevices.getUserMedia = async () => document.createElement("canvas").captureStream();
  window.MediaRecorder = class {
    static isTypeSupported() { return true; }
    state = "inactive";
    start() { this.state = "recording"; said.push("start"); }
    stop() { this.state = "inactive"; said.push("stop"); this.ondataavailable({ data: "clip" }); this.onstop(); }
  };
  const use = file => files.push(file.name), note = words => () => said.push(words);
  recordVideo({ place, say() {}, use, again: true, opened: note("opened"), closed: note("closed") });
"""


def bring(page: Any, place: int, *paths: Path) -> None:
    """Add clips to an action."""
    action = page.locator(".vc-teach .action").nth(place)
    before = action.locator(".clips li").count()
    action.locator("input[type=file]").set_input_files(list(paths))
    action.locator(".clips li").nth(before + len(paths) - 1).wait_for()


def record(page: Any, place: int, count: int) -> None:
    """Record clips of an action, one after the other, with the camera."""
    page.get_by_role("button", name=f"Record a clip of action {place + 1}").click()
    for n in range(count):
        page.get_by_role("button", name="Start", exact=True).click()
        page.wait_for_function("parseFloat(document.querySelector('.vc-teach .recorder .num').textContent) >= 0.8")
        page.get_by_role("button", name="Stop and use it").click()
        page.locator(".vc-teach .action").nth(place).locator(".clips li").nth(n).wait_for()
        page.wait_for_function("(t => { t.textContent = ''; return true; })(document.querySelector('.vc-teach .recorder .num'))")
    page.get_by_role("button", name="Close").click()
    page.wait_for_selector(".vc-teach .recorder", state="detached")


def test_two_actions_are_taught_and_answer_a_clip_and_the_camera(browser, served, short, tmp_path) -> None:
    excused = ("AbortError", "Connection errored out", "Unexpected error 404: Not Found", "WebGL", "GPU")
    with pages.opened(browser, served.address, excused=excused, permissions=["camera"]) as page:
        page.get_by_role("tab", name="Teach").click()
        page.wait_for_selector(".vc-teach .action")
        # what is missing is said
        page.locator(".vc-teach .name").nth(0).fill("jumping; <b>jack</b>")
        bring(page, 0, short["jumping_jack"], short["jumping_jack"])
        page.locator("#teach-go").click()
        page.wait_for_selector("#teach-job .vc-job[data-state=failed]")
        assert page.locator("#teach-job .words").inner_text().startswith("A model learns to tell actions apart")
        page.locator(".vc-teach .name").nth(1).fill("walking")
        record(page, 1, 2)
        # what stands in the page survives a reload
        page.reload()
        page.get_by_role("tab", name="Teach").click()
        page.locator(".vc-teach .clips li").nth(3).wait_for()
        assert [field.input_value() for field in page.locator(".vc-teach .name").all()] == ["jumping, <b>jack</b>", "walking"]
        # it is taught
        page.get_by_role("button", name="More").last.click()
        epochs = page.get_by_label("number input for Epochs")
        epochs.wait_for()
        epochs.fill("1")
        epochs.press("Tab")
        page.locator("#teach-go").click()
        page.wait_for_selector(".vc-taught .big")
        assert re.fullmatch(r"[012] of 2 test clips right", page.locator(".vc-taught .big").inner_text())
        [model] = teach_models.ModelShelf(served.state / "models").list(next((served.state / "models").iterdir()).name)
        labels = ("jumping, <b>jack</b>", "walking")
        assert model.labels == labels
        facts = json.loads((model.folder / "model.json").read_text())
        assert (facts["architecture"], facts["epochs"], facts["held_out"]) == ("mini", 1, 2)
        assert page.locator(".vc-taught code").inner_text() == f"vidcam annotate clip.mp4 --model {model.short_name}"
        for link in page.locator(".vc-taught .files a").all():
            answer = page.request.get(served.address + str(link.get_attribute("href")))
            assert answer.status == 200
            assert str(served.state) not in answer.text()
        # it is taken home, and works there
        with page.expect_download() as saved:
            page.get_by_role("button", name="Download (.zip)").click()
        saved.value.save_as(tmp_path / "model.zip")
        assert saved.value.suggested_filename == f"{model.short_name}.zip"
        with zipfile.ZipFile(tmp_path / "model.zip") as archive:
            archive.extractall(tmp_path)
        taken = tmp_path / model.short_name
        assert sorted(path.name for path in taken.iterdir()) == ["model.json", "model.safetensors", "report.json"]
        wanted = vidcam.explain(short["walking"], engine=vidcam.open_engine(str(taken)))
        # it answers a clip
        page.get_by_role("button", name="Use in Annotate").click()
        page.wait_for_function(f"document.querySelector('#model input').value.startsWith({json.dumps(model.short_name)})")
        page.locator("#annotate input[type=file]").set_input_files(short["walking"])
        page.wait_for_selector(".vc-stage[data-state=ready]")
        page.locator("#verdict input").uncheck()
        page.locator("#explain").click()
        page.wait_for_selector(".vc-answer .top li")
        names = [row.inner_text() for row in page.locator(".vc-answer .top .name").all()]
        assert names == [label for label, _ in wanted.top(2)]
        page.wait_for_selector("#job .vc-job[data-state=idle]", state="attached")
        [session] = served.desk.sessions
        analysis = session.results["annotate"].analysis
        np.testing.assert_allclose([p for _, p in analysis.top(2)], [p for _, p in wanted.top(2)], atol=1e-3)
        assert analysis.model.name == model.name  # not where it lies
        # it answers the camera
        page.get_by_role("tab", name="Teach").click()
        page.get_by_role("button", name="See it live").click()
        frame = page.frame_locator("#teach-live iframe")
        until(lambda: any(label in frame.locator("body").inner_text() for label in labels))
        assert frame.locator("#model").input_value() == model.short_name
        # the Live tab offers it too
        page.get_by_role("tab", name="Live").click()
        viewer = page.frame_locator("#live iframe")
        viewer.locator("#model-row").wait_for()
        assert viewer.locator("#model").input_value() == "mini"
        offered = viewer.locator("#model-names option").evaluate_all("all => all.map(o => o.value)")
        assert model.short_name in offered
        viewer.locator("#model").fill(model.short_name)
        viewer.locator("#model").press("Enter")
        until(lambda: any(label in viewer.locator("#top").inner_text() for label in labels))
        page.get_by_role("tab", name="Teach").click()
        # it is deleted
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Delete", exact=True).click()
        page.wait_for_selector("#taught-models", state="hidden")
        assert not model.folder.exists()
        page.wait_for_selector("#teach-live iframe", state="detached")
        # and no longer chosen elsewhere
        page.get_by_role("tab", name="Annotate").click()
        page.wait_for_function("document.querySelector('#model input').value.startsWith('mini ')")
        page.locator(".vc-answer .stale", has_text=model.short_name).wait_for()


def test_a_series_of_clips_is_recorded_hands_free_until_stop(browser, served) -> None:
    scripts = components._script("bring")
    with pages.opened(browser, f"{served.address}media/none/none", still=True, excused=("404",), bypass_csp=True) as page:
        page.evaluate(f"() => {{ {scripts} {CAMERA} }}")
        page.get_by_label("Hands-free").check()
        page.get_by_role("button", name="Start").click()
        assert page.locator(".num").inner_text() == "Clip in 3 s"
        pages.pass_time(page, 2.5)
        assert page.evaluate("said") == ["opened"]
        pages.pass_time(page, 1)
        assert page.evaluate("said") == ["opened", "start"]
        pages.pass_time(page, 7)  # the clip of 4 s, and 3 s to get ready for the next
        assert page.evaluate("[said, files]") == [["opened", "start", "stop", "start"], ["recording.webm"]]
        page.get_by_role("button", name="Stop").click()  # what was begun is not used, and the camera stays open
        pages.pass_time(page, 20)
        assert page.evaluate("[said.slice(4), files]") == [["stop"], ["recording.webm"]]
        page.get_by_label("Hands-free").uncheck()
        page.get_by_role("button", name="Start").click()
        page.get_by_role("button", name="Stop and use it").click()
        assert page.evaluate("[said.slice(5), files.length]") == [["start", "stop"], 2]
        page.evaluate("document.querySelector('.recorder').parentElement.style.display = 'none'")  # another tab is looked at
        pages.pass_time(page, 1)
        assert page.evaluate("said.at(-1)") == "closed"
        assert page.locator(".recorder").count() == 0
