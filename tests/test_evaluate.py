"""Testing an explanation, end to end: a network that looks at red squares, with true and false explanations of it."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import planted
from support.media import write_clip
from support.schemas import strict, validate

from vidcam.cli import main
from vidcam.engine import TorchEngine, open_engine
from vidcam.errors import UsageError, VidcamError
from vidcam.evaluation import video
from vidcam.methods import core, lookup
from vidcam.methods.lookup import get_method
from vidcam.metrics.baselines import BASELINES
from vidcam.metrics.splice import Spliced
from vidcam.reports.evaluation import OURS, Evaluation
from vidcam.settings import Settings

pytestmark = pytest.mark.xdist_group("evaluate")  # one evaluation takes seconds, once for all tests


def film(path: Path, *, red: bool) -> Path:
    def picture(i: int) -> np.ndarray:
        image = np.full((128, 128, 3), 90, np.uint8)
        if red and 4 <= i < 16:
            image[32:56, 40 + i : 64 + i] = (230, 10, 10)
        return image

    return write_clip(path, frames=20, size=(128, 128), fps=10, picture=picture)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("evaluate") / "red.mp4", red=True)


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    return open_engine(f"{planted.__file__}:patches")


@pytest.fixture(scope="module")
def found(engine: TorchEngine, clip: Path) -> Evaluation:
    return video.evaluate(clip, engine=engine, settings=Settings(classes=("red square",)), windows=2)


def test_a_true_explanation_is_supported_and_beats_every_control(found: Evaluation) -> None:
    assert found.verdict.word == "supported"
    for baseline in ("blur", "inpaint"):
        gaps = {row: found.scores[baseline][row]["lerf_minus_morf"].mean for row in (OURS, *BASELINES)}
        ours, moving = gaps.pop(OURS), gaps.pop("motion energy")  # the red square is all that moves
        assert ours > moving, baseline
        assert ours > max(gaps.values()) + 0.05, baseline
    assert found.random_logit == pytest.approx(-1.0, abs=0.05)  # what speaks for one of the two classes speaks against the other
    assert found.repeat_error == 0.0
    assert found.used.word == "a still"  # this network does not look at time


def test_a_false_explanation_is_not_supported(engine: TorchEngine, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = get_method("cam").explain

    def upside_down(*args: object) -> core.Attribution:
        made = true(*args)  # type: ignore[arg-type]
        return core.Attribution(made.targets, made.logits, tuple(np.flip(m, 3) for m in made.maps), made.totals)

    false = core.Method(**(vars(get_method("cam")) | {"name": "false", "function": upside_down}))
    monkeypatch.setitem(lookup._rows, "false", false)
    settings = Settings(method="false", classes=("red square",))
    made = video.evaluate(clip, engine=engine, settings=settings, windows=2, imputers=("blur",))
    assert made.verdict.word == "not supported"
    assert made.scores["blur"][OURS]["lerf_minus_morf"].mean < made.scores["blur"]["motion energy"]["lerf_minus_morf"].mean


def test_two_videos_cut_together(engine: TorchEngine, clip: Path, tmp_path: Path) -> None:
    grey = film(tmp_path / "grey.mp4", red=False)
    made = video.evaluate(
        clip, engine=engine, settings=Settings(classes=("red square",)), windows=1, imputers=("blur",), other=grey
    )
    assert made.spliced is not None
    # The red square's evidence, in whichever half it was put; for "nothing" nothing ever speaks.
    assert made.spliced.first == pytest.approx(1.0, abs=0.02)
    assert made.spliced.second == pytest.approx(1.0, abs=0.02)
    # What is wrong with the other video is found before the tests, however little time they have.
    for other, told in ((clip, "both videos are 'red square'"), (tmp_path / "none.mp4", "there is no file")):
        with pytest.raises(VidcamError, match=told):
            video.evaluate(clip, engine=engine, windows=1, imputers=("blur",), other=other, budget_s=0.01)


def test_the_files_hold_what_was_found(found: Evaluation, tmp_path: Path) -> None:
    found.write_json(tmp_path / "out.json")
    found.write_html(tmp_path / "out.html")
    doc = strict((tmp_path / "out.json").read_text())
    validate(doc, "evaluate")
    assert doc["verdict"]["word"] == "supported"
    assert doc["faithfulness"]["blur"][OURS]["gap"]["mean"] == found.scores["blur"][OURS]["lerf_minus_morf"].mean
    assert set(doc["faithfulness"]["blur"]) == {OURS, *BASELINES}
    page = (tmp_path / "out.html").read_text()
    assert page.count("<svg") == 2 * 3 + 2
    assert re.search(r"The evidence for “red square” is <span class=\"supported\">supported</span>", page)
    assert "http://" not in re.sub(r"http://www\.w3\.org|http://purl\.org|http://creativecommons\.org", "", page)
    assert found.label in found.in_words()


def test_what_cannot_be_said_is_null_and_not_a_number(found: Evaluation, tmp_path: Path) -> None:
    odd = replace(found, random_logit=None, spliced=Spliced(None, 0.5, 0.7, 0.3), mprt=(("fc", math.nan),))
    odd.write_json(tmp_path / "out.json")
    odd.write_html(tmp_path / "out.html")
    doc = strict((tmp_path / "out.json").read_text())
    assert doc["splice"] == {"first": None, "second": 0.5, "first_chance": 0.7, "second_chance": 0.3}
    assert doc["sanity"] == {
        "class_sensitivity": None, "repeat_error": 0.0, "cascade": [{"layer": "fc", "rank_correlation": None}]
    }  # fmt: skip
    validate(doc, "evaluate")
    assert "Maps of other classes" not in (tmp_path / "out.html").read_text()
    assert "other classes" not in odd.in_words()
    assert "down to fc: no evidence is left" in odd.in_words()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"windows": 0}, "at least 1 window"),
        ({"imputers": ("black",)}, "unknown baseline 'black': known are blur, frozen, inpaint"),
        ({"settings": Settings(classes=("red square", "nothing"))}, "one explanation is tested at a time"),
    ],
)
def test_what_cannot_be_tested_is_refused(engine: TorchEngine, clip: Path, change: dict, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        video.evaluate(clip, engine=engine, **change)


def test_the_command_says_and_writes_it(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def run(*words: object) -> int:
        monkeypatch.setattr(sys, "argv", ["vidcam", "evaluate", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main.main()
        return int(stop.value.code or 0)

    model = f"{planted.__file__}:patches"
    words = (clip, "--model", model, "--class", "red square", "--windows", 1, "--baseline", "blur", "--budget", "none")
    words = (*words, "--json", tmp_path / "o.json")
    assert run(*words) == 0
    assert "evidence for 'red square': supported" in capsys.readouterr().out
    assert run(*words) == 1
    assert "exists" in capsys.readouterr().err
    assert run(tmp_path / "none.mp4", "--model", model) == 1
    assert run(clip, "--model", model, "--class", "green square") == 2
    assert "green square" in capsys.readouterr().err
