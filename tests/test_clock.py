"""Checks the system clock, the manual clock of tests, and that no code reads the time elsewhere."""

from __future__ import annotations

import ast
import asyncio
import threading
import types
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.clock import NOON, ManualClock
from support.waiting import ended, run_async, until

from vidcam.io.clock import SYSTEM, Clock, Stop

ROOT = Path(__file__).parent.parent


def test_system_clock_never_goes_back_and_knows_the_day() -> None:
    before, day = SYSTEM.now(), datetime.now(UTC)  # noqa: TID251 - what it is compared with
    SYSTEM.sleep(-1.0)  # what is late is not waited for
    assert SYSTEM.now() >= before
    assert timedelta(0) <= SYSTEM.wall() - day < timedelta(hours=1)
    spent = SYSTEM.processor()
    sum(range(10**6))
    assert SYSTEM.processor() > spent


def test_system_clock_waits_for_what_is_notified_or_gives_up() -> None:
    news, came = threading.Condition(), []

    def bring() -> None:
        with news:
            came.append(1)
            news.notify_all()

    with news:
        thread = threading.Thread(target=bring)
        thread.start()
        assert SYSTEM.wait(news, lambda: came)
        assert not SYSTEM.wait(news, lambda: len(came) > 1, 0.01)
    ended(thread)

    async def events() -> tuple[bool, bool]:
        event = asyncio.Event()
        missed = await SYSTEM.wait_async(event, 0.01)
        event.set()
        return missed, await SYSTEM.wait_async(event, 60.0)

    assert run_async(events()) == (False, True)


@types.coroutine
def turn() -> Generator[None, None, None]:
    """Let the loop run what is due."""
    yield


@pytest.mark.parametrize("clock", [SYSTEM, ManualClock()])
@pytest.mark.parametrize("turns", range(5))
def test_cancellation_that_comes_with_the_event_is_not_lost(clock: Clock, turns: int) -> None:
    """Whichever turn of the loop it comes in, before the waiting task goes on."""

    async def cancel() -> bool:
        event = asyncio.Event()
        task = asyncio.create_task(clock.wait_async(event, 600))
        await turn()
        event.set()
        for _ in range(turns):
            await turn()
        is_asked = task.cancel()
        await asyncio.wait([task])
        return task.cancelled() == is_asked

    assert run_async(cancel())


def test_stop_ends_a_pause_and_wakes_what_waits_elsewhere() -> None:
    clock = ManualClock()
    stop, news, results = Stop(clock), threading.Condition(), []
    stop.wakes(news)

    def pause() -> None:
        results.append(stop.wait(5.0))
        with news:
            news.wait_for(stop.is_set)
        results.append("woken")

    thread = threading.Thread(target=pause)
    thread.start()
    until(lambda: clock.waits == [5.0])
    clock.advance(5.0)
    until(lambda: results == [False])  # the pause is over, and nobody was asked to stop
    stop.set()
    ended(thread)
    assert results == [False, "woken"]
    assert stop.wait(5.0)
    assert stop.is_set()


def test_manual_clock_wakes_a_sleeper_once_its_time_has_come() -> None:
    clock, woken = ManualClock(now=10.0), []
    thread = threading.Thread(target=lambda: (clock.sleep(2.0), woken.append(clock.now())))
    thread.start()
    until(lambda: clock.waits == [2.0])
    clock.advance(1.5)
    assert woken == []
    clock.advance(1.0)
    ended(thread)
    assert woken == [12.5]
    assert clock.wall() == NOON + timedelta(seconds=12.5)


def test_manual_clock_that_jumps_passes_every_pause_at_once() -> None:
    clock = ManualClock(jumps=True)
    clock.sleep(3.0)
    assert not Stop(clock).wait(4.0)
    assert run_async(clock.wait_async(asyncio.Event(), 5.0)) is False
    assert (clock.now(), clock.waits) == (12.0, [3.0, 4.0, 5.0])


def calls(path: Path, *names: str) -> list[int]:
    """Return the lines of a Python file on which an attribute of one of these names is used."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in names]


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda p: p.name)
def test_no_test_of_a_page_waits_for_milliseconds(path: Path) -> None:
    assert calls(path, "wait_for_timeout") == []  # what reads the clock of Python is refused by ruff, see pyproject.toml


def test_viewer_page_reads_the_time_in_one_place() -> None:
    for script in (ROOT / "vidcam" / "web" / "static" / "live").glob("*.js"):
        text = script.read_text(encoding="utf-8")
        if script.name != "clock.js":
            assert not [word for word in ("performance.now", "setTimeout", "setInterval", "Date.now") if word in text], script
