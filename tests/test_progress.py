"""What is printed, whatever stdout can hold."""

from __future__ import annotations

import io
import os
import sys

import pytest

from vidcam.cli.progress import Bar

NAME = os.fsdecode(b"caf\xe9.mp4")  # no UTF-8, as on old disks


@pytest.mark.parametrize(("encoding", "printed"), [("utf-8", "caf?.mp4: клип\n"), ("cp1252", "caf?.mp4: ????\n")])
def test_what_cannot_be_printed_is_a_question_mark(monkeypatch: pytest.MonkeyPatch, encoding: str, printed: str) -> None:
    data = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(data, encoding=encoding, errors="strict", newline=""))
    with Bar(quiet=False) as bar:
        bar.out(f"{NAME}: клип")
    assert data.getvalue().decode(encoding) == printed


def test_control_characters_are_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "a\x1b[2Jb\x07\u202ec\x9b.mp4"
    with Bar(quiet=False) as bar:
        bar.begin(hostile)
        bar.say(f"note: {hostile}")
        bar.out(f"{hostile}: клип\nsecond line")
    out, err = capsys.readouterr()
    assert out == "a\\x1b[2Jb\\x07\\u202ec\\x9b.mp4: клип\nsecond line\n"
    assert err == "note: a\\x1b[2Jb\\x07\\u202ec\\x9b.mp4\n"
