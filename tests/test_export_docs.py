"""The program of docs/export.md, run as it stands there, beside vidcam on the same clip."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vidcam
from vidcam.exporting import export_network
from vidcam.methods import core
from vidcam.methods.lookup import get_method
from vidcam.methods.receptive_field import layer_geometry
from vidcam.models.loading import load
from vidcam.sampling import frames_shown, spatial_crops
from vidcam.sampling import resize as resize_picture

pytest.importorskip("onnxruntime", reason="needs vidcam[export]")

ROOT = Path(__file__).resolve().parents[1]
CLIP = ROOT / "clips" / "jumping_jack.mp4"


@pytest.mark.parametrize("resize", [None, "fit"])
def test_program_of_the_docs_answers_as_vidcam_and_draws_its_evidence(resize: str | None, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "export.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "why.py").write_text(code, encoding="utf-8")
    model = load("mini")
    model = model if resize is None else replace(model, spec=replace(model.spec, resize=resize))
    export_network(model, tmp_path / "net.onnx")
    done = subprocess.run(
        [sys.executable, "why.py", "net.onnx", str(CLIP), "why.png"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    label, odds, logit, evidence, bias = re.fullmatch(
        r"(.*) ([\d.]+): logit (\S+) = evidence (\S+) \+ (\S+)\n", done.stdout
    ).groups()  # type: ignore[union-attr]
    assert float(evidence) + float(bias) == pytest.approx(float(logit), abs=2e-3)  # three digits are printed

    engine = vidcam.open_engine(str(tmp_path / "net.onnx"))
    with vidcam.open_source(CLIP) as source:
        frames = list(source.frames())
    spec = engine.spec
    times = np.array([f.time for f in frames])
    shown = frames_shown(times, times[0] + spec.seconds_between_frames * np.arange(spec.num_frames))
    (geometry,) = spatial_crops(frames[0].image.shape[:2], resize=spec.resize, crop=spec.crop, cover=False)
    clip = np.stack([geometry.cut(resize_picture(frames[i].image, geometry)) for i in shown])[None]
    logits = engine.predict(clip)[0]
    assert label == engine.labels[int(logits.argmax())]
    assert float(logit) == pytest.approx(float(logits.max()), abs=0.01 * float(np.ptp(logits)))  # OpenCV rounds its weights
    assert float(odds) == pytest.approx(float(engine.probabilities(logits).max()), abs=0.02)

    (found,) = core.explain(engine, clip, [core.Target(int(logits.argmax()))], get_method("cam")).maps
    (place,) = layer_geometry(engine.model)
    moment = int(found[0, 0].sum((1, 2)).argmax())
    picture = frames[shown[int(np.clip(round(place.time.centres()[moment]), 0, len(shown) - 1))]].image
    drawn = np.asarray(Image.open(tmp_path / "why.png"), float)
    changed = np.abs(drawn - picture).sum(-1) / np.abs([255, 40, 0] - picture.astype(float)).sum(-1)
    ys, xs = place.cell_centres(geometry)
    y, x = np.unravel_index(int(found[0, 0, moment].argmax()), place.grid[1:])
    inside = changed[int(ys[y]) - 2 : int(ys[y]) + 3, int(xs[x]) - 2 : int(xs[x]) + 3]
    assert inside.mean() > 0.9 * changed.max()
    assert np.median(changed) < 0.2
