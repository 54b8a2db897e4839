"""What a command loads before it does anything: nothing for help, and no torch where a compiled model is at hand."""

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
from vidcam.cli import main
try:
    main()
finally:
    open(os.environ["MODULES"], "w").write(json.dumps(sorted(sys.modules)))
"""


def command(folder: Path, *words: str) -> set[str]:
    """The modules that ``vidcam words...`` has loaded when it ends; the command must succeed."""
    modules = folder / "modules.json"
    environment = os.environ | {"PYTHONPATH": str(Path(vidcam.__file__).parents[1]), "MODULES": str(modules)}
    done = subprocess.run([sys.executable, "-c", RUN, *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(modules.read_text()))


@pytest.mark.parametrize("words", [("--help",), ("annotate", "--help"), ("live", "--help"), ("models", "--help")])
def test_help_loads_nothing_heavy(words: tuple[str, ...], tmp_path: Path) -> None:
    assert not command(tmp_path, *words) & set(HEAVY)


def test_annotate_needs_no_torch_once_its_model_is_compiled(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=60)
    words = ("annotate", str(clip), "--model", "mini", "--overwrite", "-o", str(tmp_path / "why.mp4"))
    words += ("--json", str(tmp_path / "why.json"), "--verdict")
    first, second = command(tmp_path, *words), command(tmp_path, *words)
    assert "torch" in first
    assert not second & {"torch", "torchvision", "pytorchvideo", "gradio", "matplotlib", "openvino_telemetry"}
    report = json.loads((tmp_path / "why.json").read_text())
    assert (report["engine"], report["method"]) == ("openvino", "cam")
    assert {"torch", "openvino"} <= set(report["versions"])  # known without importing them
    assert report["completeness_error"] < 1e-4
