"""The package as it is installed: its extras, what it contains, and what it says if an extra is missing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from support.command import exit_code
from support.media import write_clip

import vidcam
from benchmarks.install import TRIALS
from vidcam.io.extras import EXTRAS, MissingExtraError, has_extra, require_extra

NOT_INSTALLED = {"rerun": "rerun-sdk"}
"""The package of a module that the tests do without, if it has another name."""

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

WITHOUT = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
sys.modules.update(dict.fromkeys({blocked}))
"""


def requirements(extra: str) -> set[str]:
    """Return the names of the packages that an extra of pyproject.toml brings, through other extras too."""
    names = set()
    for line in PROJECT["optional-dependencies"][extra]:
        requirement = Requirement(line)
        if requirement.name == "vidcam":
            names |= {name for other in requirement.extras for name in requirements(other)}
        else:
            names.add(requirement.name)
    return names


@pytest.fixture
def no_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the packages of all extras from this process."""
    for name in {name for names in EXTRAS.values() for name in names}:
        monkeypatch.setitem(sys.modules, name, None)


def test_table_of_extras_is_that_of_the_project() -> None:
    named = {"rerun": ["rerun-sdk"], **packages_distributions()}  # Rerun may be missing, and has another name as a package
    for extra, modules in EXTRAS.items():
        brought = {Requirement(name).name.lower().replace("_", "-") for name in requirements(extra)}
        expected = {named.get(m, [NOT_INSTALLED.get(m, m)])[0].lower().replace("_", "-") for m in modules}
        assert expected == brought, extra
    assert requirements("all") == {name for extra in EXTRAS for name in requirements(extra)}
    assert {*PROJECT["optional-dependencies"]} - {"dev", "docs"} == {*EXTRAS, "all"}


def test_no_range_allows_the_pair_that_does_not_import() -> None:
    ranges = {r.name: r.specifier for r in map(Requirement, PROJECT["dependencies"])}
    assert not ranges["torch"].contains("2.13.0+cpu")
    assert not ranges["torchvision"].contains("0.28.0")
    assert ranges["torch"].contains("2.12.1")
    assert ranges["torch"].contains("2.14.1")
    assert ranges["torchvision"].contains("0.29.1")


def test_require_extra_names_what_is_missing_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert not has_extra("app")
    with pytest.raises(MissingExtraError, match=r"^vidcam app needs the package gradio: pip install 'vidcam\[app\]'$"):
        require_extra("app", "vidcam app")
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(MissingExtraError, match="needs the packages gradio, httpx: "):
        require_extra("app", "vidcam app")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    require_extra("live", "nothing") if has_extra("live") else None


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (("app",), "app"),
        (("live", "clip.mp4"), "live"),
        (("compare", "clip.mp4", "--model", "mini"), "charts"),
        (("evaluate", "clip.mp4", "--model", "mini", "--report", "x.html"), "charts"),
        (("benchmark", "--model", "mini", "--report", "x.html"), "charts"),
        (("annotate", "clip.mp4", "--model", "hf:some/thing"), "hf"),
        (("train", "folder", "-o", "mine"), "train"),
    ],
)
@pytest.mark.usefixtures("no_extras")
def test_command_without_its_extra_says_what_to_install(
    words: tuple[str, ...], extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    write_clip(tmp_path / "clip.mp4", frames=4)
    assert exit_code(*words) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.endswith(f"pip install 'vidcam[{extra}]'")


def test_annotate_needs_no_extra(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", frames=20)
    blocked = sorted({name for names in EXTRAS.values() for name in names})
    (tmp_path / "sitecustomize.py").write_text(WITHOUT.format(blocked=blocked))
    paths = os.pathsep.join([str(tmp_path), str(Path(vidcam.__file__).parents[1])])
    words = ("annotate", "clip.mp4", "-o", "why.html", "--json", "why.json", "--tubes", "why.csv", "--model", "mini")
    command = [sys.executable, "-m", "vidcam", *words]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "why.json").read_text())["model"]["name"] == "mini"


def test_documented_extras_are_those_of_the_project() -> None:
    page = (ROOT / "docs" / "install.md").read_text()
    assert set(re.findall(r"^\| `vidcam\[(\w+)\]`", page, re.MULTILINE)) == {*EXTRAS, "all"}
    assert set(TRIALS) == set(EXTRAS)


def test_wheel_and_sdist_hold_everything_that_is_needed(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="needs hatchling, of the extra dev")
    words = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path), "-t", "wheel"]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.getinfo(name).file_size for name in archive.namelist()}
        metadata = archive.read(next(name for name in packed if name.endswith("METADATA"))).decode()
    ours = {p.relative_to(ROOT).as_posix(): p for p in (ROOT / "vidcam").rglob("*") if p.is_file() and p.suffix != ".pyc"}
    assert {name: path.stat().st_size for name, path in ours.items()} == {n: s for n, s in packed.items() if n in ours}
    assert {Path(n).name for n in packed if "/studio/clips/" in n} >= {p.name for p in (ROOT / "clips").glob("*.mp4")}
    subprocess.run([*words[:-1], "sdist"], cwd=ROOT, check=True, capture_output=True)
    [sdist] = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        sources = {name.partition("/")[2] for name in archive.getnames()}
    assert set(ours) | {"README.md", "pyproject.toml", "docs/install.md", "tests/conftest.py", "clips/falling.mp4"} <= sources
    assert not re.search(r"^(License|Project-URL|Home-page)", metadata, re.MULTILINE)  # nothing is invented
