"""The docs site's sources: every public name and every page has its place, and tutorials become pages faithfully."""

from __future__ import annotations

import base64
import re
import sys
from pathlib import Path

import pytest
import yaml

import vidcam
from vidcam.models import custom_facts
from vidcam.models.calling import CALL_FACTS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
TUTORIALS = sorted((DOCS / "tutorials").glob("*.py"))
MADE = {"reference/commands.md", *(f"tutorials/{source.stem}.md" for source in TUTORIALS)}
"""Pages that are made at build time."""

MINUTES, WORDS_A_MINUTE = 10, 120
"""How long a tutorial may take to read, code included."""


def pages_of(entry: object) -> list[str]:
    """Return the pages of a part of the navigation, in order."""
    if isinstance(entry, str):
        return [entry]
    parts = entry.values() if isinstance(entry, dict) else entry
    return [page for part in parts for page in pages_of(part)]


def test_reference_has_every_public_name_once() -> None:
    text = "".join(page.read_text("utf-8") for page in sorted((DOCS / "reference").glob("*.md")))
    assert sorted(re.findall(r"^::: vidcam\.(\w+)$", text, re.MULTILINE)) == sorted(vidcam.__all__)


def test_navigation_has_every_page_once() -> None:
    pages = pages_of(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"])
    written = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md") if "node_modules" not in page.parts}
    assert sorted(pages) == sorted(written | MADE)


def test_readme_links_to_existing_pages() -> None:
    links = re.findall(r"\]\((docs/[^)#]+)", (ROOT / "README.md").read_text("utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_page_lists_every_fact_of_a_network() -> None:
    table = (DOCS / "extending.md").read_text("utf-8").partition("| fact |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`.+?) \|.*\| ([^|]+) \|$", table, re.MULTILINE)
    listed = {name: option for names, option in rows for name in re.findall(r"`(\w+)`", names)}
    assert set(listed) == {*custom_facts.DEFAULTS, *CALL_FACTS}
    assert {name for name, option in listed.items() if option.startswith("yes")} == {*custom_facts.NUMBERS, *custom_facts.WORDS}


def test_page_lists_every_environment_variable() -> None:
    sources = [path for path in (ROOT / "vidcam").rglob("*.py") if path.name != "command.py"]  # it sets those of --run
    used = {name for path in sources for name in re.findall(r"\bVIDCAM_[A-Z_]+\b", path.read_text("utf-8"))}
    page = (DOCS / "install.md").read_text("utf-8")
    assert sorted(re.findall(r"^\| `(VIDCAM_\w+)", page, re.MULTILINE)) == sorted(used)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page on the site: hyphens that follow each other become one, other than on GitHub."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {
        re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title.encode("ascii", "ignore").decode()).strip().lower())
        for title in titles
    }


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_links_lead_to_headings(page: Path) -> None:
    links = re.findall(r"\]\((\w+\.md)?#([^)]+)\)", page.read_text("utf-8"))
    assert [link for link in links if link[1] not in anchors(DOCS / (link[0] or page.name))] == []


@pytest.mark.parametrize("source", TUTORIALS, ids=lambda source: source.stem)
def test_tutorial_is_short_and_only_uses_sample_clips(source: Path) -> None:
    text = source.read_text("utf-8")
    assert len(re.findall(r"\w+", text.partition("# %% [markdown]")[2])) < MINUTES * WORDS_A_MINUTE
    for clip in re.findall(r"clips/(\w+\.mp4)", text):
        assert clip == "broken.mp4" or (ROOT / "clips" / clip).is_file(), clip


@pytest.fixture
def tutorials(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("jupytext", reason="the docs extra is not installed: pip install -e '.[docs]'")
    pytest.importorskip("nbclient", reason="the docs extra is not installed: pip install -e '.[docs]'")
    monkeypatch.syspath_prepend(str(DOCS / "tools"))
    monkeypatch.delitem(sys.modules, "tutorials", raising=False)
    import tutorials

    return tutorials


def test_notebook_becomes_a_page_with_its_outputs(tutorials, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    from nbformat import v4

    player = '<p>walking</p><iframe title="The video" srcdoc="&lt;b&gt;&quot;why&quot;&lt;/b&gt;"></iframe>'
    picture = base64.b64encode(b"pixels").decode()
    cells = [
        v4.new_markdown_cell("# A title\n\nWords."),
        v4.new_code_cell("%%bash\nls", outputs=[v4.new_output("stream", text="0 %\r50 %\r100 %\ndone\n")]),
        v4.new_code_cell("show", metadata={"alt": "A <person>"}, outputs=[v4.new_output("display_data", {"image/png": picture})]),
        v4.new_code_cell("play", outputs=[v4.new_output("display_data", {"text/html": player, "text/plain": "no"})]),
    ]
    table = pandas.DataFrame({"label": ["walking"]})._repr_html_()
    cells.append(v4.new_code_cell("table", outputs=[v4.new_output("execute_result", {"text/html": table})]))
    page = tutorials.to_markdown(v4.new_notebook(cells=cells), name="it", folder=tmp_path)
    assert page.startswith("# A title\n\n[Notebook](it.ipynb)")
    assert "```sh\nls\n```\n\n``` { .text .no-copy .output }\n100 %\ndone\n```" in page
    assert "![A <person>](it_files/1.png){ .output }" in page
    assert (tmp_path / "it_files" / "1.png").read_bytes() == b"pixels"
    assert '<iframe title="The video" src="it_files/2.html"></iframe>' in page
    assert (tmp_path / "it_files" / "2.html").read_text() == '<b>"why"</b>'
    assert "no" not in page.partition("```python\nplay")[2]
    assert re.search(r"<table>\s.*<td>walking</td>", page, re.DOTALL)
    assert "<style" not in page


def test_tutorial_with_a_failing_command_stops_the_build(tutorials, tmp_path: Path) -> None:
    pytest.importorskip("ipykernel", reason="the docs extra is not installed: pip install -e '.[docs]'")
    from nbclient.exceptions import CellExecutionError

    source = tmp_path / "bad.py"
    source.write_text('# %% [markdown]\n# # Bad\n\n# %% language="bash"\n# ls missing\n')
    with pytest.raises(CellExecutionError, match="missing"):
        tutorials.Tutorial(source, ROOT / "clips").make(tmp_path / "out")
    assert not (tmp_path / "out" / "tutorials" / "bad.md").exists()
