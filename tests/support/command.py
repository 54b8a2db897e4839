"""Running the command line in the process of the tests, which saves the time of starting one."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from vidcam.cli import main

Run = Callable[..., tuple[int, str, str]]
"""Runs ``vidcam words...``: (exit code, stdout, stderr)."""


def exit_code(*words: object) -> int:
    """Run ``vidcam words...`` and return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["vidcam", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main.main()
    code = stop.value.code
    return 0 if code is None else int(code)
