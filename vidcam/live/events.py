"""Events: what happens on a stream, from the moment a rule begins to hold until it no longer does."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidcam.errors import OutputError, UnknownNameError, UsageError
from vidcam.evidence.heat import render_heat
from vidcam.io.jpeg import encode
from vidcam.live.onsets import Onsets
from vidcam.live.regions import Places, Region
from vidcam.live.rules import RELEASE_S, Crossing, Rule, RuleTracker
from vidcam.live.state import Update, find_hot_box
from vidcam.live.stream import Stream
from vidcam.live.worker import Worker
from vidcam.render import overlay
from vidcam.values import Box, Frame, UInt8Array

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["DEFAULT_RULE", "Event", "Monitor", "draw_snapshot"]

DEFAULT_RULE = Rule("any", ">", 0.6, 0.5)
SNAPSHOT_QUALITY = 90  # of JPEG


@dataclass(frozen=True)
class Event:
    """An action that began at ``start_s`` on the stream's clock (``start`` in UTC) and, once it is over, ended at ``end_s``.

    The evidence for it lies between these seconds (:mod:`vidcam.live.onsets`). The rule itself held from ``rule_start_s`` to
    ``rule_end_s``, which is up to a clip later: an answer of the model counts for the second of the clip's last frame. ``score``
    is the highest probability so far; ``box`` is where the evidence was when it was strongest, in source pixels, or None.
    Ids count the events of one source.
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
    is_one_of_several: bool = False
    """Whether there are other sources, so that files must say which one this event is of."""
    model: str = ""
    """The name of the model that saw it."""

    @property
    def file_stem(self) -> str:
        """The name, without a suffix, of files about this event: when, which and what, safe on every file system."""
        words = (self.source, self.action) if self.is_one_of_several else (self.action,)
        what = "-".join(re.sub(r"[^\w\-]+", "-", word).strip("-") or "event" for word in words)
        return f"{self.start:%Y%m%dT%H%M%S}-{self.id:04d}-{what}"

    def to_json(self) -> dict[str, object]:
        """Return the event as JSON values; ``box`` is [x, y, width, height]."""
        b = self.box
        return {
            "event": "start" if self.end is None else "end",
            "id": self.id,
            "source": self.source,
            "model": self.model,
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


@dataclass
class _OpenEvent:
    event: Event
    best_prob: float
    peak_evidence: float = 0.0


@dataclass
class Monitor:
    """Follows rules on a stream and reports every event twice: when it starts and when it ends.

    Give :meth:`update` to the stream's listeners, and call :meth:`close` at the end of each clip of the stream. Rules that read
    the same count once.

    Attributes:
        stream: The stream.
        rules: The rules.
        actions: Called with each event as jobs of ``worker``, after the snapshot is saved. They must be quick.
        worker: Saves the snapshots and calls the actions.
        snapshots: A folder for a picture of each event with its evidence, made if it does not exist; None for no pictures.
        immediate: Called at once with each event, before the pictures around it are dropped. They must be quick.
        counts: How many events have started, by (rule, label).
        is_one_of_several: Whether other streams report events to the same files.
        regions: The regions that rules may ask for, by name.
    """

    stream: Stream
    rules: Sequence[Rule]
    actions: Sequence[Callable[[Event], None]]
    worker: Worker
    snapshots: Path | None = None
    immediate: list[Callable[[Event], None]] = field(default_factory=list)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    is_one_of_several: bool = False
    regions: dict[str, Region] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._follow(self.rules)
        self._open: dict[tuple[str, str], _OpenEvent] = {}
        self._last_id = 0
        self._last: Update | None = None

    def update(self, update: Update) -> None:
        """Take the newest update: start and end events, and improve the score and box of those that go on."""
        self._last = update
        self._onsets.update(update)
        if self.stream.size is not None:
            self._places.update(update, self.stream.size)
        for (_, label), open_event in self._open.items():
            _improve(open_event, update, label)
        for tracker in tuple(self._trackers.values()):
            is_there = partial(self._is_there, tracker.rule.region)
            for crossing in tracker.update(update.prediction.probs, time=update.time, is_there=is_there):
                self._report(crossing, update)

    def close(self) -> None:
        """End all events with the last update, because the clip is over, by a gap or for good."""
        if self._last is not None:
            for tracker in self._trackers.values():
                for crossing in tracker.close(time=self._last.time):
                    self._report(crossing, self._last)
        self._onsets.clear()
        self._places.clear()

    def check_model(self, engine: Engine) -> None:
        """Check that another model knows the labels of all rules. UsageError if it does not."""
        for name, tracker in self._trackers.items():
            try:
                RuleTracker(tracker.rule, engine.labels)
            except UnknownNameError as error:
                raise UsageError(f"it does not know the class of the rule {name!r}; remove the rule first") from error

    def use_model(self) -> None:
        """Follow the rules through the answers of the stream's new model. Call it after :meth:`close`."""
        self._last = None
        self._follow([tracker.rule for tracker in self._trackers.values()])

    def follow(self, rule: Rule) -> None:
        """Follow this rule too. Call it while nothing is being explained.

        Raises:
            UsageError: The stream's model does not know the label, or there is no such region.
        """
        self._trackers.setdefault(str(rule), self._make_tracker(rule))

    def unfollow(self, name: str) -> None:
        """Follow the rule of this text no more; its events end. Call it while nothing is being explained."""
        tracker = self._trackers.pop(name, None)
        if tracker is not None and self._last is not None:
            for crossing in tracker.close(time=self._last.time):
                self._report(crossing, self._last)

    @property
    def followed(self) -> tuple[str, ...]:
        """The texts of the rules that are followed now."""
        return tuple(self._trackers)

    def _follow(self, rules: Sequence[Rule]) -> None:
        """Begin to follow these rules, and no others, on the stream's present model."""
        self._trackers = {str(rule): self._make_tracker(rule) for rule in rules}
        keep_s = max((rule.hold_s for rule in rules), default=0.0) + RELEASE_S
        clip_s = self.stream.engine.spec.clip_s
        self._onsets, self._places = Onsets(clip_s=clip_s, keep_s=keep_s), Places(clip_s=clip_s)

    def _make_tracker(self, rule: Rule) -> RuleTracker:
        if rule.region and rule.region not in self.regions:
            known = f"regions here: {', '.join(self.regions)}" if self.regions else "there are none"
            raise UsageError(f"the rule {str(rule)!r} asks for a region that there is not; {known}; name one with --region")
        return RuleTracker(rule, self.stream.engine.labels)

    def _is_there(self, region: str, label: str) -> bool:
        """Return whether the strongest evidence for the label lies in the region, if one is asked for."""
        if not region:
            return True
        peak = self._places.find(label)
        return peak is not None and region in self.regions and self.regions[region].contains(peak.x, peak.y)

    def _report(self, crossing: Crossing, update: Update) -> None:
        event = self._start(crossing, update) if crossing.kind == "start" else self._end(crossing)
        for follower in self.immediate:
            follower(event)
        for action in self.actions:
            self.worker.queue(action)(event)

    def _start(self, crossing: Crossing, update: Update) -> Event:
        key = str(crossing.rule), crossing.label
        self._last_id += 1
        self.counts[key] = self.counts.get(key, 0) + 1
        begin = self._onsets.start(crossing.label, crossing.since)
        event = Event(
            id=self._last_id,
            source=self.stream.name,
            rule=key[0],
            action=crossing.label,
            start_s=begin,
            start=self.stream.time_of_day(begin),
            score=0.0,
            rule_start_s=crossing.since,
            is_one_of_several=self.is_one_of_several,
            model=self.stream.engine.spec.name,
        )
        open_event = self._open[key] = _OpenEvent(event, best_prob=-1.0)
        _improve(open_event, update, crossing.label)
        frame = self.stream.latest
        if self.snapshots is not None and frame is not None:
            open_event.event = replace(open_event.event, snapshot=self.snapshots / f"{event.file_stem}.jpg")
            self.worker.do(lambda: _write_snapshot(open_event.event, frame, update))
        return open_event.event

    def _end(self, crossing: Crossing) -> Event:
        event = self._open.pop((str(crossing.rule), crossing.label)).event
        end = crossing.since if crossing.gone else self._onsets.end(crossing.label, crossing.since)
        end = max(event.start_s, end)
        return replace(event, end_s=end, end=self.stream.time_of_day(end), rule_end_s=crossing.since)


def _improve(open_event: _OpenEvent, update: Update, label: str) -> None:
    """Take over a higher probability, and the box of stronger evidence.

    The two need not come together: somebody who has fallen lies still while the model is surest of it.
    """
    prob, tracks = update.prediction.prob(label), update.tracks.get(label, ())
    if prob > open_event.best_prob:
        open_event.best_prob, open_event.event = prob, replace(open_event.event, score=prob)
    peak = max((float(t.maps[-1].max()) for t in tracks), default=0.0)
    if peak > open_event.peak_evidence:
        open_event.peak_evidence, open_event.event = peak, replace(open_event.event, box=find_hot_box(tracks))


def draw_snapshot(event: Event, frame: Frame, update: Update) -> UInt8Array:
    """Return the frame with the evidence for the event, as far as it is known."""
    tracks = update.tracks.get(event.action)
    if not tracks:
        return frame.image
    return overlay(frame.image, render_heat(tracks, time=update.time, scale=update.scale, size=frame.size))


def _write_snapshot(event: Event, frame: Frame, update: Update) -> None:
    """Save the frame with the evidence for the event. OutputError if the file cannot be written."""
    assert event.snapshot is not None
    image = draw_snapshot(event, frame, update)
    try:
        event.snapshot.parent.mkdir(parents=True, exist_ok=True)
        event.snapshot.write_bytes(encode(np.ascontiguousarray(image), quality=SNAPSHOT_QUALITY))
    except OSError as error:
        raise OutputError(f"cannot write the snapshot {event.snapshot}: {error.strerror or error}") from error
