"""Repeating a run: what the JSON report keeps of it, and ``vidcam annotate --like``."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT
from support.command import exit_code
from support.media import write_clip

import vidcam
from vidcam.analysis import _typed_command, versions
from vidcam.cli.like import Recorded, read_recorded
from vidcam.errors import InputError, UsageError
from vidcam.io.source import open_source

WEIGHTS = Path(vidcam.__file__).parent / "models" / "shipped" / "mini" / "model.safetensors"
CHOSEN = (
    *(
        "--model",
        "mini",
        "--method",
        "gradcam++",
        "--class",
        "clapping",
        "--class",
        "boxing",
        "--versus",
        "walking",
        "--hop",
        "0.3",
    ),
    *("--smooth", "0.1", "--smoothing", "exponential", "--crops", "cover", "--tail", "hold", "--start", "0.2", "--end", "1.9"),
    *(
        "--style",
        "contour",
        "--threshold",
        "0.25",
        "--opacity",
        "0.4",
        "--signed",
        "--panel",
        "over",
        "--seed",
        "3",
        "--engine",
        "torch",
    ),
)
VARIES = {"command", "outputs", "timings_s"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip and the report of a run in which nearly everything was chosen."""
    folder = tmp_path_factory.mktemp("run")
    write_clip(folder / "clip.mp4", frames=60)
    words = ("-o", folder / "why.html", "--json", folder / "why.json", *CHOSEN)
    assert exit_code("annotate", folder / "clip.mp4", *words) == 0
    return folder


def altered(run: Path, folder: Path, **changes: object) -> Path:
    """Write the report with other values and return its path; ``model__name=`` changes a key of ``model``."""
    report = json.loads((run / "why.json").read_text())
    for key, value in changes.items():
        outer, _, inner = key.partition("__")
        report[outer] = {**report[outer], inner: value} if inner else value
    (folder / "altered.json").write_text(json.dumps(report))
    return folder / "altered.json"


def test_report_has_the_checksum_of_the_input_and_the_command(run: Path) -> None:
    report = json.loads((run / "why.json").read_text())
    assert report["input"]["sha256"] == hashlib.sha256((run / "clip.mp4").read_bytes()).hexdigest()
    assert report["model"]["weights_sha256"] == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert report["command"][:3] == ["vidcam", "annotate", str(run / "clip.mp4")]
    assert report["command"][-len(CHOSEN) :] == list(CHOSEN)
    assert report["look"] == {"style": "contour", "opacity": 0.4, "signed": True, "panel": "over", "threshold": 0.25}


def test_run_like_another_gives_the_same_report(run: Path, tmp_path: Path) -> None:
    words = ("-o", tmp_path / "again.html", "--json", tmp_path / "again.json", "--like", run / "why.json")
    assert exit_code("annotate", run / "clip.mp4", *words) == 0
    first, again = (json.loads(path.read_text()) for path in (run / "why.json", tmp_path / "again.json"))
    assert {k: v for k, v in again.items() if k not in VARIES} == {k: v for k, v in first.items() if k not in VARIES}


def test_typed_options_win_over_those_of_the_report(run: Path, tmp_path: Path) -> None:
    words = (
        "--like",
        run / "why.json",
        "--method",
        "cam",
        "--class",
        "walking",
        "--seed",
        "4",
        "--versus",
        "boxing",
        "--end",
        "1.2",
    )
    assert exit_code("annotate", run / "clip.mp4", "-o", tmp_path / "o.html", "--json", tmp_path / "o.json", *words) == 0
    report = json.loads((tmp_path / "o.json").read_text())
    assert (report["method"], report["seed"], report["versus"]) == ("cam", 4, "boxing")
    assert report["settings"]["classes"] == ["walking"]
    assert (report["settings"]["end_s"], report["settings"]["start_s"], report["settings"]["smooth_s"]) == (1.2, 0.2, 0.1)


