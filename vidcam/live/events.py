"""What happens on a stream, told as it happens: lines of JSON, snapshots, and actions that somebody asked for."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from vidcam import render
from vidcam.errors import OutputError, VidcamError
from vidcam.evidence.heat import render_heat
from vidcam.io.clock import SYSTEM, Clock
from vidcam.io.files import check_output
from vidcam.live.rules import RELEASE_S, Crossing, Rule, RuleTracker
from vidcam.live.state import Update, hot_box
from vidcam.live.stream import Stream
from vidcam.values import Box, Frame

__all__ = ["DEFAULT", "Action", "Event", "JsonlSink", "Monitor", "Onsets", "Worker"]

DEFAULT = Rule("any", ">", 0.6, 0.5)
WAITING = 64  # jobs in the queue of a worker; more would be told too late to be of use
GOODBYE_S = 8.0  # how long a worker may go on after the stream has ended


@dataclass(frozen=True)
class Event:
    """Something that began at ``start_s`` on the stream's clock (``start`` in UTC), and, once it is over, ended at ``end_s``.

    These are the seconds between which the evidence for it lies (:class:`Onsets`). The rule itself held from ``rule_start_s`` to
    ``rule_end_s``: an answer of the model has the second of the last frame of its window, so that is up to a window later.
    ``score`` is the highest probability so far; ``box`` where the evidence was when it was strongest, in source pixels; both None
    where unknown.
    """

    id: int
    source: str
    rule: str
    action: str
    start_s: float
    start: datetime
    score: float
    rule_start_s: float = 0.0
    rule_end_s: float | None = None
    box: Box | None = None
    snapshot: Path | None = None
    end_s: float | None = None
    end: datetime | None = None

    def to_json(self) -> dict[str, object]:
        """Plain values; ``box`` is [x, y, width, height]."""
        b = self.box
        return {
            "event": "start" if self.end is None else "end",
            "id": self.id,
            "source": self.source,
            "rule": self.rule,
            "action": self.action,
            "start": _utc(self.start),
            "end": None if self.end is None else _utc(self.end),
            "start_s": round(self.start_s, 3),
            "end_s": None if self.end_s is None else round(self.end_s, 3),
            "rule_start_s": round(self.rule_start_s, 3),
            "rule_end_s": None if self.rule_end_s is None else round(self.rule_end_s, 3),
            "score": round(self.score, 4),
            "box": None if b is None else [round(v, 1) for v in (b.x0, b.y0, b.x1 - b.x0, b.y1 - b.y0)],
            "snapshot": None if self.snapshot is None else str(self.snapshot),
        }


def _utc(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Action(Protocol):
    """What is done about events; has a worker of its own, may take its time, may raise VidcamError."""

    name: str
    """For people who are told that it was left out."""

    def __call__(self, event: Event) -> None: ...


class Worker:
    """One thread that does jobs one after the other, so that nobody who watches has to wait for what is done about it.

    ``what`` names its jobs to people. No more than ``waiting`` of them wait: what is left out is said. So is what is not done
    ``goodbye_s`` seconds after :meth:`close`.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        what: str = "an action",
        *,
        waiting: int = WAITING,
        goodbye_s: float = GOODBYE_S,
        clock: Clock = SYSTEM,
    ) -> None:
        self.failures = 0
        self._say, self._what, self._goodbye_s, self._clock = say, what, goodbye_s, clock
        self._most = waiting
        self._jobs: deque[Callable[[], None]] = deque()
        self._news = threading.Condition()
        self._closed = self._ended = False
        self._thread = threading.Thread(target=self._run, name="vidcam-worker", daemon=True)

    def start(self) -> Worker:
        """Begin to do the jobs."""
        self._thread.start()
        return self

    def do(self, job: Callable[[], None]) -> None:
        """Have ``job`` done after those that wait."""
        with self._news:
            room = len(self._jobs) < self._most
            if room:
                self._jobs.append(job)
                self._news.notify_all()
        if not room:
            self._complain(f"too many events at once: {self._what} was left out")

    def takes(self, action: Callable[[Event], None]) -> Callable[[Event], None]:
        """``action`` as a job of this worker: who calls it does not wait."""
        return lambda event: self.do(lambda: action(event))

    def step(self) -> bool:
        """Do the next job that waits; return whether there was one. The thread calls this again and again."""
        with self._news:
            if not self._jobs:
                return False
            job = self._jobs.popleft()
        try:
            job()
        except VidcamError as error:
            self._complain(str(error))
        except Exception as error:  # one bad job must not end the others
            self._complain(f"an action failed: {type(error).__name__}: {error}")
        return True

    def close(self) -> None:
        """Return when what was waiting is done, or given up after some seconds."""
        if not self._thread.is_alive():
            return
        with self._news:
            self._closed = True
            self._news.notify_all()
            done = self._clock.wait(self._news, lambda: self._ended, self._goodbye_s)
            if not done:
                self._jobs.clear()
        if done:
            self._thread.join()
        else:
            self._complain(f"{self._what} was given up: not done {self._goodbye_s:g} seconds after the end")

    def _run(self) -> None:
        while self._wait():
            self.step()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _wait(self) -> bool:
        """Until there is a job; False if there is none and no more will come."""
        with self._news:
            self._news.wait_for(lambda: self._jobs or self._closed)
            return bool(self._jobs)

    def _complain(self, sentence: str) -> None:
        self.failures += 1
        self._say(sentence)


