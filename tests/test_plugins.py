"""Plugins: files of one's own, and packages that add to all tables; the code of docs/plugins.md is what is tested."""

from __future__ import annotations

import json
import logging
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from support.command import exit_code
from support.media import write_clip

import vidcam
from vidcam.batch.plan import Item
from vidcam.batch.tasks import Annotate
from vidcam.batch.worker import Recipe, Worker
from vidcam.errors import UnknownNameError, UsageError
from vidcam.io import plugins
from vidcam.live.actions import table as action_table
from vidcam.methods import lookup
from vidcam.models import table as model_table
from vidcam.reports import formats
from vidcam.web.studio import menus

PAGE = (ROOT / "docs" / "plugins.md").read_text("utf-8")
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture(autouse=True)
def fresh_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the test tables that have not looked for plugins yet, as a new process has them."""
    for module, rows in ((lookup, "_rows"), (model_table, "_SPECS"), (formats, "_formats"), (action_table, "_rows")):
        monkeypatch.setattr(module, rows, dict(getattr(module, rows)))
        monkeypatch.setattr(module._installed, "_loaded", False)
        monkeypatch.setattr(module._installed, "failures", {})
    monkeypatch.setattr(plugins, "_files", {})
    monkeypatch.setenv(plugins.VARIABLE, "")  # as add_file changes it


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install the package of the page into a folder of its own on sys.path, and return the function that changes a file of it."""
    site = tmp_path / "site"
    for name, text in FILES.items():
        if name.startswith("vidcam_example/"):
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            (site / name).write_text(text)
    groups = tomllib.loads(FILES["pyproject.toml"])["project"]["entry-points"]
    lines = [line for group, rows in groups.items() for line in (f"[{group}]", *(f"{k} = {v}" for k, v in rows.items()))]
    facts = site / "vidcam_example-0.1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: vidcam-example\nVersion: 0.1.0\n")
    (facts / "entry_points.txt").write_text("\n".join([*lines, ""]))
    monkeypatch.syspath_prepend(site)

    def change(name: str, text: str) -> None:
        (site / "vidcam_example" / name).write_text(text)

    yield change
    for name in [name for name in sys.modules if name.partition(".")[0] == "vidcam_example"]:
        del sys.modules[name]


