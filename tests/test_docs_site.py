"""The built docs site: docs/build.sh names its folder in ``VIDCAM_SITE`` after it has built it."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import vidcam

pytestmark = pytest.mark.skipif(
    "VIDCAM_SITE" not in os.environ, reason="there is no site: docs/build.sh builds one and runs these tests on it"
)

SITE = Path(os.environ.get("VIDCAM_SITE", ""))
ROOT = Path(__file__).parent.parent
TUTORIALS = sorted(source.stem for source in (ROOT / "docs" / "tutorials").glob("*.py"))


class Page(HTMLParser):
    """What a page loads by itself, its anchors, its links and its pictures."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        if facts.get("id"):
            self.anchors.add(str(facts["id"]))
        if tag == "img":
            self.pictures.append(facts)
        if tag == "a" and facts.get("href"):
            self.links.append(str(facts["href"]))
        address = facts.get("href") if tag == "link" else facts.get("src") or facts.get("srcset")
        if address:
            self.loads.append(address)


@pytest.fixture(scope="module")
def pages() -> dict[str, Page]:
    paths = [path for path in sorted(SITE.rglob("*.html")) if not path.parent.name.endswith("_files")]
    return {path.relative_to(SITE).as_posix(): Page(path) for path in paths}


def test_every_public_name_is_in_the_reference(pages: dict[str, Page]) -> None:
    anchors = {a for name, page in pages.items() if name.startswith("reference/") for a in page.anchors}
    assert {f"vidcam.{name}" for name in vidcam.__all__} <= anchors


def test_every_public_name_has_an_example_in_the_reference() -> None:
    text = "".join(path.read_text("utf-8") for path in sorted((SITE / "reference").glob("*.html")))
    entries = re.split(r'<h2 id="(vidcam\.\w+)"', text)
    missing = [name for name, entry in zip(entries[1::2], entries[2::2], strict=True) if ">&gt;&gt;&gt; <" not in entry]
    assert missing == []


def test_no_page_loads_anything_from_another_host(pages: dict[str, Page]) -> None:
    assert {a for page in pages.values() for a in page.loads if re.match(r"(https?:)?//", a)} == set()
    styles = "".join(path.read_text("utf-8") for path in SITE.rglob("*.css"))
    assert re.findall(r"url\([\"']?https?:[^)]*|@import[^;]*", styles) == []


def test_every_link_and_picture_of_a_page_exists(pages: dict[str, Page]) -> None:
    broken = [
        (name, address)
        for name, page in pages.items()
        if name != "404.html"  # it is shown in place of any page, so its links begin at the root
        for address in {*page.links, *page.loads}
        if not re.match(r"[a-z]+:|#", address) and not (SITE / name).parent.joinpath(address.partition("#")[0]).exists()
    ]
    assert broken == []


def test_docstrings_have_no_roles_left() -> None:
    text = "".join(path.read_text("utf-8") for path in sorted((SITE / "reference").glob("*.html")))
    assert re.findall(r":(?:class|func|mod|meth|data):.{40}", text) == []


@pytest.mark.parametrize("name", TUTORIALS)
def test_tutorial_shows_what_it_printed_and_drew(name: str, pages: dict[str, Page]) -> None:
    page = pages[f"tutorials/{name}.html"]
    shown = [a for a in page.loads if a.startswith(f"{name}_files/")]
    text = (SITE / "tutorials" / f"{name}.html").read_text("utf-8")
    assert shown or "<table" in text
    assert 'class="language-text no-copy output highlight"' in text or 'output"' in text
    assert "Traceback" not in text
    assert (SITE / "tutorials" / f"{name}.ipynb").is_file()


def test_every_picture_of_a_tutorial_has_words(pages: dict[str, Page]) -> None:
    assert [p["src"] for name in TUTORIALS for p in pages[f"tutorials/{name}.html"].pictures if not p.get("alt")] == []


def test_chooser_shows_every_method(pages: dict[str, Page]) -> None:
    text = (SITE / "chooser.html").read_text("utf-8")
    shown = re.findall(r"<figcaption><code>([^<]+)</code>", text)
    lacking = re.findall(r"<li><code>([^<]+)</code>: ", text)
    assert sorted(shown + lacking) == sorted(vidcam.list_methods())
    assert len(shown) > len(lacking) > 0


def test_first_page_invites_to_the_demo_if_it_is_there(pages: dict[str, Page]) -> None:
    assert ("demo/index.html" in pages["index.html"].links) == (SITE / "demo" / "index.html").is_file()
    assert "<!-- demo" not in (SITE / "index.html").read_text("utf-8")
