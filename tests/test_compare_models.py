"""Two models on one video: each looks for its own colour, so where they differ is known."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from support.command import exit_code
from support.media import write_clip
from support.schemas import strict, validate

from vidcam.annotation import Outputs
from vidcam.engine import TorchEngine, open_engine
from vidcam.errors import UnknownNameError, UsageError
from vidcam.evaluation.compare_models import compare_models
from vidcam.io.formatting import percent
from vidcam.metrics import agreement
from vidcam.reports import comparison_page
from vidcam.reports.predictions import PredictedSpan
from vidcam.settings import Settings

pytestmark = pytest.mark.xdist_group("compare")

CODE = """
import torch
from support import planted

def red(): return planted.patches()

def green():
    net = planted.patches()
    with torch.no_grad():
        net.red.weight.copy_(torch.tensor([-1.0, 1.0, -1.0]).view(1, 3, 1, 1, 1))
    return net

def slow():
    net = red()
    net.vidcam = net.vidcam | {"interval_s": 0.2}
    return net

def others():
    net = red()
    net.vidcam = net.vidcam | {"labels": ("walk", "run")}
    return net

def renamed():
    net = red()
    net.vidcam = net.vidcam | {"labels": ("red thing", "nothing")}
    return net

def capital():
    net = red()
    net.vidcam = net.vidcam | {"labels": ("Red Square", "nothing")}
    return net
"""
ONE = Settings(classes=("red square",), smooth_s=0)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("two") / "two.py"
    path.write_text(CODE)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red square on the left all the time, and a green one on the right from 1.2 s to 2 s."""

    def picture(i: int) -> np.ndarray:
        image = np.full((120, 160, 3), 90, np.uint8)
        image[32:56, 40:64] = (230, 10, 10)
        if 12 <= i < 20:
            image[64:88, 96:120] = (10, 230, 10)
        return image

    return write_clip(tmp_path_factory.mktemp("clips") / "two.mp4", frames=24, size=(120, 160), fps=10, picture=picture)


def opened(file: Path, *names: str) -> list[TorchEngine]:
    return [open_engine(f"{file}:{name}", engine="torch") for name in names]


def test_models_differ_where_and_when_only_one_has_evidence(file: Path, clip: Path) -> None:
    found = compare_models(clip, engines=opened(file, "red", "green"), settings=ONE, method="gradcam")
    assert [e.name for e in found.entries] == ["two.py:red", "two.py:green"]
    difference = found.differences["red square"]
    assert difference is not None
    x, y = difference.x * 160, difference.y * 120
    at_green, at_red = (abs(x - 108) < 12 and abs(y - 76) < 12), (abs(x - 52) < 12 and abs(y - 44) < 12)
    assert 1.2 <= difference.time_s <= 2.0  # when both squares are there, both models differ
    assert at_green or at_red
    assert difference.more == ("two.py:green" if at_green else "two.py:red")
    assert found.agreement["red square"].correlation[0, 1] < 0.2
    assert "they differ most at" in found.in_words()


def test_same_model_at_other_frame_rates_is_laid_on_the_same_times(file: Path, clip: Path) -> None:
    found = compare_models(clip, engines=opened(file, "red", "slow"), settings=ONE, method="gradcam")
    assert found.agreement["red square"].correlation[0, 1] > 0.95
    curves = [e.analysis.curves["red square"] for e in found.entries]
    assert len(curves[0]) == len(curves[1]) == len(found.entries[0].analysis.times_s)


def test_models_are_compared_only_where_both_have_clips(file: Path, clip: Path) -> None:
    apart = replace(ONE, seconds_between_clip_starts=1.2)  # red's clips of 0.8 s leave a gap that slow's of 1.6 s do not
    for names in (("slow", "red"), ("red", "slow")):
        found = compare_models(clip, engines=opened(file, *names), settings=apart, method="gradcam")
        assert found.agreement["red square"].correlation[0, 1] > 0.95
        assert not ((found.moments_s > 0.9) & (found.moments_s < 1.15)).any()


def test_one_model_twice_differs_nowhere(file: Path, clip: Path) -> None:
    found = compare_models(clip, engines=opened(file, "red", "red"), settings=ONE)
    assert [e.name for e in found.entries] == [f"{file}:red #1", f"{file}:red #2"]
    assert found.differences == {"red square": None}
    assert found.agreement["red square"].correlation[0, 1] == pytest.approx(1)


def test_models_without_a_common_question_are_refused(file: Path, clip: Path) -> None:
    with pytest.raises(UsageError, match="no label in common"):
        compare_models(clip, engines=opened(file, "red", "others"))
    with pytest.raises(UnknownNameError, match="red square"):
        compare_models(clip, engines=opened(file, "red", "others"), settings=ONE)
    with pytest.raises(UsageError, match="attention-rollout does not work on all of these models: choose one of cam"):
        compare_models(clip, engines=opened(file, "red", "green"), settings=ONE, method="attention-rollout")
    with pytest.raises(UsageError, match="at least two"):
        compare_models(clip, engines=opened(file, "red"))