@pytest.fixture
def plugin(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes a plugin file."""

    def write(text: str) -> Path:
        path = tmp_path / "my_plugin.py"
        path.write_text(text)
        return path

    return write


@pytest.mark.usefixtures("package")
def test_package_of_the_page_adds_to_every_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("methods", "--json", "--model", "mini") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["abscam"]["works"] == "yes"
    assert exit_code("models", "--json") == 0
    assert "example_net" in {row["name"] for row in json.loads(capsys.readouterr().out)}
    assert {"abscam"} <= set(vidcam.list_methods())
    assert {"example_net"} <= set(vidcam.list_models())
    assert "abscam" in {name for _, name in menus.method_choices("mini")}  # the app's menus
    assert "example_net" in str(menus.models_table())  # its weights are not here, so that it is in no menu
    assert formats.list_formats()[-1].name == "top"
    assert action_table.list_actions()["append"].build("falls.txt").path == "falls.txt"


@pytest.mark.usefixtures("package")
def test_method_and_format_of_a_package_explain_a_video(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", frames=20)
    words = ("--model", "mini", "--method", "abscam", "--json", tmp_path / "why.json", "--format", f"top={tmp_path / 'top.txt'}")
    assert exit_code("annotate", tmp_path / "clip.mp4", "-o", tmp_path / "why.html", *words) == 0
    report = json.loads((tmp_path / "why.json").read_text())
    assert (report["method"], report["settings"]["method_title"]) == ("abscam", "Strength without sign")
    best = report["summary"]["top"][0]
    assert (tmp_path / "top.txt").read_text().splitlines()[0] == f"{best['label']} {best['prob']:.3f}"


def test_broken_plugin_is_named_once_and_stops_nothing_else(package, caplog: pytest.LogCaptureFixture) -> None:
    package("methods.py", "import no_such_library\n")
    package("actions.py", "APPEND = 1\n")
    with caplog.at_level(logging.WARNING):
        assert exit_code("methods") == 0
        assert "example_net" in vidcam.list_models()
        assert list(action_table.list_actions()) == [row.name for row in action_table.ACTIONS]
        assert exit_code("methods") == 0
    first, second = caplog.messages
    assert first.startswith("the methods of the package vidcam-example (vidcam_example.methods:ABSCAM) are left out: No module")
    assert second.endswith("(vidcam_example.actions:APPEND) is left out: it must be an ActionSpec, got a int")


def test_plugin_file_adds_a_method_to_every_command(plugin, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = plugin(FILES["my_plugin.py"])
    assert exit_code("methods", "--json", "--plugin", path) == 0
    assert "poscam" in {row["name"] for row in json.loads(capsys.readouterr().out)}
    a, g = np.random.default_rng(0).standard_normal((2, 1, 2, 1, 1, 3))
    expected = [sum(max(g[0, c, 0, 0, x], 0) * a[0, c, 0, 0, x] for c in range(2)) for x in range(3)]
    np.testing.assert_allclose(lookup.get_method("poscam").function(a, g).ravel(), expected)
    assert exit_code("annotate", "no.mp4", "--plugin", path, "--plugin", path) == 1  # it runs once, and the command goes on
    assert "no.mp4" in capsys.readouterr().err


GIVEN = {"annotate": ("x",), "compare": ("x",), "evaluate": ("x",), "export": ("x", "-o", "x.xml")}


@pytest.mark.parametrize("command", [*GIVEN, "benchmark", "train", "live", "app", "models", "methods"])
def test_every_command_with_models_or_methods_takes_a_plugin(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(command, "--plugin", "absent.py", *GIVEN.get(command, ())) == 2
    assert "there is no file absent.py" in capsys.readouterr().err


def test_other_processes_run_the_plugin_files_of_the_variable(plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    path = plugin(FILES["my_plugin.py"])
    plugins.add_file(path)
    monkeypatch.setattr(lookup, "_rows", {row.name: row for row in lookup.METHODS})  # with which another process begins
    monkeypatch.setattr(plugins, "_files", {})
    assert lookup.get_method("poscam").title.startswith("Only gradients")


def test_failing_plugin_file_is_named_and_left_out(plugin, caplog: pytest.LogCaptureFixture) -> None:
    path = plugin("import vidcam\nvidcam.list_methods()\n1 / 0\n")  # it may ask for the tables while it runs
    with caplog.at_level(logging.WARNING):
        assert exit_code("methods", "--plugin", path) == 0
        assert exit_code("methods", "--plugin", path) == 0
    assert caplog.messages == [f"the plugin {path} is left out: ZeroDivisionError: division by zero"]
    with pytest.raises(UnknownNameError):
        lookup.get_method("poscam")


def test_plugin_file_that_is_named_as_a_model_too_runs_once(plugin) -> None:
    from vidcam.models.custom import make_network

    path = plugin("from torch import nn\nruns = globals().get('runs', 0) + 1\nbuild = lambda: nn.Linear(runs, 1)\n")
    plugins.add_file(path)
    first = make_network(f"{path}:build")
    path.write_text("build = None\n")
    assert make_network(f"{path}:build").in_features == first.in_features == 1


def test_plugin_that_is_no_python_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plugin.txt").write_text("")
    with pytest.raises(UsageError, match=r"plugin\.txt is no Python file"):
        plugins.add_file(tmp_path / "plugin.txt")


def test_worker_of_another_machine_runs_the_plugin_files_of_the_recipe(plugin, tmp_path: Path, monkeypatch) -> None:
    path = plugin(FILES["my_plugin.py"])
    plugins.add_file(path)
    recipe = Recipe(tmp_path, [{"model": "none"}], Annotate(vidcam.Settings(method="poscam")))
    assert list(recipe.plugins) == [path]
    monkeypatch.setattr(
        lookup, "_rows", {row.name: row for row in lookup.METHODS}
    )  # with which a machine without the variable begins
    monkeypatch.setattr(plugins, "_files", {})
    monkeypatch.delenv(plugins.VARIABLE)
    worker = Worker(recipe, 1)
    assert "unknown model 'none'" in worker.work(Item("none.mp4", "none", {})).sentence
    assert "poscam" in vidcam.list_methods()
    path.unlink()
    monkeypatch.setattr(plugins, "_files", {})
    assert f"there is no file {path}" in Worker(recipe, 1).work(Item("none.mp4", "none", {})).sentence