class Onsets:
    """Remembers the evidence of the last seconds, to say when an action began and ended.

    The answer to a window is that of its last frame's second, but what it rests on lies anywhere in it: an action is known about
    half a window late. It began where the evidence for it rose above a quarter of its highest in that window, and ended where it
    fell below.
    """

    SHARE = 0.25

    def __init__(self, *, clip_s: float, keep_s: float) -> None:
        """``clip_s`` is the length of a window; ``keep_s`` how far back a rule may have begun to hold."""
        self._clip_s, self._keep_s = clip_s, clip_s + keep_s
        self._curves: dict[str, dict[float, float]] = {}

    def update(self, update: Update) -> None:
        """Take the newest evidence: what is known of a second may still change while windows look at it."""
        for label, (times, values) in update.recent.items():
            self._curves.setdefault(label, {}).update(zip(np.round(times, 6).tolist(), values.tolist(), strict=True))
        for label, curve in list(self._curves.items()):
            for time in [t for t in curve if t < update.time - self._keep_s]:
                del curve[time]
            if not curve:
                del self._curves[label]

    def clear(self) -> None:
        """Forget everything: another clip begins."""
        self._curves.clear()

    def start(self, label: str, since: float) -> float:
        """Return when an action began whose rule holds since the second ``since``."""
        return self._edge(label, since, first=True)

    def end(self, label: str, since: float) -> float:
        """Return when an action ended whose rule no longer holds since the second ``since``."""
        return self._edge(label, since, first=False)

    def _edge(self, label: str, since: float, *, first: bool) -> float:
        window = sorted((t, v) for t, v in self._curves.get(label, {}).items() if since - self._clip_s <= t <= since)
        values = np.array([v for _, v in window])
        if not len(window) or not values.max() > 0:
            return since - self._clip_s / 2  # nothing tells: the middle of the window
        strong = np.flatnonzero(values >= self.SHARE * values.max())
        times = [t for t, _ in window]
        if first:
            return float(times[strong[0]])
        step = times[1] - times[0] if len(times) > 1 else 0.0
        return float(min(since, times[strong[-1]] + step))


@dataclass
class _Open:
    event: Event
    best: float
    hottest: float = 0.0


