"""What a call does, counted: figures that do not depend on how fast the machine is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import av
import pytest

import vidcam

_PACKAGE = str(Path(vidcam.__file__).parent)


def lines_run(call: Callable[[], object]) -> int:
    """Return how many lines of vidcam's own code ``call`` runs in this thread; a line in a loop counts each time."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., object] | None:
        nonlocal count
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def timeouts_given(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return the list of the time-outs with which PyAV is asked to open addresses from now on. Without one it would hang."""
    found: list[object] = []
    opened = av.open

    def spy(name: str, *words: object, **options: object) -> object:
        if name.startswith("http"):
            assert "timeout" in options
            found.append(options["timeout"])
        return opened(name, *words, **options)

    monkeypatch.setattr(av, "open", spy)
    return found
