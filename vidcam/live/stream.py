"""Frames in, updates out: frames are sampled where they arrive, and clips are explained in the thread of an :class:`Explainer`.

Clips are made of all frames, exactly as for a file. If the model is slower than the hop, clips are left out, never frames of a
clip: the newest complete clip is explained next. So each explanation is one that ``annotate`` would have made.
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
from vidcam.evidence.labels import label_of
from vidcam.io.clock import SYSTEM, Clock
from vidcam.live.budget import Budget
from vidcam.live.explainer import Explainer
from vidcam.live.state import LiveEvidence, Update, find_full_strength
from vidcam.methods.core import Method
from vidcam.pipeline import Explanation, Session
from vidcam.settings import Settings
from vidcam.values import Clip, Frame, UInt8Array
from vidcam.yuv import Planes

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["DEFAULTS", "HOP_S", "KEEP_S", "Stream", "live_settings"]

HOP_S = 0.1
DEFAULTS = Settings(smooth_s=0.15)
GAP_S = 1.0  # after this long without a frame a new clip of the stream begins, so that no model input spans the gap
FROZEN_S = 5.0  # a picture that has not changed at all for this long is called frozen
KEEP_S = 60.0  # how far one can look back


def live_settings(settings: Settings) -> Settings:
    """Return the settings as a live stream can have them: no tail, smoothing over the past only, a short hop."""
    hop_s = settings.seconds_between_clip_starts or HOP_S
    return replace(settings, tail="drop", smoothing="exponential", seconds_between_clip_starts=hop_s)


def _open_session(engine: Engine, settings: Settings) -> Session:
    """Return a session that explains the answers too: rules follow them, whatever class a viewer has chosen."""
    return Session(engine, settings, with_answers=True)


class Stream:
    """Explains one source. :meth:`push` takes frames; listeners get each frame and each :class:`Update`.

    Clips are explained in the explainer's thread from :meth:`start` on. Listeners are called in the threads that made the news
    and must be quick: ``on_frame`` with each frame, ``on_update`` with each update, and ``on_gap`` with the second at which a
    new clip of the stream begins, before its first frame and after the last update before it.

    Args:
        engine: The model.
        settings: How it is explained; they become those of :func:`live_settings`.
        cpu: The share of the machine's processor, 0 to 1, that the whole program may use.
        name: Names the source for the user.
        real_time: If false, every clip is explained, and :meth:`push` waits for that; else the newest clip is explained next.
        clock: The clock of ages and pauses.
        changed: Called when explaining has ended, by :meth:`close` or by an :attr:`error`.
        explainer: Explains the stream along with others; None for one of its own.

    Raises:
        UsageError: The settings do not fit the model.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        *,
        cpu: float = 1.0,
        name: str = "",
        real_time: bool = True,
        clock: Clock = SYSTEM,
        changed: Callable[[], None] = lambda: None,
        explainer: Explainer | None = None,
    ) -> None:
        self.engine, self.settings, self.name, self.clock = engine, live_settings(settings), name, clock
        self.real_time, self._on_end = real_time, changed
        self.error: VidcamError | None = None
        self.latest: Frame | None = None
        self.update: Update | None = None
        self.past: deque[Update] = deque()
        """The updates of the last minute."""
        self.explained = self.skipped = 0
        """How many clips were explained, and left out."""
        self.took_s = 0.0
        """Seconds that the last explanation took."""
        self.on_frame: list[Callable[[Frame], None]] = []
        self.on_update: list[Callable[[Update], None]] = []
        self.on_gap: list[Callable[[float], None]] = []
        self._session = _open_session(engine, self.settings)  # refuses settings that do not fit
        self._evidence = self._new_evidence()
        self.explaining = threading.Lock()
        """Held while a clip is explained, and while the settings or the session change."""
        least_s = self.settings.seconds_between_clip_starts or HOP_S
        self._explainer = explainer or Explainer(cpu=cpu, least_s=least_s, real_time=real_time, clock=clock)
        self._changed = self._explainer.changed
        self._newest: tuple[Session, Clip] | None = None
        self._last: tuple[Session, Clip] | None = None
        self.is_busy = False
        """Whether a clip is being explained; the explainer says so."""
        self._closed = False
        self._size: tuple[int, int] | None = None
        self._arrived = 0.0
        self._arrivals: deque[float] = deque(maxlen=60)
        self._steps: deque[float] = deque(maxlen=60)  # seconds from frame to frame, on the stream's clock
        self._moment = 0.0, clock.wall()  # a second of the stream, and the time of day that it was
        self._still: tuple[float, UInt8Array] | None = None  # since when the picture has been the same, and its sample
        self._explainer.add(self)

    def start(self) -> Stream:
        """Begin to explain."""
        self._explainer.start()
        return self

    # --- what is known

    @property
    def budget(self) -> Budget:
        """The budget of the processor, which all streams of the explainer share."""
        return self._explainer.budget

    @property
    def method(self) -> Method:
        """The present method."""
        return self._session.method

    @property
    def size(self) -> tuple[int, int] | None:
        """The present size (H, W) of the frames; None before the first."""
        return self._size

    @property
    def fps(self) -> float:
        """Frames a second, over the last sixty frames without a gap."""
        arrivals = tuple(self._arrivals)
        return (len(arrivals) - 1) / (arrivals[-1] - arrivals[0]) if len(arrivals) > 1 and arrivals[-1] > arrivals[0] else 0.0

    @property
    def age_s(self) -> float | None:
        """The age in seconds of the newest frame that the evidence rests on; None before there is any."""
        update, latest = self.update, self.latest
        if update is None or latest is None:
            return None
        return latest.time - update.time + (self.clock.now() - self._arrived)

    @property
    def frozen_s(self) -> float:
        """For how many seconds no sampled pixel of the picture has changed; 0 if that is less than five."""
        still = 0.0 if self._still is None or self.latest is None else self.latest.time - self._still[0]
        return still if still >= FROZEN_S else 0.0

    def time_of_day(self, second: float) -> datetime:
        """Return a second of the stream as the time of day (UTC), by the arrival of the newest frame."""
        newest, arrival = self._moment
        return arrival + timedelta(seconds=second - newest)

    # --- what goes in

    def push(self, frame: Frame) -> None:
        """Take the next frame; the thread that captures calls it."""
        last = self.latest
        if last is not None:
            step, usual = frame.time - last.time, median_low(self._steps) if self._steps else 0.0
            if frame.size != self._size or not 0 < step <= max(GAP_S, 3 * usual):
                self._begin_clip(frame, last)
            if step > 0:
                self._steps.append(step)
        self._size, self.latest, self._arrived = frame.size, frame, self.clock.now()
        self._moment = frame.time, self.clock.wall()
        self._arrivals.append(self._arrived)
        self._check_frozen(frame)
        session = self._session  # the model may change meanwhile
        self._take(session, session.sample(frame))
        for listener in tuple(self.on_frame):
            listener(frame)

    def choose(self, settings: Settings) -> None:
        """Explain with other settings from now on, and the last clip at once. UsageError if they do not fit the model."""
        changed = live_settings(settings)
        with self.explaining:
            self._session.choose(changed)
            self.settings = changed
            self._evidence = self._new_evidence()
        with self._changed:
            if self._newest is None and self._last is not None and self._last[0] is self._session:
                self._newest = self._last
                self._changed.notify_all()

    def use(self, engine: Engine, settings: Settings) -> None:
        """Explain with another model from now on. Call it while nothing is being explained.

        UsageError if the settings do not fit the model; nothing has changed then.
        """
        changed = live_settings(settings)
        session = _open_session(engine, changed)
        self.engine, self.settings, self._session = engine, changed, session
        self._evidence = self._new_evidence()
        self.update = None
        self.past.clear()
        with self._changed:
            self._newest = self._last = None
            self._changed.notify_all()

    def finish(self) -> None:
        """Explain what the end of the source completes; return when that is done."""
        self._take(self._session, self._session.rest() if self.latest is not None else [])
        self.settle()

    def settle(self) -> None:
        """Return when nothing is left to explain. A stream that was not started explains it now, in the calling thread."""
        if not self._explainer.is_running:
            while self.is_waiting and self.step():
                pass
            return
        with self._changed:
            self._changed.wait_for(lambda: (self._newest is None and not self.is_busy) or self._closed)

    def step(self) -> bool:
        """Explain the newest clip that waits; return whether there was one."""
        return self._explainer.step()

    def close(self) -> None:
        """Stop explaining; return when nothing of the stream is being explained."""
        with self._changed:
            self._closed, self._newest = True, None
        self._explainer.remove(self)
        self._on_end()

    # --- called by the explainer

    @property
    def is_waiting(self) -> bool:
        """Whether a clip waits to be explained."""
        return self._newest is not None and not self._closed

    def take_newest(self) -> tuple[Session, Clip]:
        """Return the clip that waits, and its session; it is being explained from now on."""
        assert self._newest is not None
        session, clip = self._last = self._newest
        self._newest, self.is_busy = None, True
        return session, clip

    def is_current(self, session: Session) -> bool:
        """Return whether clips of the session may be explained; if not, they come from before a gap."""
        return session is self._session and not self._closed

    def accept(self, explanation: Explanation, *, took_s: float) -> None:
        """Take the explanation of the newest clip, which took ``took_s`` seconds, perhaps along with other streams' clips."""
        update = self._evidence.add(explanation)
        self.took_s = took_s
        self.explained += 1
        self.update = update
        self._remember(update)
        for listener in tuple(self.on_update):
            listener(update)

    def fail(self, error: VidcamError) -> None:
        """Stop explaining because of an error."""
        with self._changed:
            self.error, self._closed, self._newest = error, True, None
            self._changed.notify_all()
        self._on_end()

    # --- the work

    def _begin_clip(self, frame: Frame, last: Frame) -> None:
        """Begin a new clip of the stream with this frame, after a gap or a change of size."""
        with self.explaining:
            self._session = _open_session(self.engine, self.settings)
            if frame.size != self._size or frame.time <= last.time:
                self._evidence = self._new_evidence()
            self._arrivals.clear()
            for listener in tuple(self.on_gap):
                listener(frame.time)

    def _new_evidence(self) -> LiveEvidence:
        spec, settings = self.engine.spec, self.settings
        return LiveEvidence(
            self.engine.labels,
            step_s=spec.seconds_between_frames,
            clip_s=spec.clip_s,
            smooth_s=settings.smooth_s,
            chosen=tuple(label_of(self.engine.labels, c) for c in settings.classes),
            rejects=spec.rejects,
            full_strength=find_full_strength(1 if spec.multi_label else len(self.engine.labels), spec.temperature),
        )

    def _take(self, session: Session, clips: Sequence[Clip]) -> None:
        """Have these clips of the session explained: all of them or, in real time, the newest."""
        for clip in clips if not self.real_time else clips[-1:]:
            with self._changed:
                self.skipped += self._newest is not None
                self._newest = session, clip
                self._changed.notify_all()
            if not self.real_time:
                self.settle()
        if self.real_time:
            self.skipped += max(0, len(clips) - 1)

    def _remember(self, update: Update) -> None:
        past = self.past
        if past and update.time < past[-1].time:
            past.clear()
        past.append(update)
        while past[0].time < update.time - KEEP_S:
            past.popleft()

    def _check_frozen(self, frame: Frame) -> None:
        """Note whether the picture still changes, on a grid of its pixels."""
        picture = frame.picture
        sample = np.ascontiguousarray(picture.y[::8, ::8] if isinstance(picture, Planes) else picture[::8, ::8, 1])
        if self._still is None or not np.array_equal(sample, self._still[1]):
            self._still = frame.time, sample
