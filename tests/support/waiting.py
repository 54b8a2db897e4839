"""Waiting for a state. A time-out here ends a test that hangs; no test passes or fails by how long something took."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

HANG_S = 600.0
"""Longer than anything that a test waits for takes on the slowest machine: what takes longer has hung."""

HANG_MS = 1000 * HANG_S

_LOOK_S = 0.03

T = TypeVar("T")


def until(condition: Callable[[], object]) -> None:
    """Wait until ``condition()`` holds."""
    nothing = threading.Event()
    for _ in range(int(HANG_S / _LOOK_S)):
        if condition():
            return
        nothing.wait(_LOOK_S)
    raise AssertionError("it did not come to that")


def run_async(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what the coroutine returns, out of a thread of its own: this one may have the browser's event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result(HANG_S)


def happened(event: threading.Event) -> None:
    """Wait until the event is set."""
    assert event.wait(HANG_S), "it did not come to that"


def ended(thread: threading.Thread) -> None:
    """Wait until the thread has ended."""
    thread.join(HANG_S)
    assert not thread.is_alive(), f"{thread.name} goes on"


def vidcam_threads() -> list[str]:
    """Return the names of vidcam's threads that are running."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("vidcam-")]
