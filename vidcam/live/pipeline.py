"""One source being watched: all that runs for it, started and stopped together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vidcam.errors import VidcamError
from vidcam.io.clock import SYSTEM, Clock
from vidcam.live.actions import REELS, WRITE_S, EventClips
from vidcam.live.capture import Capture
from vidcam.live.events import Action, Event, Monitor, Worker
from vidcam.live.pictures import Pictures
from vidcam.live.rules import Rule
from vidcam.live.sources import LiveSource
from vidcam.live.stream import Stream
from vidcam.pipeline import Settings
from vidcam.values import Frame

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["MonitorConfig", "Watch"]


class MonitorConfig:
    """What is to be done about what is seen: which rules, which actions, where lines, snapshots and films go."""

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        actions: Sequence[Action] = (),
        *,
        lines: Callable[[Event], None] | None = None,
        snapshots: Path | None = None,
        films: Path | None = None,
        say: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self.rules, self.actions = tuple(rules), tuple(actions)
        self.lines, self.snapshots, self.films, self.say = lines, snapshots, films, say


class Watch:
    """Reads ``source`` from :meth:`start` on, and explains it from :meth:`go` on; :meth:`close` ends all threads."""

    def __init__(self, source: LiveSource, *, real_time: bool = True, clock: Clock = SYSTEM) -> None:
        """If ``real_time`` is false, every window is explained, and the source waits for that."""
        self.source, self.real_time, self.clock = source, real_time, clock
        self._news = threading.Condition()
        self.capture = Capture(source, self._take, clock=clock, changed=self._tell)
        self.viewers = 0
        self.monitor: Monitor | None = None
        self._explained: Stream | None = None
        self._attached = threading.Event()
        self._going = False
        self._stack = ExitStack()

    def start(self) -> Watch:
        self._stack.callback(self.capture.close)
        self._stack.callback(self._attached.set)  # before that: it may be waiting there
        self.capture.start()
        return self

    def explain(
        self,
        engine: Engine,
        settings: Settings,
        *,
        cpu: float = 1.0,
        orders: MonitorConfig | None = None,
        turn: threading.Lock | None = None,
    ) -> Stream:
        """The stream that will explain the source, with all that acts on it.

        UsageError where the settings or the rules do not fit the model.
        """
        # What is closed first is put on the stack last: the source, then what it feeds, then who acts on that.
        outer = ExitStack()
        stream = Stream(
            engine,
            settings,
            cpu=cpu,
            name=self.source.name,
            turn=turn,
            real_time=self.real_time,
            clock=self.clock,
            changed=self._tell,
        ).start()
        try:
            self.pictures = Pictures(real_time=self.real_time, changed=self._tell)
            if orders is not None and orders.rules:
                self.monitor = self._follow(stream, orders, outer)
        except BaseException:
            stream.close()
            self.pictures.close()
            outer.close()
            raise
        outer.callback(self.pictures.close)
        outer.callback(stream.close)
        outer.push(self._stack.pop_all())
        self._stack = outer
        stream.on_frame.append(self.pictures.push)
        self._explained = stream
        return stream

    def go(self) -> Watch:
        """Let the frames through to what was made by :meth:`explain`, and whatever else listens by now."""
        self._going = True
        self._attached.set()
        return self

    @property
    def stream(self) -> Stream:
        assert self._explained is not None, "explain() comes first"
        return self._explained

    @property
    def error(self) -> VidcamError | None:
        """What has failed for good."""
        return self.stream.error or self.capture.error or self.pictures.error

    @property
    def state(self) -> Literal["opening", "running", "silent", "frozen", "waiting", "ended", "failed"]:
        """What goes on at present."""
        if self.error is not None:
            return "failed"
        return "frozen" if self.capture.state == "running" and self.stream.frozen_s else self.capture.state

    @property
    def reason(self) -> str:
        """Why all is not well, in a sentence; empty where it is."""
        if self.error is not None:
            return str(self.error)
        return {
            "silent": f"{self.source.name} has stopped sending pictures",
            "frozen": f"the picture of {self.source.name} has not changed for {self.stream.frozen_s:.0f} seconds",
            "ended": f"{self.source.name} has ended",
            "running": "",
        }.get(self.state, self.capture.reason)

    def wait(self, over: Callable[[], bool], seconds: float | None = None) -> bool:
        """Wait until ``over()``, looked at whenever the source begins, ends or fails; for at most ``seconds``."""
        with self._news:
            return self.clock.wait(self._news, over, seconds)

    def _tell(self) -> None:
        with self._news:
            self._news.notify_all()

    def close(self) -> None:
        """End everything; returns when all threads have ended."""
        self._stack.close()

    def _follow(self, stream: Stream, orders: MonitorConfig, outer: ExitStack) -> Monitor:
        """Who tells the events of the stream, and all who do something about them: whatever is slow has a worker of its own."""
        told: list[Callable[[Event], None]] = [] if orders.lines is None else [orders.lines]
        films = None
        if orders.films is not None:
            cutter = Worker(orders.say, "a film", waiting=REELS, goodbye_s=WRITE_S, clock=self.clock).start()
            outer.callback(cutter.close)
            films = EventClips(orders.films, cutter, hold_s=max(rule.hold_s for rule in orders.rules))
            outer.callback(films.close)
            self.pictures.add(lambda jpeg, time: films.picture(jpeg, time=time))
            stream.on_gap.append(films.gap)
        for action in orders.actions:
            hand = Worker(orders.say, action.name, clock=self.clock).start()
            outer.callback(hand.close)
            told.append(hand.takes(action))
        writer = Worker(orders.say, "a line or a snapshot", clock=self.clock).start()  # closed before those to whom it hands on
        outer.callback(writer.close)
        monitor = Monitor(stream, orders.rules, told, writer, orders.snapshots, films)
        outer.callback(monitor.close)
        stream.on_update.append(monitor.update)
        stream.on_gap.append(lambda begin: monitor.close())
        return monitor

    def _take(self, frame: Frame) -> None:
        if not self._going:
            if not self.source.ends:
                return  # what a camera shows while the model is being loaded is gone
            self._attached.wait()  # but a file is explained from its beginning
            if not self._going:
                return
        self.stream.push(frame)
