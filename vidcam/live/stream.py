"""Frames in, updates out, without waiting for one another: sampling where frames arrive, explaining in a thread of its own.

Windows are made of all frames, exactly as for a file; when the model is slower than the hop, windows are left out, never
frames of a window: the newest complete window is explained next. So what is explained is what ``annotate`` would have explained.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from statistics import median_low
from typing import TYPE_CHECKING

import numpy as np

from vidcam.errors import VidcamError
from vidcam.io.clock import SYSTEM, Clock
from vidcam.live.budget import Budget
from vidcam.live.state import Running, Update
from vidcam.methods.core import Method
from vidcam.pipeline import Session, Settings
from vidcam.values import Clip, Frame, UInt8Array
from vidcam.yuv import Planes

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["DEFAULTS", "HOP_S", "KEEP_S", "Stream", "live_settings"]

HOP_S = 0.1
DEFAULTS = Settings(smooth_s=0.15)
GAP_S = 1.0  # without a frame for so long, a new clip begins: a window must not be made of pictures from before and after
STILL_S = 5.0  # a picture that has not changed at all for so long is called frozen
KEEP_S = 60.0  # what one can look back on


def live_settings(settings: Settings) -> Settings:
    """``settings`` as a camera can have them: no end, nothing that looks into the future, a short hop."""
    return replace(
        settings, tail="drop", smoothing="exponential", seconds_between_clip_starts=settings.seconds_between_clip_starts or HOP_S
    )


class Stream:
    """One source being explained. :meth:`push` takes frames; listeners get each frame and each :class:`Update`.

    Windows are explained in a thread of its own from :meth:`start` on. If ``real_time`` is false, each of them is, and
    :meth:`push` waits for that; else the newest one is explained next.

    Those of ``on_gap`` are told that a new clip begins, and at which second, before its first frame and after the last update
    of the clip before it. ``settings`` become those of :func:`live_settings`. ``cpu`` is the share of the machine that the whole
    program may use. ``turn`` is a lock that streams of one engine share. Listeners are called in the threads that made the news;
    be quick.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        *,
        cpu: float = 1.0,
        name: str = "",
        turn: threading.Lock | None = None,
        real_time: bool = True,
        clock: Clock = SYSTEM,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """``changed`` is called when explaining has ended, by :meth:`close` or by an :attr:`error`."""
        self.engine, self.settings, self.name, self.clock = engine, live_settings(settings), name, clock
        self.real_time, self._changed = real_time, changed
        self.budget = Budget(cpu, least_s=self.settings.seconds_between_clip_starts or HOP_S)
        self.error: VidcamError | None = None
        self.latest: Frame | None = None
        self.update: Update | None = None
        self.past: deque[Update] = deque()
        """The updates of the last minute."""
        self.explained = self.skipped = 0
        self.took_s = 0.0
        """Seconds that the last explanation took."""
        self.on_frame: list[Callable[[Frame], None]] = []
        self.on_update: list[Callable[[Update], None]] = []
        self.on_gap: list[Callable[[float], None]] = []
        self._session = Session(engine, self.settings)  # refuses settings that do not fit
        self._running = self._joined()
        self._engine_turn = turn or threading.Lock()
        self._explaining = threading.Lock()  # one explanation, or one change of mind, at a time
        self._news = threading.Condition()
        self._newest: tuple[Session, Clip] | None = None
        self._last: tuple[Session, Clip] | None = None
        self._busy = self._closed = False
        self._began = clock.now()  # the last explanation
        self._size: tuple[int, int] | None = None
        self._arrived = 0.0
        self._arrivals: deque[float] = deque(maxlen=60)
        self._steps: deque[float] = deque(maxlen=60)  # seconds from frame to frame, on the stream's clock
        self._moment = 0.0, clock.wall()  # a second of the stream, and the time of day that it was
        self._still: tuple[float, UInt8Array] | None = None
        self._thread = threading.Thread(target=self._run, name="vidcam-explain", daemon=True)

    def start(self) -> Stream:
        """Begin to explain."""
        self._thread.start()
        return self

    # --- what is known

    @property
    def method(self) -> Method:
        """How it is explained at present."""
        return self._session.method

    @property
    def size(self) -> tuple[int, int] | None:
        """(H, W) of the frames at present; None before the first."""
        return self._size

    @property
    def fps(self) -> float:
        """Frames a second, by the last sixty of this clip."""
        arrivals = tuple(self._arrivals)
        return (len(arrivals) - 1) / (arrivals[-1] - arrivals[0]) if len(arrivals) > 1 and arrivals[-1] > arrivals[0] else 0.0

    @property
    def age_s(self) -> float | None:
        """How old the newest frame is that the evidence rests on; None before there is any."""
        update, latest = self.update, self.latest
        if update is None or latest is None:
            return None
        return latest.time - update.time + (self.clock.now() - self._arrived)

    @property
    def frozen_s(self) -> float:
        """For how many seconds the picture has not changed in a single pixel that was looked at; 0 where it lives."""
        still = 0.0 if self._still is None or self.latest is None else self.latest.time - self._still[0]
        return still if still >= STILL_S else 0.0

    def time_of_day(self, second: float) -> datetime:
        """Return a second of the stream as the time of day (UTC), by when the newest frame came."""
        newest, came = self._moment
        return came + timedelta(seconds=second - newest)

    # --- what goes in

    def push(self, frame: Frame) -> None:
        """Take the next frame; the thread that captures calls it."""
        last = self.latest
        if last is not None:
            step, usual = frame.time - last.time, median_low(self._steps) if self._steps else 0.0
            if frame.size != self._size or not 0 < step <= max(GAP_S, 3 * usual):
                self._begin_anew(frame, last)
            if step > 0:
                self._steps.append(step)
        self._size, self.latest, self._arrived = frame.size, frame, self.clock.now()
        self._moment = frame.time, self.clock.wall()
        self._arrivals.append(self._arrived)
        self._watch(frame)
        self._take(self._session.sample(frame))
        for listener in tuple(self.on_frame):
            listener(frame)

    def choose(self, settings: Settings) -> None:
        """Explain by other settings from now on, and the last window at once. UsageError where they do not fit the model."""
        changed = live_settings(settings)
        with self._explaining:
            self._session.choose(changed)
            self.settings = changed
            self._running = self._joined()
        with self._news:
            if self._newest is None and self._last is not None and self._last[0] is self._session:
                self._newest = self._last
                self._news.notify_all()

    def finish(self) -> None:
        """The source has ended: explain what it completed, and return when that is done."""
        self._take(self._session.rest() if self.latest is not None else [])
        self.settle()

    def settle(self) -> None:
        """Return when nothing is left to explain. A stream that was not started explains it now, in the calling thread."""
        if not self._thread.is_alive():
            while self.step():
                pass
            return
        with self._news:
            self._news.wait_for(lambda: (self._newest is None and not self._busy) or self._closed)

    def step(self) -> bool:
        """Explain the newest window that waits; return whether there was one. The thread calls this again and again."""
        with self._news:
            if self._closed or self._newest is None:
                return False
            session, window = self._last = self._newest
            self._newest, self._busy = None, True
        self._began = self.clock.now()
        try:
            with self._explaining:
                if session is self._session:  # else the clip that it belongs to is over
                    self._explain(session, window)
        finally:
            with self._news:
                self._busy = False
                self._news.notify_all()
        return True

    def close(self) -> None:
        """Stop explaining; returns when the thread has ended."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    # --- the work

    def _begin_anew(self, frame: Frame, last: Frame) -> None:
        """Another picture size, or a gap: a new clip begins with this frame."""
        with self._explaining:
            self._session = Session(self.engine, self.settings)
            if frame.size != self._size or frame.time <= last.time:
                self._running = self._joined()
            self._arrivals.clear()
            for listener in tuple(self.on_gap):
                listener(frame.time)

    def _joined(self) -> Running:
        spec, settings = self.engine.spec, self.settings
        return Running(
            self.engine.labels,
            step_s=spec.seconds_between_frames,
            clip_s=spec.clip_s,
            smooth_s=settings.smooth_s,
            chosen=bool(settings.classes),
            rejects=spec.rejects,
        )

    def _take(self, windows: Sequence[Clip]) -> None:
        """Have these windows explained: all of them, or, in real time, the newest."""
        for window in windows if not self.real_time else windows[-1:]:
            with self._news:
                self.skipped += self._newest is not None
                self._newest = self._session, window
                self._news.notify_all()
            if not self.real_time:
                self.settle()
        if self.real_time:
            self.skipped += max(0, len(windows) - 1)

    def _run(self) -> None:
        try:
            while self._wait():
                self.step()
        except VidcamError as error:
            self.error = error
        except Exception as error:  # forwarded: a thread must not end in silence
            self.error = VidcamError(f"explaining failed: {type(error).__name__}: {error}")
        finally:
            with self._news:
                self._closed = True
                self._news.notify_all()
            self._changed()

    def _wait(self) -> bool:
        """Until there is a window to explain and the processor's budget allows it; False when closed."""
        pause = self.budget.look(spent_s=self.clock.processor(), now=self._began) if self.real_time else 0.0
        with self._news:
            if pause > (self.settings.seconds_between_clip_starts or HOP_S):
                self.clock.wait(self._news, lambda: self._closed, self._began + pause - self.clock.now())
            self._news.wait_for(lambda: self._newest is not None or self._closed)
            return not self._closed

    def _explain(self, session: Session, window: Clip) -> None:
        with self._engine_turn:
            explanation = session.explain(window)
        update = self._running.add(explanation)
        self.took_s = self.clock.now() - self._began
        self.explained += 1
        self.update = update
        self._remember(update)
        for listener in tuple(self.on_update):
            listener(update)

    def _remember(self, update: Update) -> None:
        past = self.past
        if past and update.time < past[-1].time:
            past.clear()
        past.append(update)
        while past[0].time < update.time - KEEP_S:
            past.popleft()

    def _watch(self, frame: Frame) -> None:
        """Whether the picture still changes, looked at on a grid of its pixels."""
        picture = frame.picture
        sample = np.ascontiguousarray(picture.y[::8, ::8] if isinstance(picture, Planes) else picture[::8, ::8, 1])
        if self._still is None or not np.array_equal(sample, self._still[1]):
            self._still = frame.time, sample
