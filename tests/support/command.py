"""The command line in the process of the tests, where a process of its own would only cost time."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from vidcam.cli import main


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Put the handlers of signals back that the command sets."""
    handlers = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for kind, handler in handlers.items():
            signal.signal(kind, handler)


def exit_code(*words: object) -> int:
    """Run ``vidcam words...`` and return its exit code; what it prints is printed."""
    with pytest.MonkeyPatch.context() as patch, handlers_kept():
        patch.setattr(sys, "argv", ["vidcam", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main.main()
    code = stop.value.code
    return 0 if code is None else int(code)
