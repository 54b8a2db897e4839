"""The table of models: names, registered models, and models of installed packages."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.tiny_nets import spec

import vidcam.models
from vidcam.errors import UnknownNameError, UsageError
from vidcam.models import table
from vidcam.models.loading import resolve_model
from vidcam.models.table import get_spec, list_models, list_specs, register_model

PACKAGE = """
from support.tiny_nets import spec

ONE = spec(name="theirs_one")
MORE = (spec(name="theirs_two"), spec(name="theirs_three"))
TAKEN = spec(name="mini")
TEXT = "resnet"
"""


@pytest.fixture
def fresh_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the test a table of its own that has not looked for installed packages yet."""
    monkeypatch.setattr(table, "_SPECS", dict(table._SPECS))
    monkeypatch.setattr(table._installed, "_loaded", False)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that installs a package with these entry points."""
    monkeypatch.syspath_prepend(tmp_path)

    def install_package(**entries: str) -> None:
        (tmp_path / "video_nets.py").write_text(PACKAGE)
        (tmp_path / "broken_nets.py").write_text("raise RuntimeError('no such GPU')\n")
        facts = tmp_path / "video_nets-1.0.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: video-nets\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in entries.items()]
        (facts / "entry_points.txt").write_text("\n".join(["[vidcam.models]", *lines, ""]))

    yield install_package
    for module in ("video_nets", "broken_nets"):
        sys.modules.pop(module, None)


def test_table_is_read_without_importing_torch() -> None:
    code = "import sys, vidcam.models; vidcam.models.list_models(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_list_models_gives_each_name_once_with_mini_first() -> None:
    names = vidcam.models.list_models()
    assert names[0] == "mini"
    assert len(set(names)) == len(names) == len(list_specs())
    assert {"r3d_18", "x3d_s", "movinet_a0"} <= set(names)


def test_unknown_name_gets_the_nearest_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown model 'r3d18': did you mean 'r3d_18'"):
        get_spec("r3d18")


def test_name_that_is_taken_is_refused() -> None:
    with pytest.raises(UsageError, match="'r3d_18' is registered already"):
        register_model(get_spec("r3d_18"))


def test_registered_model_is_found_and_listed(fresh_table: None) -> None:
    mine = vidcam.models.register_model(replace(spec(), name="mine"))
    assert get_spec("mine") is mine
    assert list_models()[-1] == "mine"


def test_models_of_an_installed_package_are_found_by_name(fresh_table: None, install) -> None:
    install(one="video_nets:ONE", more="video_nets:MORE")
    get_spec("mini")
    assert "video_nets" not in sys.modules  # a built-in name loads no package
    assert get_spec("theirs_two").title == "Tiny"
    assert list_models()[-3:] == ("theirs_one", "theirs_two", "theirs_three")
    assert get_spec("theirs_one").is_custom


def test_broken_entry_points_are_left_out_with_a_sentence(fresh_table: None, install, caplog: pytest.LogCaptureFixture) -> None:
    install(
        broken="broken_nets:NETS",
        missing="video_nets:NOTHING",
        text="video_nets:TEXT",
        taken="video_nets:TAKEN",
        one="video_nets:ONE",
    )
    with caplog.at_level(logging.WARNING, "vidcam.models"):
        assert list_models()[-1] == "theirs_one"
    reasons = {record.args[1]: record.getMessage() for record in caplog.records}
    assert len(reasons) == 4
    start = "the models of the package video-nets"
    assert reasons["broken_nets:NETS"] == f"{start} (broken_nets:NETS) are left out: no such GPU"
    assert "has no attribute 'NOTHING'" in reasons["video_nets:NOTHING"]
    assert "it must be a ModelSpec or a tuple of them, got a str" in reasons["video_nets:TEXT"]
    assert "a model named 'mini' is registered already" in reasons["video_nets:TAKEN"]
    assert all(record.exc_info is None for record in caplog.records)
    with pytest.raises(UnknownNameError, match="unknown model 'theirs_four': did you mean"):
        resolve_model("theirs_four")
    assert len(caplog.records) == 4  # each is said once