def test_a_label_that_models_spell_in_two_ways_is_refused(file: Path, clip: Path) -> None:
    with pytest.raises(UsageError, match="not the same in all of these models, but 'red square' and 'Red Square'"):
        compare_models(clip, engines=opened(file, "red", "capital"), settings=ONE)


def test_an_answer_that_the_other_model_does_not_know_is_named(file: Path, clip: Path) -> None:
    found = compare_models(clip, engines=opened(file, "red", "renamed"))
    assert found.labels == ("nothing",)
    assert found.notes == (
        "the models answer differently: two.py:red 'red square', two.py:renamed 'red thing'",
        "the evidence for 'red square', the answer of two.py:red, is not compared, because two.py:renamed does not know it",
        "the evidence for 'red thing', the answer of two.py:renamed, is not compared, because two.py:red does not know it",
    )


def test_progress_names_the_model_that_is_at_work(file: Path, clip: Path) -> None:
    steps: list[tuple[str, int]] = []
    compare_models(clip, engines=opened(file, "red", "green"), progress=lambda stage, done, total: steps.append((stage, done)))
    stages = [f"{n} of 2: {stage}" for stage in ("look", "explain") for n in (1, 2)]
    assert steps == [(stage, done) for stage in stages for done in range(1, 25)]


def test_page_gives_the_answer_of_each_model_at_each_time(file: Path, clip: Path) -> None:
    often = Settings(seconds_between_clip_starts=0.2)
    found = compare_models(clip, engines=opened(file, "renamed", "green"), settings=often)
    told = comparison_page._answers_over_time(found)
    assert len({span["label"].rpartition(" ")[0] for span in told}) > 1  # the green square comes and goes
    windows = [e.analysis.windows for e in found.entries]
    for span in told:
        at = (span["start"] + span["end"]) / 2
        tops = []
        for own in windows:  # the window whose middle is nearest answers
            near = min((w for w in own if w.span[0] <= at <= w.span[1]), key=lambda w: abs(sum(w.span) / 2 - at))
            tops.append(near.top(1)[0][0])
        for entry, label in zip(found.entries, tops, strict=True):
            assert (f"{label}: " if len(set(tops)) == 1 else f"{entry.name}: {label} ") in span["label"]
    assert [told[0]["start"], told[-1]["end"]] == [0.0, pytest.approx(2.4, abs=0.1)]
    alike = comparison_page._joint_answer({name: PredictedSpan(0, 1, "walk", p) for name, p in (("a", 0.5), ("b", 0.25))})
    assert alike == f"walk: a {percent(0.5)}, b {percent(0.25)}"


def test_two_models_agree_in_a_sentence_and_three_in_a_matrix() -> None:
    maps = {name: np.random.default_rng(n).random((2, 3, 3)) for n, name in enumerate("abc")}
    two, three = (agreement.measure_agreement(dict(list(maps.items())[:n])) for n in (2, 3))
    r, overlap = (f"{v:.2f}".replace("-", "−") for v in (two.correlation[0, 1], two.overlap[0, 1]))
    assert comparison_page._pair_in_words(two) == f"a and b: rank correlation {r}, overlap of the hottest tenth {overlap}."
    assert comparison_page._plot_matrices(two) == []
    assert comparison_page._pair_in_words(three) == ""
    assert len(comparison_page._plot_matrices(three)) == 2


def test_command_writes_a_grid_a_page_and_json_of_two_models(file: Path, clip: Path, tmp_path: Path) -> None:
    words = ("--model", f"{file}:red", "--model", f"{file}:green", "-o", tmp_path / "two.mp4", "--report", tmp_path / "two.html")
    assert exit_code("compare", clip, *words, "--json", tmp_path / "two.json") == 0
    doc = strict((tmp_path / "two.json").read_text())
    validate(doc, "compare")
    assert [m["name"] for m in doc["methods"]] == ["two.py:red", "two.py:green"]
    assert doc["models"]["method"] == "gradcam++"
    assert doc["models"]["answers"]["two.py:red"][0]["label"] == "red square"
    page = (tmp_path / "two.html").read_text()
    assert "they differ most at" in page
    for name, label in product(("two.py:red", "two.py:green"), ("red square", "nothing")):
        assert f"{name}, evidence for {label}" in page  # one view of the player each
    assert (tmp_path / "two.mp4").stat().st_size > 0
    assert exit_code("compare", clip, *words[:4], "--method", "cam", "--method", "rise") == 2


def test_outputs_are_refused_before_anything_is_computed(file: Path, clip: Path, tmp_path: Path) -> None:
    from vidcam.errors import OutputError

    (tmp_path / "kept.mp4").write_bytes(b"x")
    with pytest.raises(OutputError, match="exists"):
        compare_models(clip, Outputs(video=tmp_path / "kept.mp4"), engines=opened(file, "red", "green"))
