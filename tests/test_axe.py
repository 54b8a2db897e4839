"""axe-core finds nothing on any page: those of the app, the live viewer in it, and the reports; light, dark and on a phone.

axe-core (https://github.com/dequelabs/axe-core) checks pages by rules for accessibility: contrast, names, landmarks, order.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from support import page as pages
from support import planted
from support.hand import Hand
from support.media import numbered, write_clip

from vidcam import annotation
from vidcam.annotation import Outputs
from vidcam.engine import open_engine
from vidcam.evaluation import compare, video
from vidcam.evaluation import folder as inspection
from vidcam.evaluation.compare_models import compare_models
from vidcam.io.source import open_source
from vidcam.live.pipeline import MonitorConfig
from vidcam.settings import Settings
from vidcam.training.report import Answers, write_report
from vidcam.values import Frame
from vidcam.web.live import run
from vidcam.web.live.hub import Hub
from vidcam.web.serving import listen
from vidcam.web.studio import app

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.xdist_group("axe"),
    pytest.mark.filterwarnings(  # Gradio's own statistics, with pandas 3
        "ignore:'future.no_silent_downcasting' is deprecated", "ignore:The copy keyword is deprecated"
    ),
]
ROOT = Path(__file__).resolve().parents[1]
AXE = ROOT / "docs" / "live-demo" / "node_modules" / "axe-core" / "axe.min.js"
RUN = """async () => {
    const { violations } = await axe.run(document, { resultTypes: ["violations"], preload: false, iframes: false });
    const words = ({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary.slice(0, 300)}`;
    return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(words).join("  ")}`);
}"""
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
LOOKS: dict[str, tuple[Any, dict[str, int]]] = {
    "light": ("light", DESKTOP),
    "dark": ("dark", DESKTOP),
    "phone": ("light", PHONE),
}
STILL = """() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(`*, ::before, ::after { transition: none !important; animation-duration: 0s !important }
        .sticky { position: static !important }`);
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}"""
"""Has nothing change its colours little by little, or lie over what scrolls: axe would take its colour for the ground."""

SETTLED = """!document.querySelector("gradio-app")
    || document.body.classList.contains("dark") === matchMedia("(prefers-color-scheme: dark)").matches"""
"""Whether Gradio, which follows the scheme by a script, has done so."""

EXCUSED = ("willReadFrequently", "blob:", "data:", "file:")


@pytest.fixture(scope="module")
def axe() -> str:
    """The script of axe-core."""
    if not AXE.is_file():
        pytest.skip("needs axe-core: npm ci --ignore-scripts --prefix docs/live-demo")
    return AXE.read_text("utf-8")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video that is soon explained: jumping jacks, small, of 1.8 seconds."""
    with open_source(ROOT / "clips" / "jumping_jack.mp4") as source:
        pictures = [frame.image for frame, _ in zip(source.frames(), range(45), strict=False)]
    small = [cv2.resize(image, (320, 180), interpolation=cv2.INTER_AREA) for image in pictures]
    return write_clip(tmp_path_factory.mktemp("clips") / "short.mp4", frames=45, fps=25, picture=lambda i: small[i])


