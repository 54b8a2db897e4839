"""One thread that explains the newest clips of several streams, several at once, so that no stream waits for long.

The streams may have different models.

A round takes the newest clip of each stream that has one waiting. Clips that can be computed together go through the network in
one call. If they would take too long together, the streams that have waited longest come first.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from typing import TYPE_CHECKING

from vidcam.errors import VidcamError
from vidcam.io.clock import SYSTEM, Clock
from vidcam.live.budget import Budget
from vidcam.pipeline import Session, explain_together
from vidcam.values import Clip

if TYPE_CHECKING:
    from vidcam.live.stream import Stream

__all__ = ["Explainer"]

ROUND_S = 0.15  # a round takes as many clips as have lately been explained in this time, at least one

Part = tuple["Stream", Session, Clip]


class Explainer:
    """Explains the streams that are added to it, in a thread that runs as long as there are started streams.

    Args:
        cpu: The share of the machine's processor, 0 to 1, that the whole program may use.
        least_s: The least seconds from the start of one round to that of the next.
        real_time: If false, nothing pauses.
        clock: The clock of pauses.
    """

    def __init__(self, *, cpu: float = 1.0, least_s: float = 0.1, real_time: bool = True, clock: Clock = SYSTEM) -> None:
        self.budget = Budget(cpu, least_s=least_s)
        self.changed = threading.Condition()
        """Guards what waits in the streams, and is notified when that changes."""
        self._real_time, self._clock = real_time, clock
        self._streams: list[Stream] = []  # in the order of their last turn
        self._clip_s: float | None = None  # seconds that a clip took lately
        self._began = clock.now()  # when the last round began
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether a thread explains."""
        return self._thread is not None

    def add(self, stream: Stream) -> None:
        """Explain this stream too."""
        with self.changed:
            self._streams.append(stream)

    def start(self) -> None:
        """Explain in a thread from now on, if none does yet."""
        with self.changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="vidcam-explain", daemon=True)
                self._thread.start()

    def remove(self, stream: Stream) -> None:
        """Explain this stream no more; return when nothing of it is being explained. The thread ends with the last stream."""
        with self.changed:
            if stream in self._streams:
                self._streams.remove(stream)
            self.changed.notify_all()
            thread = self._thread
            self.changed.wait_for(lambda: not stream.is_busy)
            if thread is not None:
                self.changed.wait_for(lambda: self._streams or self._thread is not thread)
            is_over = self._thread is not thread
        if thread is not None and is_over:
            thread.join()

    def step(self) -> bool:
        """Explain the newest clips that wait; return whether there were any. The thread calls this again and again."""
        with self.changed:
            turn = [stream for stream in self._streams if stream.is_waiting][: self._count()]
            for stream in turn:  # these go to the end of the line
                self._streams.remove(stream)
            self._streams += turn
            parts = [(stream, *stream.take_newest()) for stream in turn]
        self._began = self._clock.now()
        try:
            with ExitStack() as stack:
                for stream, _, _ in parts:
                    stack.enter_context(stream.explaining)
                current = [part for part in parts if part[0].is_current(part[1])]  # others come from before a gap
                for group in self._groups(current):
                    self._explain(group)
        finally:
            with self.changed:
                for stream in turn:
                    stream.is_busy = False
                self.changed.notify_all()
        return bool(turn)

    def _count(self) -> int:
        """Return how many clips a round takes at most."""
        return 1 if self._clip_s is None else max(1, int(ROUND_S / max(self._clip_s, 0.001)))

    def _groups(self, parts: Iterable[Part]) -> Iterator[Sequence[Part]]:
        """Yield parts that are explained in one call."""
        for _, group in groupby(sorted(parts, key=_kind), key=_kind):
            clips = list(group)
            session = clips[0][1]
            size = max(1, session.engine.chunk // len(session.views))
            for start in range(0, len(clips), size):
                yield clips[start : start + size]

    def _explain(self, parts: Sequence[Part]) -> None:
        began = self._clock.now()
        try:
            explanations = explain_together([(session, clip) for _, session, clip in parts])
        except Exception as error:  # a thread must not end in silence
            for stream, _, _ in parts:
                _fail(stream, error)
            return
        took_s = self._clock.now() - began
        self._clip_s = took_s / len(parts)
        for (stream, _, _), explanation in zip(parts, explanations, strict=True):
            try:
                stream.accept(explanation, took_s=took_s)
            except Exception as error:  # one stream must not end the others
                _fail(stream, error)

    def _run(self) -> None:
        while self._wait():
            self.step()

    def _wait(self) -> bool:
        """Wait until there is a clip to explain and the processor's budget allows it; return False if no stream is left."""
        pause = self.budget.update(spent_s=self._clock.processor(), now=self._began) if self._real_time else 0.0
        with self.changed:
            if pause > self.budget.least_s:
                self._clock.wait(self.changed, lambda: not self._streams, self._began + pause - self._clock.now())
            self.changed.wait_for(lambda: not self._streams or any(stream.is_waiting for stream in self._streams))
            if self._streams:
                return True
            self._thread = None
            self.changed.notify_all()
            return False


def _kind(part: Part) -> tuple[object, ...]:
    """Return what is equal for parts that are explained in one call.

    A method that computes each class anew gains nothing from it: it would compute the classes of all for each.
    """
    stream, session, _ = part
    return id(session.engine), *session.kind, 0 if session.method.family == "cam" else id(stream)


def _fail(stream: Stream, error: Exception) -> None:
    if not isinstance(error, VidcamError):
        error = VidcamError(f"explaining failed: {type(error).__name__}: {error}")
    stream.fail(error)
