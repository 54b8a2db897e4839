"""The default method of each model, ``--method best``, and the better method that a verdict names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from support.tiny_nets import spec
from torch import Tensor, nn

import vidcam
from benchmarks.methods import markdown
from vidcam.annotation import choosing, judging
from vidcam.engine import TorchEngine
from vidcam.errors import UsageError
from vidcam.live.stream import Stream
from vidcam.methods import measured as measured_module
from vidcam.methods.lookup import choose_method, default_name
from vidcam.methods.measured import Measured, measured
from vidcam.metrics.method_choice import CLEAR, MapFigures, choose_best
from vidcam.models.loading import LoadedModel
from vidcam.models.spec import Head
from vidcam.models.table import get_spec, list_specs
from vidcam.reports.html import AnalysisReport
from vidcam.reports.json_report import to_json
from vidcam.settings import Settings

SIDE, CELL = 32, 8


class Mirror(nn.Module):
    """Counts red pixels in cells that lie at the wrong side of the picture, so that an exact CAM points at the wrong place."""

    def __init__(self) -> None:
        super().__init__()
        self.red = nn.Conv3d(3, 1, 1)
        self.trunk = _Flipped()
        self.fc = nn.Linear(1, 2)
        with torch.no_grad():
            self.red.weight.copy_(torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1, 1))
            self.red.bias.fill_(-0.4)
            self.fc.weight.copy_(torch.tensor([[120.0], [0.0]]))
            self.fc.bias.copy_(torch.tensor([-2.0, 0.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.trunk(torch.relu(self.red(x))).mean((2, 3, 4)))


class _Flipped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool3d((1, CELL, CELL))

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x).flip(-1)


@pytest.fixture(scope="module")
def mirror() -> TorchEngine:
    centre = (CELL - 1) / 2, float(CELL)
    facts = spec(
        name="mirror", build=Mirror, labels=lambda: ("red", "other"), resize=SIDE, crop=(SIDE, SIDE), mean=(0.0,) * 3,
        std=(1.0,) * 3, head=Head(("fc",)), grid=(4, 4, 4),
        cells=((0.0, 1.0), centre, centre), default_method="cam",
    )  # fmt: skip
    return TorchEngine(LoadedModel(facts, Mirror().eval(), ("red", "other"), None, None), "cpu")


@pytest.fixture(scope="module")
def red_at_the_left() -> np.ndarray:
    """A film whose left quarter is red in the middle rows."""
    film = np.full((8, SIDE, SIDE, 3), 110, np.uint8)
    film[:, 8:24, :8] = 250, 10, 10
    return film


def figures_of(name: str, *means: float) -> MapFigures:
    return MapFigures(name, {key: (mean,) for key, mean in zip(("blur", "frozen", "inpaint"), means, strict=True)})


def test_choice_takes_the_clearly_better_method() -> None:
    maps = [figures_of("cam", 0.1, 0.1, 0.1), figures_of("lrp", 0.3, 0.2, 0.4)]
    choice = choose_best(maps, [figures_of("noise", 0, 0, 0)], default="cam")
    assert (choice.method, choice.beats_controls) == ("lrp", True)
    assert choice.sentence == (
        "lrp explains this video best: in 1 clip of this video, its LeRF − MoRF is 0.30, that of the default cam 0.10, that of "
        "the best control, noise, 0.00"
    )


@pytest.mark.parametrize("other", [(0.1 + CLEAR / 2,) * 3, (0.6, 0.6, 0.09)], ids=["by a hair", "behind with one imputer"])
def test_choice_keeps_the_default_unless_clearly_beaten(other: tuple[float, ...]) -> None:
    choice = choose_best(
        [figures_of("cam", 0.1, 0.1, 0.1), figures_of("lrp", *other)], [figures_of("noise", 0, 0, 0)], default="cam"
    )
    assert choice.method == "cam"
    assert "no other is clearly better" in choice.sentence


def test_choice_says_if_no_method_beats_the_controls() -> None:
    maps = [figures_of("cam", 0.1, 0.1, 0.1), figures_of("lrp", 0.3, 0.2, 0.4)]
    choice = choose_best(maps, [figures_of("noise", 0, 0, 0), figures_of("motion", 0.5, 0.5, 0.5)], default="cam")
    assert (choice.method, choice.beats_controls) == ("cam", False)
    assert choice.sentence == (
        "the tested methods do not clearly beat the controls: in 1 clip of this video, LeRF − MoRF of the best, lrp, is 0.30, "
        "that of the best control, motion, 0.50; so the test cannot tell which map is right, and the default cam is shown"
    )


def test_best_finds_the_method_whose_map_is_right(mirror: TorchEngine, red_at_the_left: np.ndarray) -> None:
    stages: list[str] = []
    settings = Settings(method="best", verdict=True)
    best = vidcam.explain(
        red_at_the_left, fps=10, engine=mirror, settings=settings, progress=lambda stage, *_: stages.append(stage)
    )
    choice = best.method_choice
    assert choice is not None
    assert choice.default == "cam"
    assert best.method == choice.method in ("lrp", "occlusion")
    assert choice.of(choice.method).mean > choice.of("cam").mean + CLEAR
    assert best.settings.method == "best"
    assert list(dict.fromkeys(stages)) == ["explain", "try methods", "test methods", f"explain by {best.method}", "judge"]
    heat = best.heatmap(0.4)
    assert heat[:, : SIDE // 2].sum() > 5 * heat[:, SIDE // 2 :].sum()
    named = vidcam.explain(red_at_the_left, fps=10, engine=mirror, settings=replace(settings, method=best.method))
    one, other = best.tracks["red"][0].maps, named.tracks["red"][0].maps
    np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6 * np.nanmax(np.abs(other)))
    assert best.verdict == named.verdict
    again = vidcam.explain(red_at_the_left, fps=10, engine=mirror, settings=settings)
    assert again.method_choice == choice
    schema = json.loads((Path(__file__).parent.parent / "docs/report.schema.json").read_text())
    document = json.loads(json.dumps(to_json(best)))
    jsonschema.validate(document, schema)
    assert document["method_choice"]["sentence"] == choice.sentence
    assert document["method_choice"]["tested"][0]["name"] == choice.tested[0].name
    assert choice.sentence in AnalysisReport(best).to_html(beside="report.html")


def test_figures_of_the_choice_are_those_of_the_metric(mirror: TorchEngine, red_at_the_left: np.ndarray) -> None:
    best = vidcam.explain(red_at_the_left, fps=10, engine=mirror, settings=Settings(method="best"))
    assert best.method_choice is not None
    of_cam = best.method_choice.of("cam").per_clip["frozen"]
    spans = judging.find_telling_spans(mirror, best, count=choosing.TESTED_CLIPS)
    assert len(of_cam) == len(spans) == best.method_choice.clips
    # the film stands still, so frozen frames take nothing away, and no order of removal makes a difference
    assert of_cam == pytest.approx([0.0] * len(spans), abs=1e-6)


def test_verdict_names_the_better_method(
    mirror: TorchEngine, red_at_the_left: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    means = {"cam": 0.09, "gradcam++": 0.46, "lrp": 0.5}
    figures = {name: dict.fromkeys(("blur", "frozen"), mean) for name, mean in means.items()}
    known = Measured(7, figures, {"cam": 0.14, "gradcam++": 0.71, "lrp": 0.63})
    monkeypatch.setattr(judging, "measured", lambda of: known)
    poor = vidcam.explain(red_at_the_left, fps=10, engine=mirror, settings=Settings(method="cam", verdict=True))
    words = (
        "the map of lrp explains mirror better than that of cam: on 7 real clips LeRF − MoRF is 0.50 instead of 0.09, and the "
        "hottest cell lies on those who act in 63% of the frames instead of 14%; use --method lrp"
    )
    assert poor.warnings[-1] == words
    assert to_json(poor)["verdict"]["better_method"]["sentence"] == words
    good = replace(poor, method="gradcam++")
    assert judging.find_better_method(mirror.spec, good) is None  # lrp is ahead by less than counts
    usual = judging.find_better_method(replace(mirror.spec, default_method="gradcam++"), poor)
    assert usual is not None
    assert usual.method == "gradcam++"


def test_default_method_comes_from_the_row() -> None:
    plain = spec(head=Head(("fc",)))
    assert choose_method(None, plain).name == "cam"
    assert choose_method(None, replace(plain, default_method="layercam")).name == "layercam"
    assert default_name(replace(plain, default_method="attention-rollout")) == "cam"  # another layer may not bear it


def test_best_is_refused_where_there_is_no_whole_video() -> None:
    engine = vidcam.open_engine("mini", device="cpu")
    with pytest.raises(UsageError, match="testing several methods on a whole video"):
        Stream(engine, Settings(method="best"))
    with pytest.raises(UsageError, match="testing several methods on a whole video"):
        vidcam.explain_clips(np.zeros((1, 16, 112, 112, 3), np.uint8), engine=engine, method="best")


def test_every_default_method_works_on_its_model() -> None:
    for row in list_specs():
        assert choose_method(None, row).name == (row.default_method or default_name(row))


@pytest.mark.parametrize("name", list(measured_module._table()))
def test_default_of_a_measured_model_is_among_the_best(name: str) -> None:
    """The margin is the larger of 5 % and the choice's own: a smaller lead does not change the choice of a single video."""
    row = get_spec(name)
    found = measured(row)
    assert found is not None
    means = {method: float(np.mean(list(values.values()))) for method, values in found.lerf_minus_morf.items()}
    assert means[default_name(row)] >= max(means.values()) - CLEAR


def test_page_has_the_tables_of_the_figures() -> None:
    page = (Path(__file__).parent.parent / "docs/methods.md").read_text("utf-8")
    for model, entry in measured_module._table().items():
        assert markdown(model, entry) in page
