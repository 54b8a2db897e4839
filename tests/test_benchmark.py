"""The benchmark of methods on drawn people: figures that can be checked, controls beside them, and files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vidcam import benchmark, cli
from vidcam.engine import TorchEngine
from vidcam.errors import UsageError
from vidcam.explainers import core, probe
from vidcam.explainers.core import Attribution, Method
from vidcam.models.loading import LoadedModel
from vidcam.models.registry import Head, ModelSpec
from vidcam.placement import covered
from vidcam.trust import localisation
from vidcam.trust.controls import CONTROLS


class Brightness(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.AvgPool3d((1, 8, 8))
        self.fc = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.cells(x).mean((2, 3, 4)))


@pytest.fixture
def engine() -> TorchEngine:
    spec = ModelSpec(
        name="brightness", title="", family="tests", build=Brightness, labels=lambda: ("clapping", "other"), frames=6,
        interval_s=0.2, resize=48, crop=(48, 48), mean=(0.0,) * 3, std=(1.0,) * 3, layer="cells", head=Head(("fc",)),
        time_cells=(6,), paper="",
    )  # fmt: skip
    torch.manual_seed(0)
    return TorchEngine(LoadedModel(spec, Brightness().eval(), ("clapping", "other"), None, None), "cpu")


@pytest.fixture
def oracle(engine: TorchEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that knows the truth: it is told the clips as they are drawn."""
    seen: list[np.ndarray] = []
    draw = benchmark.drawn

    def watched(*args: object, **facts: object):
        clip = draw(*args, **facts)
        (where,) = probe.placements(engine.explained)
        seen.append(covered(clip.parts & clip.active[:, None, None], where))
        return clip

    def explain(explained: object, clips: torch.Tensor, targets: list[core.Target]) -> Attribution:
        return Attribution(tuple(targets), torch.zeros(1, 2), (torch.from_numpy(seen[-1].astype(np.float32))[None, None],))

    monkeypatch.setattr(benchmark, "drawn", watched)
    truth = Method("truth", "", "", frozenset(), False, False, "", explain, "cam")
    monkeypatch.setitem(core._METHODS, "truth", truth)


def test_the_truth_scores_one_and_the_controls_far_less(engine, oracle) -> None:
    rows, notes = benchmark.run(engine, ["truth"], clips=1, insertion=False)
    assert notes == ()
    truth, *controls = rows
    assert (truth.model, truth.method) == ("brightness", "truth")
    assert {i.mean for i in truth.scores.values()} == {1.0}
    assert [(r.model, r.method) for r in controls] == [("", name) for name in CONTROLS]
    for row in controls:
        assert row.scores["space_time"].mean < 0.6
        assert row.scores["energy"].mean < 0.7
        assert row.clips == truth.clips


def test_scores_are_those_of_the_maps_one_by_one(engine) -> None:
    rows, _ = benchmark.run(engine, ["cam"], clips=1, insertion=False)
    cam = rows[0]
    (where,) = probe.placements(engine.explained)
    found = []
    for label in benchmark.ACTING:
        clip = benchmark.drawn(label, 1000, frames=6, size=(48, 48), interval_s=0.2)
        target = core.Target(0 if label == "clapping" else int(engine.predict(clip.frames[None])[0].argmax()))
        values = core.explain(engine, clip.frames[None], [target], core.get("cam")).maps[0][0, 0]
        truth = covered(clip.parts & clip.active[:, None, None], where)
        if truth.any():
            found.append(localisation.scores(values, truth, threshold=cam.threshold))
    assert cam.clips == len(found)
    for key, value in vars(localisation.mean(found)).items():
        assert cam.scores[key].mean == pytest.approx(value)
        assert cam.scores[key].low <= value <= cam.scores[key].high


def test_methods_that_do_not_work_are_noted(engine) -> None:
    rows, notes = benchmark.run(engine, ["cam", "attention-rollout"], clips=1, insertion=False)
    assert [r.method for r in rows if r.model] == ["cam"]
    assert "attention-rollout" in notes[0]
    with pytest.raises(UsageError, match="none of these methods works on brightness: attention-rollout"):
        benchmark.run(engine, ["attention-rollout"], clips=1)


def test_the_command_writes_a_table_a_page_and_json(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\nfrom test_benchmark import Brightness\n\ndef build():\n    net = Brightness()\n"
        "    net.vidcam = dict(frames=4, interval_s=0.2, resize=48, crop=(48, 48), mean=(0.0,) * 3, std=(1.0,) * 3, "
        "labels=('clapping', 'other'), layer='cells', head='fc')\n    return net\n"
    )
    out = [str(tmp_path / "o.html"), str(tmp_path / "o.json")]
    words = ["evaluate", "benchmark", "--model", f"{tmp_path / 'net.py'}:build", "--method", "cam", "--method", "gradcam"]
    monkeypatch.setattr(sys, "argv", ["vidcam", *words, "--clips", "1", "--report", out[0], "--json", out[1]])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    printed = capsys.readouterr().out
    assert printed.startswith("| map | pointing game |")
    doc = json.loads(Path(out[1]).read_text())
    assert [r["method"] for r in doc["rows"]] == ["cam", "gradcam", *CONTROLS]
    same = doc["rows"][0]["scores"], doc["rows"][1]["scores"]
    assert same[0]["energy"]["mean"] == pytest.approx(same[1]["energy"]["mean"], rel=1e-4)  # one map, by construction
    page = Path(out[0]).read_text()
    assert page.count("<svg") == 6
    assert "motion energy" in page
