"""The benchmark of methods on drawn people: figures that can be checked, controls beside them, and files."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
from support.schemas import strict, validate
from torch import nn

from vidcam import synthetic
from vidcam.cli import main
from vidcam.engine import TorchEngine
from vidcam.errors import UsageError
from vidcam.evaluation import benchmark, known_clips, map_scoring
from vidcam.io.json_text import to_json_text
from vidcam.methods import core, lookup
from vidcam.methods.cell_geometry import covered
from vidcam.methods.core import Attribution, Method
from vidcam.methods.lookup import get_method, list_methods
from vidcam.methods.receptive_field import layer_geometry
from vidcam.metrics import faithfulness, localisation
from vidcam.metrics.baselines import BASELINES
from vidcam.metrics.removals import Removals
from vidcam.models.loading import LoadedModel
from vidcam.models.spec import Head, ModelSpec
from vidcam.reports import charts

pytestmark = pytest.mark.xdist_group("benchmark")  # clips are drawn once for all tests

draw_once = cache(known_clips.draw_clip)


@pytest.fixture(autouse=True)
def drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw each clip once for all tests, which takes most of their time."""
    monkeypatch.setattr(known_clips, "draw_clip", draw_once)


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
        name="brightness", title="", family="tests", build=Brightness, labels=lambda: ("clapping", "other"), num_frames=6,
        seconds_between_frames=0.2, resize=48, crop=(48, 48), mean=(0.0,) * 3, std=(1.0,) * 3, target_layer="cells",
        head=Head(("fc",)), time_cells=(6,), paper="",
    )  # fmt: skip
    torch.manual_seed(0)
    return TorchEngine(LoadedModel(spec, Brightness().eval(), ("clapping", "other"), None, None), "cpu")


