"""The files around the package: container, workflows, citation, Space; they agree with the project and lead somewhere."""

from __future__ import annotations

import os
import re
import runpy
import tomllib
from types import SimpleNamespace

import pytest
from conftest import ROOT
from packaging.requirements import Requirement

from benchmarks.container import instructions

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCKERFILE = list(instructions((ROOT / "Dockerfile").read_text()))


def script(name: str) -> SimpleNamespace:
    """Return what a script defines that is not part of a package."""
    return SimpleNamespace(**runpy.run_path(str(ROOT / name)))


def test_no_page_names_a_licence_as_long_as_none_is_chosen() -> None:
    assert "license" not in PROJECT
    assert not list(ROOT.glob("LICEN[CS]E*"))
    assert "No licence has been chosen yet" in (ROOT / "README.md").read_text()
    assert "No licence has been chosen yet" in (ROOT / "docs" / "mini.md").read_text()
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "CITATION.cff", ROOT / "vidcam/models/mini.py"):
        assert not re.search(
            r"same licen[cs]e|licen[cs]e[^.\n]*\bas vidcam|^licen[cs]e:", page.read_text("utf-8"), re.I | re.M
        ), page


def test_links_and_pictures_of_the_root_pages_exist() -> None:
    assert list(script(".github/check_links.py").broken()) == []


def test_link_that_leads_nowhere_is_found(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = runpy.run_path(str(ROOT / ".github/check_links.py"))
    (tmp_path / "a.md").write_text("# One two\n[x](b.md) [y](#one-two) [z](#three) ![p](no.png) [w](https://example.com/x)\n")
    monkeypatch.setitem(pages["broken"].__globals__, "PAGES", [tmp_path / "a.md"])
    monkeypatch.setitem(pages["broken"].__globals__, "ROOT", tmp_path)
    assert [line.split()[1] for line in pages["broken"]()] == ["b.md", "#three", "no.png"]


def test_release_notes_are_the_part_of_the_changelog() -> None:
    notes = script(".github/release_notes.py").notes
    text = "# Changelog\n\n## Unreleased\n\n- new\n\n## 0.2.0 (2026)\n\n- two\n  more\n\n## 0.1.0\n\n- one\n"
    assert notes(text, "v0.2.0") == "- two\n  more"
    assert notes(text, "v0.1.0") == "- one"
    with pytest.raises(SystemExit, match=r"says nothing under `## 0\.3\.0`"):
        notes(text, "v0.3.0")


def test_version_is_one_everywhere() -> None:
    version = PROJECT["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert (ROOT / "apps/space/requirements.txt").read_text() == f"./vidcam-{version}-py3-none-any.whl[app]\n"


def test_image_has_the_torch_of_the_project_and_files_that_exist() -> None:
    [install] = [rest for word, rest in DOCKERFILE if word == "RUN" and "TORCH_INDEX" in rest]
    named = {str(Requirement(words)) for words in re.findall(r'"(torch[^"]*)"', install)}
    assert named == {str(Requirement(r)) for r in PROJECT["dependencies"] if r.startswith("torch")}
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [name for word, rest in DOCKERFILE if word == "COPY" and "--from" not in rest for name in rest.split()[:-1]]
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in allowed
    extras = next(rest for word, rest in DOCKERFILE if rest.startswith("EXTRAS="))
    assert set(extras.partition("=")[2].split(",")) <= set(PROJECT["optional-dependencies"])


def test_workflows_and_forms_can_be_read_and_name_files_that_exist() -> None:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    for path in (*(ROOT / ".github").rglob("*.yml"), ROOT / ".pre-commit-config.yaml", ROOT / "CITATION.cff"):
        text = path.read_text("utf-8")
        assert yaml.safe_load(text)
        for name in re.findall(r"(?:python3? |run: )(\.\w[\w./]+)", text):
            assert (ROOT / name).is_file(), (path, name)
        for module in re.findall(r"python -m (benchmarks\.\w+)", text):
            assert (ROOT / f"{module.replace('.', '/')}.py").is_file()


def test_space_serves_nobody_without_a_password() -> None:
    words = script("apps/space/app.py").words
    readme = (ROOT / "apps/space/README.md").read_text()
    assert words(readme, {}) == ["app", "--port", "7860"]
    assert words("---\nsdk: docker\napp_port: 8000\n---\n# x\n", {}) == ["app", "--port", "8000"]
    assert words("app_port: 8000\n", {}) == ["app", "--port", "7860"]  # that is no front matter
    with pytest.raises(SystemExit, match="VIDCAM_AUTH"):
        words(readme, {"SPACE_HOST": "me-vidcam.hf.space"})
    served = words(readme, {"SPACE_HOST": "me-vidcam.hf.space", "VIDCAM_AUTH": "me:secret"})
    assert served[3:] == ["--host", "0.0.0.0", "--name", "me-vidcam.hf.space", "--auth", "me:secret"]


@pytest.mark.xdist_group("together")
def test_tests_of_one_group_run_in_one_process(request: pytest.FixtureRequest) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:  # else what a group shares is made in every process, which takes minutes
        assert request.node.nodeid.endswith("@together")


@pytest.fixture(scope="module")
def shared() -> None:
    """Stands for what takes seconds to make."""


@pytest.mark.usefixtures("shared")
def test_tests_with_a_fixture_of_a_file_run_in_one_process(request: pytest.FixtureRequest) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@test_packaging_repository")