def test_other_weights_are_an_error_unless_they_are_named(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    like = altered(run, tmp_path, model__weights_sha256="a" * 64)
    words = (run / "clip.mp4", "-o", tmp_path / "o.html", "--like", like)
    assert exit_code("annotate", *words) == 2
    assert "was made with other weights of mini (SHA-256 aaaaaaaaaaaa…, and here" in capsys.readouterr().err
    assert not (tmp_path / "o.html").exists()
    said: list[str] = []
    recorded = read_recorded(like)
    engine = SimpleNamespace(weights_sha256="b" * 64, spec=SimpleNamespace(target_layer="blocks"))
    recorded.check(engine, weights_named=True, say=said.append)
    [sentence] = said
    assert sentence.startswith("warning: ")
    assert sentence.endswith("with other weights of mini (SHA-256 aaaaaaaaaaaa…, and here bbbbbbbbbbbb…)")


def test_other_versions_are_a_warning_and_another_layer_an_error(run: Path, tmp_path: Path) -> None:
    now = versions()
    recorded = read_recorded(altered(run, tmp_path, versions={**now, "vidcam": "0.0.1", "ffmpeg": "9"}))
    engine = SimpleNamespace(
        weights_sha256=recorded.report["model"]["weights_sha256"], spec=SimpleNamespace(target_layer="blocks")
    )
    said: list[str] = []
    recorded.check(engine, weights_named=False, say=said.append)
    where = f"warning: {tmp_path / 'altered.json'} was made with"
    assert said == [f"{where} vidcam 0.0.1 (here {now['vidcam']}), ffmpeg 9 (here none): figures may differ"]
    engine.spec.target_layer = "fc"
    with pytest.raises(UsageError, match="explains the layer blocks, and this run fc: name one with --layer"):
        recorded.check(engine, weights_named=False, say=said.append)


@pytest.mark.parametrize(
    "name", ["my_net.py:build", "package.nets:build", "net.onnx", "folder/net.xml", "C:\\nets\\net.py:build"]
)
def test_model_of_ones_own_is_not_opened_because_a_report_names_it(
    name: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    like = altered(run, tmp_path, model__name=name)
    assert exit_code("annotate", run / "clip.mp4", "-o", tmp_path / "o.html", "--like", like) == 2
    assert (
        f"with a model of your own, {name}, which is opened only if you name it again: --model {name}" in capsys.readouterr().err
    )
    assert (
        exit_code("annotate", tmp_path / "none.mp4", "--like", like, "--model", "mini") == 1
    )  # it goes on, and misses the input


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hf:some/net", {"model": "hf:some/net", "frame_interval": 0.15}),
        ("trained/folder", {"model": "trained/folder"}),
        ("x3d_s", {"model": "x3d_s", "layer": "blocks"}),
    ],
)
def test_other_models_are_repeated_by_name(name: str, options: dict[str, object], run: Path, tmp_path: Path) -> None:
    repeated = read_recorded(altered(run, tmp_path, model__name=name)).options()
    assert {key: value for key, value in repeated.items() if key in ("model", "frame_interval", "layer")} == options


def test_file_that_is_no_report_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "text.json").write_text("{")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "other.json").write_text('{"schema_version": 1, "model": {}}')
    (tmp_path / "deep.json").write_text("[" * 100_000)
    refused = [tmp_path / name for name in ("text.json", "list.json", "other.json", "deep.json")]
    for key, value in (("model__name", None), ("settings", []), ("look", None), ("engine", None)):
        refused.append(altered(run, tmp_path, **{key: value}).rename(tmp_path / f"{key}.json"))
    for path in refused:
        with pytest.raises(UsageError, match="is no JSON report of vidcam annotate: name a file that its option --json wrote"):
            read_recorded(path)
    with pytest.raises(UsageError, match="written by a later vidcam"):
        read_recorded(altered(run, tmp_path, schema_version=2))
    with pytest.raises(InputError, match=r"--like cannot read .*none\.json"):
        read_recorded(tmp_path / "none.json")


def test_report_of_version_0_1_without_a_look_is_repeated(run: Path) -> None:
    report = json.loads((run / "why.json").read_text())
    del report["look"], report["command"], report["input"]["sha256"]
    options = Recorded(Path("old.json"), report).options()
    assert "style" not in options
    assert options["hop"] == 0.3


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("/usr/bin/vidcam", "annotate", "a.mp4"), ("vidcam", "annotate", "a.mp4")),
        (("/lib/vidcam/__main__.py", "evaluate", "a.mp4"), ("vidcam", "evaluate", "a.mp4")),
        (("/usr/bin/vidcam", "app", "--auth", "me:secret"), None),
        (("/usr/bin/vidcam", "live"), None),
        (("/usr/bin/jupyter", "annotate"), None),
        (("/lib/other/__main__.py", "annotate"), None),
        (("/usr/bin/vidcam",), None),
        ((), None),
    ],
)
def test_command_is_that_of_vidcam_and_holds_no_password(
    words: tuple[str, ...], command: tuple[str, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", list(words))
    assert _typed_command() == command


def test_only_a_file_of_this_machine_has_a_checksum(tmp_path: Path) -> None:
    clip = ROOT / "clips" / "falling.mp4"
    with open_source(clip) as source:
        assert source.sha256 == hashlib.sha256(clip.read_bytes()).hexdigest()
    with open_source(np.zeros((4, 8, 8, 3), np.uint8), fps=10) as source:
        assert source.sha256 is None
