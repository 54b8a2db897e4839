"""The modules that a command loads: nothing heavy for help, and no torch if a compiled model is cached."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.media import write_clip

import vidcam

HEAVY = ("torch", "torchvision", "pytorchvideo", "gradio", "matplotlib", "openvino", "av", "cv2", "numpy")

RUN = """
import json, os, sys
from vidcam.cli.main import main
try:
    main()
finally:
    open(os.environ["MODULES"], "w").write(json.dumps(sorted(sys.modules)))
"""


NO_NETWORK = """
import socket
def refuse(*args, **more):
    raise OSError("this test has no network")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
"""


def command(folder: Path, *words: str) -> set[str]:
    """Return the modules that ``vidcam words...`` has loaded when it ends, without a network; the command must succeed."""
    modules = folder / "modules.json"
    (folder / "sitecustomize.py").write_text(NO_NETWORK)
    (folder / "home").mkdir(exist_ok=True)
    paths = os.pathsep.join([str(folder), str(Path(vidcam.__file__).parents[1])])
    places = {"PYTHONPATH": paths, "HOME": str(folder / "home"), "VIDCAM_CACHE": str(folder / "cache"), "MODULES": str(modules)}
    done = subprocess.run([sys.executable, "-c", RUN, *words], env=os.environ | places, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(modules.read_text()))


@pytest.mark.parametrize("words", [("--help",), *((name, "--help") for name in ("annotate", "live", "models", "train"))])
def test_help_loads_nothing_heavy(words: tuple[str, ...], tmp_path: Path) -> None:
    assert not command(tmp_path, *words) & set(HEAVY)


def test_annotate_uses_no_network_and_torch_only_to_compile(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=20)
    words = ("annotate", str(clip), "--model", "mini", "--overwrite", "-o", str(tmp_path / "why.mp4"))
    words += ("--json", str(tmp_path / "why.json"))
    first, second = command(tmp_path, *words), command(tmp_path, *words, "--verdict")
    assert "torch" in first
    assert not second & {"torch", "torchvision", "pytorchvideo", "gradio", "matplotlib", "openvino_telemetry"}
    report = json.loads((tmp_path / "why.json").read_text())
    assert (report["engine"], report["method"]) == ("openvino", "cam-spread")
    assert {"torch", "openvino"} <= set(report["versions"])  # known without importing them
    assert report["completeness_error"] < 1e-4
    assert len(list((tmp_path / "cache" / "compiled").iterdir())) == 1
    assert not (tmp_path / "home" / "intel").exists()  # where OpenVINO's converter notes whom it reports to
