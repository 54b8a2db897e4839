"""A report inside a page of somebody else: an iframe that opens at a moment and a class, and follows that page's links."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import page as pages
from support.serving import served
from support.waiting import until

from vidcam import annotation
from vidcam.annotation import Outputs
from vidcam.engine import open_engine

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs" / "page.md"
DRAWN = """() => Math.max(0, ...[...document.querySelectorAll("#player canvas")].map(canvas => {
    if (!canvas.width || !canvas.height) return 0;
    const bytes = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    let count = 0;
    for (let i = 3; i < bytes.length; i += 4) count += bytes[i] > 60;
    return count;
}))"""
"""The pixels of the canvas over which most is drawn."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    """A folder with a clip and the page that explains it, and the labels of the page."""
    folder = tmp_path_factory.mktemp("report")
    clip = shutil.copy(ROOT / "clips" / "three_actions.mp4", folder / "clip.mp4")
    analysis = annotation.annotate(clip, Outputs(reports={"html": folder / "why.html"}, embed=True), engine=open_engine("mini"))
    return folder, analysis.labels


def example() -> str:
    """The HTML that docs/page.md shows for somebody's own page."""
    (found,) = re.findall(r"```html\n(<iframe.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    return str(found)


def test_report_in_a_frame_opens_and_follows_links_of_its_page(
    browser: Browser, report: tuple[Path, tuple[str, ...]], tmp_path: Path
) -> None:
    folder, labels = report
    with served(folder) as theirs, served(tmp_path) as ours:
        head = '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>Own</title><h1>Own page</h1>'
        (tmp_path / "own.html").write_text(head + example().replace("why.html", f"{theirs}/why.html"), "utf-8")
        with pages.opened(browser, f"{ours}/own.html", excused=(theirs, ours, "willReadFrequently")) as page:
            frame: Any = page.wait_for_selector("iframe[name=why]").content_frame()

            def is_at(time: float, label: str) -> bool:
                shows = (
                    f"(p => Boolean(p) && Math.abs(p.state.frame - {time}) < 0.041 && p.state.chosen === {labels.index(label)})"
                )
                return bool(frame.evaluate(f"{shows}(document.getElementById('player')?.player)"))

            until(lambda: is_at(2.05, "waving one hand"))
            until(lambda: frame.evaluate(DRAWN) > 500)
            frame.evaluate("window.same = true")
            page.get_by_role("link", name="both arms").click()
            until(lambda: is_at(7.3, "raising both arms sideways"))
            assert frame.evaluate("window.same")  # the page in the frame was not loaded again
            assert page.url == f"{ours}/own.html"
            page.evaluate("history.back()")
            until(lambda: is_at(2.05, "waving one hand"))
