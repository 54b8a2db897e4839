"""What the command prints, for any encoding of stdout."""

from __future__ import annotations

import io
import os
import sys

import pytest
from rich.progress import Progress

from vidcam.cli.answers import summary
from vidcam.cli.progress import ProgressBar, _Remaining
from vidcam.cli.table import print_table

NAME = os.fsdecode(b"caf\xe9.mp4")  # no UTF-8, as on old disks


@pytest.mark.parametrize(("encoding", "printed"), [("utf-8", "caf?.mp4: клип\n"), ("cp1252", "caf?.mp4: ????\n")])
def test_unprintable_characters_become_question_marks(monkeypatch: pytest.MonkeyPatch, encoding: str, printed: str) -> None:
    data = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(data, encoding=encoding, errors="strict", newline=""))
    with ProgressBar(quiet=False) as bar:
        bar.print_result(f"{NAME}: клип")
    assert data.getvalue().decode(encoding) == printed


def test_table_has_question_marks_for_what_stdout_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(data, encoding="ascii", errors="strict", newline=""))
    print_table([{"name": "cam", "cost": "2 × that of gradcam"}], as_json=False, json_only=())
    sys.stdout.flush()
    lines = [line.split() for line in data.getvalue().decode("ascii").splitlines()]
    assert lines == [["name", "cost"], ["cam", "2", "?", "that", "of", "gradcam"]]


def test_control_characters_are_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "a\x1b[2Jb\x07\u202ec\x9b.mp4"
    with ProgressBar(quiet=False) as bar:
        bar.start(hostile)
        bar.print_message(f"note: {hostile}")
        bar.print_result(f"{hostile}: клип\nsecond line")
    out, err = capsys.readouterr()
    assert out == "a\\x1b[2Jb\\x07\\u202ec\\x9b.mp4: клип\nsecond line\n"
    assert err == "note: a\\x1b[2Jb\\x07\\u202ec\\x9b.mp4\n"


def test_line_break_in_a_name_does_not_split_its_line() -> None:
    assert summary("a\nb.mp4", "clapping 90%", ["out/a\nb.mp4"], "") == "a\\nb.mp4: clapping 90% -> out/a\\nb.mp4"


def test_seconds_that_remain_are_what_is_missing_of_the_total() -> None:
    bars = Progress()
    bars.add_task("test", total=90, completed=25, unit="", speed="")
    assert _Remaining(compact=True).render(bars.tasks[0]).plain == "01:05"