@pytest.fixture
def watched(engine: TorchEngine, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The truth about each clip that is drawn, window by window, in the explained layer's cells ``(windows,T',h,w)``."""
    seen: list[np.ndarray] = []
    draw = known_clips.draw_clip

    def watch(*args: object, **facts: object) -> synthetic.SyntheticVideo:
        clip = draw(*args, **facts)
        (where,) = layer_geometry(engine.model)
        mask = clip.parts & clip.active[:, None, None]
        windows = [mask[i : i + engine.spec.num_frames] for i in range(0, len(mask), engine.spec.num_frames)]
        seen.append(np.stack([covered(w, where) for w in windows]))
        return clip

    monkeypatch.setattr(known_clips, "draw_clip", watch)
    return seen


def planted(monkeypatch: pytest.MonkeyPatch, maps: Callable[[], np.ndarray]) -> None:
    """A method ``planted`` that gives these maps, one for each window of the clip."""

    def explain(explained: object, clips: core.Clips, targets: list[core.Target]) -> Attribution:
        made = maps().astype(np.float32)[:, None]
        assert len(made) == len(clips)
        return Attribution(tuple(targets), np.zeros((len(clips), 2), np.float32), (made,))

    list_methods()
    monkeypatch.setitem(lookup._rows, "planted", Method("planted", "", "", "cam", frozenset(), "", explain))


def test_the_truth_scores_one_and_the_controls_far_less(engine, watched, monkeypatch) -> None:
    planted(monkeypatch, lambda: watched[-1])
    found = benchmark.run(engine, ["planted"], clips=1, insertion=False)
    (note,) = found.notes
    assert re.fullmatch(r"brightness has no class called waving one hand, .*, falling down, so in those clips .* is scored", note)
    assert "clapping" not in note
    truth, *controls = found.rows
    assert (truth.model, truth.method, truth.cells) == ("brightness", "planted", (6, 6, 6))
    assert {i.mean for i in truth.scores.values()} == {1.0}
    assert [(r.model, r.method) for r in controls] == [("", name) for name in BASELINES]
    for row in controls:
        assert row.scores["space_time"].mean < 0.4
        assert row.scores["relevance_mass"].mean < 0.5
        assert row.scores["temporal"].mean < 0.8
        assert row.clips == truth.clips


def test_map_that_is_hot_all_the_time_finds_no_more_than_chance(engine, watched, monkeypatch) -> None:
    """The share of the frames in which something acts, about half: a map has to do better to know when."""
    planted(monkeypatch, lambda: np.ones_like(watched[-1]))
    always, *_, motion = benchmark.run(engine, ["planted"], clips=2, insertion=False).rows
    shares = []
    for i, truth in enumerate(watched):
        if i % 4 >= 2 and truth.any():  # of four clips of each class the first two are for choosing the threshold
            frames = [bool(frame.any()) for window in truth for frame in window]
            shares.append(sum(frames) / len(frames))
    assert always.clips == len(shares)
    assert always.scores["temporal"].mean == pytest.approx(np.mean(shares))
    assert 0.35 < np.mean(shares) < 0.65
    assert motion.scores["temporal"].mean > np.mean(shares) + 0.02


def test_scores_are_those_of_the_maps_one_by_one(engine) -> None:
    cam = benchmark.run(engine, ["cam"], clips=1).rows[0]
    (where,) = layer_geometry(engine.model)
    found, areas = [], []
    for label in benchmark.ACTING:
        clip = benchmark.draw_clip(label, 1000, frames=18, size=(48, 48), seconds_between_frames=0.2)
        logits = np.stack([engine.predict(clip.frames[i : i + 6][None])[0] for i in (0, 6, 12)])
        target = core.Target(0 if label == "clapping" else int(logits.mean(0).argmax()))
        values, truth, acting = [], [], []
        for i in (0, 6, 12):
            values.append(core.explain(engine, clip.frames[i : i + 6][None], [target], get_method("cam")).maps[0][0, 0])
            acting.append(clip.parts[i : i + 6] & clip.active[i : i + 6, None, None])
            truth.append(covered(acting[-1], where))
        if np.any(truth):
            found.append(localisation.score_map(np.concatenate(values), np.concatenate(truth), threshold=cam.threshold))
            busy = int(np.argmax([a.sum() for a in acting]))
            areas.append(
                faithfulness.faithfulness_of(
                    values[busy],
                    Removals(
                        clip.frames[6 * busy : 6 * busy + 6], where, partial(engine.class_probability, target.index), "blur"
                    ),
                ).insertion
            )  # fmt: skip
    assert cam.clips == len(found)
    for key, value in vars(localisation.mean_scores(found)).items():
        assert cam.scores[key].mean == pytest.approx(value)
        assert cam.scores[key].low <= value <= cam.scores[key].high
    assert cam.insertion.mean == pytest.approx(np.mean(areas), abs=1e-5)


def test_a_map_without_places_has_a_score_for_when_alone(engine) -> None:
    found = benchmark.run(engine, ["temporal-mask", "cam"], clips=1, insertion=False)
    assert {r.method for r in found.rows} == {"cam", "temporal-mask", *BASELINES}
    (when,) = (r for r in found.rows if r.method == "temporal-mask")
    assert when.cells == (6, 1, 1)
    assert {key for key, i in when.scores.items() if i is not None} == {"temporal"}
    (line,) = (line for line in found.in_words().splitlines() if "temporal-mask" in line)
    assert line.startswith("| brightness, temporal-mask | 6 × 1 × 1 | – | – | – | ")
    validate(strict(to_json_text(found.to_json())), "benchmark")


def test_methods_that_do_not_work_are_noted(engine) -> None:
    found = benchmark.run(engine, ["cam", "attention-rollout"], clips=1, insertion=False)
    assert [r.method for r in found.rows if r.model] == ["cam"]
    assert "attention-rollout" in found.notes[0]
    engine.labels = ("a", "b")
    assert (
        benchmark.run(engine, ["cam"], clips=1, insertion=False).notes[0].startswith("brightness has none of the drawn classes,")
    )
    with pytest.raises(UsageError, match="none of these methods works on brightness: attention-rollout"):
        benchmark.run(engine, ["attention-rollout"], clips=1)


def test_all_stands_for_every_method(engine) -> None:
    scoring = map_scoring.Scoring(engine, ["all"], 0, None, False, ())
    assert scoring.given == list_methods()
    assert {m.name for m in scoring.methods} == {m for m in list_methods() if get_method(m).requires <= engine.spec.provides}


def test_drawn_clips_are_tested_by_removal_if_asked(engine) -> None:
    found = benchmark.run(engine, ["cam"], clips=1, insertion=False, imputers=("frozen",))
    values = [row.lerf_minus_morf["frozen"].mean for row in found.rows]
    assert len(values) == 1 + len(BASELINES)
    assert len(set(values)) > 1
    assert found.explained == ()
    assert found.tolerance is None


def test_the_command_writes_a_table_a_page_and_json(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\nfrom test_benchmark import Brightness\n\ndef build():\n    net = Brightness()\n"
        "    net.vidcam = dict(frames=4, interval_s=0.2, resize=48, crop=(48, 48), mean=(0.0,) * 3, std=(1.0,) * 3, "
        "labels=('clapping', 'other'), layer='cells', head='fc')\n    return net\n"
    )
    out = [str(tmp_path / "o.html"), str(tmp_path / "o.json")]
    words = ["benchmark", "--model", f"{tmp_path / 'net.py'}:build", "--method", "cam", "--method", "gradcam"]
    monkeypatch.setattr(sys, "argv", ["vidcam", *words, "--clips", "1", "--report", out[0], "--json", out[1]])
    with pytest.raises(SystemExit) as stop:
        main.main()
    assert not stop.value.code
    printed = capsys.readouterr().out
    assert printed.startswith("| map | cells | pointing game |")
    doc = strict(Path(out[1]).read_text())
    validate(doc, "benchmark")
    assert sorted(r["method"] for r in doc["rows"][:2]) == ["cam", "gradcam"]
    assert [r["method"] for r in doc["rows"][2:]] == list(BASELINES)
    same = doc["rows"][0]["scores"], doc["rows"][1]["scores"]
    assert same[0]["energy"]["mean"] == pytest.approx(same[1]["energy"]["mean"], rel=1e-4)  # one map, by construction
    page = Path(out[0]).read_text()
    assert page.count("<svg") == 6
    assert "motion energy" in page
    assert page.count(f"fill: {charts.OWN}") == page.count(f"fill: {charts.ALSO}") == 6  # the best method and the other
