"""Signals that end the command in an orderly way, so that half-written files are removed."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vidcam.errors import Terminated

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["handled_signals", "polite_interrupt"]

RETRY_S = 0.05


@contextmanager
def handled_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGINT into exceptions in the main thread; the former handlers are back at the end.

    A SIGINT that the shell has told the process to ignore stays ignored.
    """
    previous = {signal.SIGTERM: signal.signal(signal.SIGTERM, _unwind)}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        previous[signal.SIGINT] = signal.signal(signal.SIGINT, _unwind)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: it was not set by Python


@contextmanager
def polite_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` at the first SIGINT in the block; the next one has the effect that it had before."""
    previous = signal.getsignal(signal.SIGINT)
    if previous is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, previous)
        stop()

    signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _unwind(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt for SIGINT and Terminated for others; an import in progress is finished first.

    A library may run Python from its C++ while it is imported (torch does); an exception there ends the process with abort().
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            _send_again(number)
            return
        frame = frame.f_back
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Terminated(128 + number)


def _send_again(number: int) -> None:
    """Send this process the signal once more, after a moment.

    It goes to the process, not to a thread, so that a waiting main thread wakes up. On Windows, kill() would end the process and
    raise_signal wakes the main thread too.
    """
    send = signal.raise_signal if os.name == "nt" else functools.partial(os.kill, os.getpid())
    again = threading.Timer(RETRY_S, send, (number,))
    again.daemon = True
    again.start()
