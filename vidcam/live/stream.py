"""Frames in, updates out, without waiting for one another: sampling where frames arrive, explaining in a thread of its own.

Windows are made of all frames, exactly as for a file; when the model is slower than the hop, windows are left out, never
frames of a window: the newest complete window is explained next. So what is explained is what ``annotate`` would have explained.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from statistics import median_low
from typing import TYPE_CHECKING

import numpy as np

from vidcam.errors import VidcamError
from vidcam.explainers.core import Method
from vidcam.live.budget import Budget
from vidcam.live.running import Running, Update
from vidcam.pipeline import Session, Settings
from vidcam.planes import Planes
from vidcam.types import Frame, UInt8Array, Window

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
    return replace(settings, tail="drop", smoothing="exponential", hop_s=settings.hop_s or HOP_S)


class Stream:
    """One source being explained. :meth:`push` takes frames; listeners get each frame and each :class:`Update`.

    Those of ``on_gap`` are told that a new clip begins, and at which second, before its first frame and after the last update
    of the clip before it. ``settings`` become those of :func:`live_settings`. ``cpu`` is the share of the machine that the whole
    program may use. ``turn`` is a lock that streams of one engine share. Listeners are called in the threads that made the news;
    be quick.
    """

    def __init__(
        self, engine: Engine, settings: Settings, *, cpu: float = 1.0, name: str = "", turn: threading.Lock | None = None
    ) -> None:
        self.engine, self.settings, self.name = engine, live_settings(settings), name
        self.budget = Budget(cpu, least_s=self.settings.hop_s or HOP_S)
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
        self._newest: tuple[Session, Window] | None = None
        self._last: tuple[Session, Window] | None = None
        self._busy = self._closed = False
        self._size: tuple[int, int] | None = None
        self._arrived = 0.0
        self._arrivals: deque[float] = deque(maxlen=60)
        self._steps: deque[float] = deque(maxlen=60)  # seconds from frame to frame, on the stream's clock
        self._moment = 0.0, datetime.now(UTC)  # a second of the stream, and the time of day that it was
        self._still: tuple[float, UInt8Array] | None = None
        self._thread = threading.Thread(target=self._run, name="vidcam-explain", daemon=True)
        self._thread.start()

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
        return latest.time - update.time + (time.monotonic() - self._arrived)

    @property
    def frozen_s(self) -> float:
        """For how many seconds the picture has not changed in a single pixel that was looked at; 0 where it lives."""
        still = 0.0 if self._still is None or self.latest is None else self.latest.time - self._still[0]
        return still if still >= STILL_S else 0.0

    def clock(self, second: float) -> datetime:
        """A second of the stream as the time of day (UTC), by when the newest frame came."""
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
        self._size, self.latest, self._arrived = frame.size, frame, time.monotonic()
        self._moment = frame.time, datetime.now(UTC)
        self._arrivals.append(self._arrived)
        self._watch(frame)
        windows = self._session.sample(frame)
        if windows:
            self._offer(windows[-1], skipped=len(windows) - 1)
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
        windows = self._session.rest() if self.latest is not None else []
        if windows:
            self._offer(windows[-1], skipped=len(windows) - 1)
        self.settle()

    def settle(self, timeout: float = 60.0) -> None:
        """Until nothing is left to explain."""
        with self._news:
            self._news.wait_for(lambda: (self._newest is None and not self._busy) or self._closed, timeout)

    def close(self) -> None:
        """Stop explaining; returns when the thread has ended."""
        with self._news:
            self._closed = True
            self._news.notify_all()
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
            step_s=spec.interval_s,
            clip_s=spec.clip_s,
            smooth_s=settings.smooth_s,
            chosen=bool(settings.classes),
        )

    def _offer(self, window: Window, *, skipped: int) -> None:
        with self._news:
            self.skipped += skipped + (self._newest is not None)
            self._newest = self._session, window
            self._news.notify_all()

    def _run(self) -> None:
        try:
            while self._explain_next():
                pass
        except VidcamError as error:
            self.error = error
        except Exception as error:  # forwarded: a thread must not end in silence
            self.error = VidcamError(f"explaining failed: {type(error).__name__}: {error}")
        finally:
            with self._news:
                self._closed = True
                self._busy = False
                self._news.notify_all()

    def _explain_next(self) -> bool:
        """Explain the newest window when there is one; False when closed."""
        with self._news:
            self._news.wait_for(lambda: self._newest is not None or self._closed)
            if self._closed or self._newest is None:
                return False
            session, window = self._last = self._newest
            self._newest, self._busy = None, True
        began = time.perf_counter()
        with self._explaining:
            if session is self._session:  # else the clip that it belongs to is over
                with self._engine_turn:
                    explanation = session.explain(window)
                update = self._running.add(explanation)
                self.took_s = time.perf_counter() - began
                self.explained += 1
                self.update = update
                self._remember(update)
                for listener in tuple(self.on_update):
                    listener(update)
        pause = self.budget.look(spent_s=time.process_time(), now=began)
        with self._news:
            self._busy = False
            self._news.notify_all()
            if pause > (self.settings.hop_s or HOP_S):
                self._news.wait_for(lambda: self._closed, max(0.0, began + pause - time.perf_counter()))
        return True

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