@pytest.fixture(scope="module")
def reports(axe: str, short: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The HTML page of each kind of report, by its kind."""
    root = tmp_path_factory.mktemp("reports")
    engine, made = open_engine("mini"), {kind: root / f"{kind}.html" for kind in ("video", "methods", "models", "test", "folder")}
    annotation.annotate(short, Outputs(reports={"html": made["video"]}), engine=engine)
    compare.compare(short, Outputs(reports={"html": made["methods"]}), engine=engine, methods=("cam", "gradcam++"))
    compare_models(short, Outputs(reports={"html": made["models"]}), engines=[engine, engine])
    video.evaluate(short, engine=engine, settings=Settings(), windows=1, imputers=("blur",)).write_html(made["test"])
    for label in ("jumping jack", "walking"):  # one of them is a mistake
        (root / "videos" / label).mkdir(parents=True)
        shutil.copy(short, root / "videos" / label)
    inspection.inspect(root / "videos", engine=engine).write_html(made["folder"])
    logits = np.array([[3.0, -1.0], [-1.0, 2.0], [-2.0, 1.0], [2.0, 1.0]])
    history = [{"epoch": float(i), "loss": 1 / (i + 1), "accuracy": i / 4} for i in range(4)]
    for kind, truth in (("training", [0, 1, 0, 0]), ("training-of-several", [[1, 0], [0, 1], [1, 0], [1, 1]])):
        answers = Answers.of(logits, np.array(truth), np.arange(4), labels=("left", "right"), inside={})
        (root / kind).mkdir()
        write_report(
            root / kind, answers.labels, answers, temperature=1.2, ece=0.1, history=history, remarks=["a remark"], facts={}
        )
        made[kind] = root / kind / "report.html"
    return made


def assert_clean(page: Page, axe: str, name: str) -> None:
    """Fail with what axe finds on the page as it is now, and on the pages in it, in every look."""
    found = {}
    for frame in page.frames:
        frame.evaluate(STILL)
        frame.evaluate(axe)
    for look, (scheme, size) in LOOKS.items():
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size(size)  # type: ignore[arg-type]
        pages.wait(page, SETTLED)
        found[f"{name}, {look}"] = [words for frame in page.frames for words in frame.evaluate(RUN)]
    page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
    assert {where: words for where, words in found.items() if words} == {}


def test_axe_finds_what_is_wrong(browser: Browser, axe: str) -> None:
    page = browser.new_page()
    page.set_content("<html lang=en><title>x</title><main><h1>x</h1><img src='data:,'><p style='color:#999'>pale</p></main>")
    page.evaluate(axe)
    assert [words.partition(":")[0] for words in page.evaluate(RUN)] == ["color-contrast", "image-alt"]
    page.close()


@pytest.mark.parametrize("kind", ["video", "methods", "models", "test", "folder", "training", "training-of-several"])
def test_axe_finds_nothing_in_a_report(browser: Browser, axe: str, reports: dict[str, Path], kind: str) -> None:
    with pages.opened(browser, reports[kind].as_uri(), excused=EXCUSED) as page:
        if kind == "folder":
            page.get_by_role("button", name="Play it with the evidence").first.click()
        if page.locator("#player").count():
            page.evaluate("async () => { await document.getElementById('player').player.ready; }")
        assert_clean(page, axe, kind)


@pytest.fixture(scope="module")
def address(axe: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the app is served, with mini."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDCAM_STATE", str(tmp_path_factory.mktemp("state")))
        with app.served(app.Options(port=0, model="mini", showcase=False)) as address:
            yield address


def test_axe_finds_nothing_in_the_app(browser: Browser, axe: str, address: str, short: Path) -> None:
    with pages.opened(browser, address, excused=EXCUSED, permissions=["camera"]) as page:
        page.wait_for_selector(".example")
        assert_clean(page, axe, "start")
        page.locator("input[type=file]").first.set_input_files(short)
        page.wait_for_selector(".vc-stage[data-state=ready]")
        page.locator("#explain").click()
        page.wait_for_selector(".vc-stage[data-state=done]")
        page.wait_for_selector("#job .vc-job[data-state=idle]", state="attached")
        assert_clean(page, axe, "result")
        page.get_by_role("tab", name="Compare").click()
        page.locator("#compared .hint").wait_for()
        page.locator("#compare").click()
        page.frame_locator("#compared iframe").locator(".vp-tile").first.wait_for()
        assert_clean(page, axe, "compare")
        page.get_by_label("Two models").check()
        page.locator("#compare-other").wait_for()
        assert_clean(page, axe, "compare two models")
        page.get_by_role("tab", name="Models").click()
        page.wait_for_selector("#models tbody tr")
        assert_clean(page, axe, "models")
        page.get_by_role("tab", name="Teach").click()
        page.wait_for_selector(".vc-teach .action")
        assert_clean(page, axe, "teach")
        page.get_by_role("tab", name="Live").click()
        page.frame_locator("#live iframe").locator("#answer", has_text=re.compile(r"\w")).wait_for()
        assert_clean(page, axe, "live")


def test_axe_finds_nothing_on_pages_of_live_sources(browser: Browser, axe: str) -> None:
    engine = open_engine(f"{planted.__file__}:patches")
    frames = [Frame(numbered(i, (180, 240)), 0.1 * i, 0.1) for i in range(40)]
    settings, config = Settings(seconds_between_clip_starts=0.1), MonitorConfig(has_page=True)
    hands = [Hand(engine, frames, settings, config=config, name=name) for name in ("door", "yard")]
    said: list[str] = []
    plan = run.Plan(sources=(), port=0, say=said.append)
    with ExitStack() as stack:
        for hand in hands:
            stack.callback(hand.pipeline.close)
            hand.push(len(frames))
        listening = stack.enter_context(listen(plan.host, 0))
        stack.enter_context(run.serve(plan, Hub(*(hand.pipeline for hand in hands)), listening))
        page = stack.enter_context(pages.opened(browser, said[0].removeprefix("open "), excused=EXCUSED))
        pages.wait(page, "document.querySelectorAll('#events img').length === 2")
        assert_clean(page, axe, "all sources")
        page.locator(".event").first.click()
        pages.wait(page, "document.getElementById('event')?.open")
        assert_clean(page, axe, "event")
        page.get_by_role("button", name="Close").click()
        page.get_by_role("button", name="Draw a region").click()
        assert_clean(page, axe, "one source")
        page.keyboard.press("Space")
        page.locator("#held").wait_for()
        assert_clean(page, axe, "paused")
