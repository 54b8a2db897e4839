"""Commands that had other words in 0.1: the old words work, print a note, and give way to a file or folder of their name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from support import planted
from support.command import exit_code

from vidcam.errors import VidcamError

MODEL = ("--model", f"{planted.__file__}:patches")
OLD_AND_NEW = [
    pytest.param(["evaluate", "benchmark", *MODEL], ["benchmark", *MODEL], "benchmark", id="benchmark"),
    pytest.param(["train", "people", "-o", "out"], ["train", "--synthetic", "-o", "out"], "train --synthetic", id="people"),
    pytest.param(["live", "browser"], ["live", "--browser"], "live --browser", id="browser"),
]

Run = Callable[..., tuple[int, str]]


def fail_with(name: str) -> Callable[..., NoReturn]:
    """Return a function that raises an error that says ``name`` and what it was called with."""

    def fail(*given: object, **options: object) -> NoReturn:
        raise VidcamError(f"{name} got {getattr(given[0], 'sources', given)[0]}")

    return fail


@pytest.fixture
def vidcam(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command in an empty folder; what it would run fails and says so: (exit code, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vidcam.evaluation.benchmark.run", lambda engine, *given, **_: fail_with("benchmark")(*given))
    monkeypatch.setattr("vidcam.evaluation.video.evaluate", fail_with("evaluate"))
    monkeypatch.setattr("vidcam.training.train", fail_with("train"))
    monkeypatch.setattr("vidcam.web.live.run.run", fail_with("live"))

    def run(*words: str) -> tuple[int, str]:
        code = exit_code(*words)
        return code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(("old", "new", "name"), OLD_AND_NEW)
def test_old_words_run_new_command_after_a_note(old: list[str], new: list[str], name: str, vidcam: Run) -> None:
    code, err = vidcam(*new)
    error = err.splitlines(keepends=True)[-1]  # after the notes of the model
    assert (code, error.split(" got ")[0]) == (1, f"error: {new[0]}")
    note = f"note: `vidcam {' '.join(old[:2])}` is now `vidcam {name}`; the old words will stop working in the next release\n"
    assert vidcam(*old) == (code, note + err)
    assert vidcam(*old, "--quiet") == (code, error)


@pytest.mark.parametrize(("old", "new", "name"), OLD_AND_NEW)
def test_old_word_is_an_ordinary_input_if_it_exists(old: list[str], new: list[str], name: str, vidcam: Run) -> None:
    _, of_new = vidcam(*new)
    Path(old[1]).mkdir()
    code, err = vidcam(*old)
    assert code == 1
    assert "note:" not in err
    assert err != of_new
    assert old[1] in err
    if old[0] != "evaluate":
        assert err == f"error: {old[0]} got {os.path.join(os.curdir, old[1])}\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["live", "0", "--browser"], "--browser is a source of its own: leave out 0"),
        (["train", "videos", "--synthetic", "-o", "out"], "--synthetic needs no videos: leave out videos"),
        (["train", "-o", "out"], "name a folder of videos, or use --synthetic"),
        (["evaluate", "benchmark", "--class", "nothing"], "--class is for a single video"),
        (["evaluate", "benchmark", "--csv", "out.csv"], "--csv is for a folder of class folders"),
    ],
)
def test_words_that_do_not_go_together_are_wrong_usage(words: list[str], sentence: str, vidcam: Run) -> None:
    code, err = vidcam(*words)
    assert (code, err.count("\n")) == (2, 1)
    assert sentence in err
