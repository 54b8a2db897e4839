"""Runs of ``vidcam evaluate`` and ``vidcam compare`` over many videos: the same plan, marks and tables as those of annotate."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
from support import planted
from support.command import Run
from support.media import write_clip

from vidcam.batch.tasks import Annotate
from vidcam.batch.testing import Compare, Evaluate
from vidcam.metrics.imputers import IMPUTERS

MODEL = ("--model", f"{planted.__file__}:patches", "--class", "red square")
QUICK = ("--windows", 1, "--baseline", "blur", "--budget", "none")


@pytest.fixture
def vidcam(vidcam: Run, tmp_path: Path) -> Run:
    """Run the command in this process, in a folder with two videos and a bad one: (exit code, stdout, stderr)."""
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        write_clip(tmp_path / "in" / f"{name}.mp4", frames=27, size=(96, 128))
    (tmp_path / "in" / "bad.mp4").write_text("this is no video")
    return vidcam


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def test_evaluate_writes_a_row_of_figures_for_each_video(vidcam: Run, tmp_path: Path) -> None:
    command = ("evaluate", "in", *MODEL, *QUICK, "--out-dir", "out")
    code, out, err = vidcam(*command)
    assert code == 1
    assert err.splitlines()[-1].endswith(f"1 of 3 inputs could not be explained: read {Path('out/failed.csv')}")
    assert len(out.splitlines()) == 2
    assert "evidence for 'red square' by" in out
    rows = read_csv(Path("out/results.csv"))
    assert [row["name"] for row in rows] == ["a", "b"]
    assert tuple(rows[0]) == tuple(Evaluate.columns)
    for row in rows:
        found = load(Path("out") / json.loads(row["outputs"])["json"])
        scores = found["faithfulness"]["blur"]
        ours = scores.pop("this explanation")
        assert row["verdict"] == found["verdict"]["word"] == "supported"
        assert float(row["margin"]) == pytest.approx(found["verdict"]["margin"]["mean"])
        assert float(row["lerf_minus_morf_blur"]) == pytest.approx(ours["gap"]["mean"])
        assert float(row["insertion_blur"]) == pytest.approx(ours["insertion"]["mean"])
        assert float(row["deletion_blur"]) == pytest.approx(ours["deletion"]["mean"])
        assert float(row["control_blur"]) == pytest.approx(max(control["gap"]["mean"] for control in scores.values()))
        assert (row["label"], row["label_1"], row["lerf_minus_morf_frozen"]) == ("red square", "red square", "")
    assert [row["kind"] for row in read_csv(Path("out/failed.csv"))] == ["input"]
    before = Path("out/a.evaluate.json").stat().st_mtime_ns
    (tmp_path / "out" / "vidcam-marks" / "b.done.json").unlink()  # as if it had been killed in the middle of b
    code, out, _ = vidcam(*command)
    assert [line.split(":")[0] for line in out.splitlines()] == [str(Path("in/b.mp4"))]
    assert Path("out/a.evaluate.json").stat().st_mtime_ns == before
    code, _, err = vidcam("annotate", "in", *MODEL, "--out-dir", "out")
    assert code == 2
    assert "command was evaluate and is now annotate" in err


def test_compare_writes_a_page_and_a_row_of_agreement(vidcam: Run) -> None:
    (Path("in/bad.mp4")).unlink()
    words = ("--method", "cam", "--method", "gradcam++", "--method", "gradientxinput", "--json", "out/{name}.json")
    code, out, err = vidcam("compare", "in", *MODEL, *words, "--out-dir", "out")
    assert code == 0, err
    rows = read_csv(Path("out/results.csv"))
    assert tuple(rows[0]) == tuple(Compare.columns)
    for row in rows:
        assert Path("out", f"{row['name']}.compare.html").is_file()
        agreement = load(Path("out", f"{row['name']}.json"))["agreement"]["red square"]
        names, matrix = agreement["methods"], agreement["rank_correlation"]
        pairs = {(names[i], names[j]): matrix[i][j] for i in range(3) for j in range(i + 1, 3) if matrix[i][j] is not None}
        assert float(row["correlation"]) == pytest.approx(math.fsum(pairs.values()) / len(pairs))
        assert float(row["least_correlation"]) == pytest.approx(min(pairs.values()))
        assert pairs[tuple(json.loads(row["least_alike"]))] == min(pairs.values())
        assert json.loads(row["compared"]) == names == ["cam", "gradcam++", "gradientxinput"]
        assert json.loads(row["classes"]) == ["red square"]
    assert "rank correlation" in out.splitlines()[0]


def test_two_models_give_a_row_with_the_answers_of_both(vidcam: Run) -> None:
    other = ("--model", f"{planted.__file__}:strided")
    code, out, err = vidcam("compare", "in/a.mp4", *MODEL, *other, "--method", "gradcam++", "--out-dir", "out")
    assert code == 0, err
    [row] = read_csv(Path("out/results.csv"))
    assert json.loads(row["answers"]) == dict.fromkeys(json.loads(row["compared"]), "red square")
    assert len(json.loads(row["compared"])) == 2
    assert "says 'red square'" in out
    plan = load(Path("out/vidcam-run.json"))["fingerprint"]
    assert plan["model"].endswith(":patches")
    assert plan["model 2"].endswith(":strided")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("evaluate", "in"), "there are 3 videos: name the folder for what is found with --out-dir"),
        (("compare", "in"), "there are 3 videos: name the folder for their comparisons with --out-dir"),
        (("evaluate", "in/a.mp4", "--jobs", 2), "--jobs is for a run over many videos"),
        (("evaluate", "in", "--out-dir", "out", "--splice", "in/b.mp4"), "--splice is for a single video"),
        (("evaluate", "in", "--out-dir", "out", "--csv", "t.csv"), "the table of all videos is"),
        (("evaluate", "in", "--out-dir", "out", "--json", "t.json"), "put {name} into it"),
        (("evaluate", "in", "--out-dir", "out", "--baseline", "blurr"), "unknown baseline 'blurr': known are blur"),
        (("compare", "in", "--out-dir", "out", "-o", "t.html"), "give -o for one video or --out-dir"),
        (("evaluate", ".", "--out-dir", "out"), "--recursive takes too"),
    ],
)
def test_options_that_do_not_fit_many_videos_are_refused(vidcam: Run, words: tuple[object, ...], told: str) -> None:
    code, _, err = vidcam(*words)
    assert code in (1, 2)
    assert told in err
    assert not Path("out/vidcam-run.json").exists()


def test_page_lists_the_columns_of_every_command() -> None:
    page = (Path(__file__).parent.parent / "docs" / "batches.md").read_text(encoding="utf-8")
    for task in (Annotate, Evaluate, Compare):
        for column in task.columns:
            name = next((column.replace(i, "IMPUTER") for i in IMPUTERS if column.endswith(f"_{i}")), column)
            assert f"`{name}`" in page or name[-1].isdigit(), name