@dataclass
class Monitor:
    """Follows the rules on a stream and tells every event, once when it starts and once when it ends.

    ``actions`` are jobs of ``worker``, after the snapshot: they should be quick. ``films`` is told directly, before the pictures
    that it wants are gone. ``snapshots``: a folder for a picture of each event with its evidence, made where it is missing. Rules
    that read the same are one. Give :meth:`update` to the stream's listeners; call :meth:`close` at the end of each clip.
    """

    stream: Stream
    rules: Sequence[Rule]
    actions: Sequence[Callable[[Event], None]]
    worker: Worker
    snapshots: Path | None = None
    films: Callable[[Event], None] | None = None
    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rules = {str(rule): rule for rule in self.rules}
        self._followers = [RuleTracker(rule, self.stream.engine.labels) for rule in rules.values()]
        clip_s = self.stream.engine.spec.clip_s
        self._onsets = Onsets(clip_s=clip_s, keep_s=max((rule.hold_s for rule in rules.values()), default=0.0) + RELEASE_S)
        self._open: dict[tuple[str, str], _Open] = {}
        self._ids = 0
        self._last: Update | None = None

    def update(self, update: Update) -> None:
        """Take the newest update."""
        self._last = update
        self._onsets.update(update)
        for key, going in self._open.items():
            self._improve(going, update, key[1])
        for follower in self._followers:
            for crossing in follower.update(update.prediction.probs, time=update.time):
                self._tell(crossing, update)

    def close(self) -> None:
        """The clip is over, by a gap or for good: what is still going on ends with the last update."""
        if self._last is not None:
            for follower in self._followers:
                for crossing in follower.close(time=self._last.time):
                    self._tell(crossing, self._last)
        self._onsets.clear()

    def _tell(self, crossing: Crossing, update: Update) -> None:
        key = str(crossing.rule), crossing.label
        if crossing.kind == "start":
            self._ids += 1
            self.counts[key] = self.counts.get(key, 0) + 1
            begin = self._onsets.start(crossing.label, crossing.since)
            event = Event(
                id=self._ids,
                source=self.stream.name,
                rule=key[0],
                action=crossing.label,
                start_s=begin,
                start=self.stream.time_of_day(begin),
                score=0.0,
                rule_start_s=crossing.since,
            )
            going = self._open[key] = _Open(event, -1.0)
            self._improve(going, update, crossing.label)
            frame = self.stream.latest
            if self.snapshots is not None and frame is not None:
                going.event = replace(going.event, snapshot=self._picture_path(going.event))
                self.worker.do(lambda: _write_snapshot(going.event, frame, update))
            event = going.event
        else:
            going = self._open.pop(key)
            over = max(going.event.start_s, crossing.since if crossing.gone else self._onsets.end(crossing.label, crossing.since))
            event = replace(going.event, end_s=over, end=self.stream.time_of_day(over), rule_end_s=crossing.since)
        if self.films is not None:
            self.films(event)
        for action in self.actions:
            self.worker.takes(action)(event)

    def _improve(self, going: _Open, update: Update, label: str) -> None:
        prob, heads = update.prediction.prob(label), update.heads.get(label, ())
        if prob > going.best:
            going.best, going.event = prob, replace(going.event, score=prob)
        strength = max((float(t.maps[-1].max()) for t in heads), default=0.0)
        if strength > going.hottest:  # who has fallen lies still while the model is surest of it
            going.hottest, going.event = strength, replace(going.event, box=hot_box(heads))

    def _picture_path(self, event: Event) -> Path:
        assert self.snapshots is not None
        name = re.sub(r"[^\w\-]+", "-", event.action).strip("-") or "event"
        return self.snapshots / f"{event.start:%Y%m%dT%H%M%S}-{event.id:04d}-{name}.jpg"


def _write_snapshot(event: Event, frame: Frame, update: Update) -> None:
    """The frame with the evidence for what happened."""
    assert event.snapshot is not None
    image = frame.image
    if heads := update.heads.get(event.action):
        heat = render_heat(heads, time=update.time, scale=update.scale, size=frame.size)
        image = render.overlay(image, heat)
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 90])
    try:
        event.snapshot.parent.mkdir(parents=True, exist_ok=True)
        event.snapshot.write_bytes(data.tobytes())
    except OSError as error:
        raise OutputError(f"cannot write the snapshot {event.snapshot}: {error.strerror or error}") from error


class JsonlSink:
    """Events as lines of JSON, added to a file or, without one, written to stdout; each line is there at once."""

    def __init__(self, path: Path | None) -> None:
        """OutputError where the file cannot be written. A file that exists is continued."""
        self.path = path
        if path is not None:
            check_output(path, overwrite=True)

    def __call__(self, event: Event) -> None:
        line = json.dumps(event.to_json(), ensure_ascii=False) + "\n"
        if self.path is None:
            sys.stdout.write(line)
            sys.stdout.flush()
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from error
