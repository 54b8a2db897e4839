"""What a rule can set off: a command, a message to an address, a video of what happened."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np

from vidcam.errors import OutputError, UsageError, VidcamError
from vidcam.io.writer import VideoWriter
from vidcam.live.events import Event, Worker
from vidcam.values import UInt8Array

__all__ = ["EventClips", "RunCommand", "Webhook"]

RUN_S, POST_S = 30.0, 10.0  # how long a command and an answer may take
AROUND_S = 5.0  # of the video before and after an event
LATE_S = 5.0  # an event may be told so much later than its rule began to hold: the model is slow, the next window not there yet
LONGEST_S = 60.0  # of one film, and of what is kept for the next one
REELS, WRITE_S = 8, 60.0  # films that may wait to be written, and how long that may take after the end


class RunCommand:
    """Runs a program when an event starts. No shell sees the words: they become the arguments as they are.

    What happened is in the environment: ``VIDCAM_ACTION``, ``VIDCAM_SCORE``, ``VIDCAM_RULE``, ``VIDCAM_START``,
    ``VIDCAM_SOURCE``, ``VIDCAM_BOX``, ``VIDCAM_SNAPSHOT`` and, all of it as JSON, ``VIDCAM_EVENT``.
    """

    def __init__(self, words: str, *, timeout_s: float = RUN_S) -> None:
        """``timeout_s`` is how many seconds it may run. UsageError where there is no such program."""
        self.timeout_s = timeout_s
        try:
            self.argv = shlex.split(words)
        except ValueError as error:
            raise UsageError(f"the command {words!r} cannot be taken apart: {error}") from error
        if not self.argv or shutil.which(self.argv[0]) is None:
            raise UsageError(f"there is no program {self.argv[0] if self.argv else words!r} that could be run for an event")
        self.name = f"a run of {self.argv[0]}"

    def __call__(self, event: Event) -> None:
        if event.end is not None:
            return
        facts = event.to_json()
        names = ("action", "score", "rule", "start", "source", "box", "snapshot")
        fields = {f"VIDCAM_{n.upper()}": "" if facts[n] is None else str(facts[n]) for n in names}
        said = b""
        try:
            with tempfile.TemporaryFile() as errors:  # not a pipe: that stays open as long as what was left in the background
                done = subprocess.run(
                    self.argv,
                    env={**os.environ, **fields, "VIDCAM_EVENT": json.dumps(facts)},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    timeout=self.timeout_s,
                    check=False,
                )
                if done.returncode:
                    errors.seek(0)
                    said = errors.read()
        except subprocess.TimeoutExpired as error:
            raise VidcamError(f"{self.argv[0]} was ended: it took longer than {self.timeout_s:g} seconds") from error
        except OSError as error:
            raise VidcamError(f"{self.argv[0]} could not be run: {error.strerror or error}") from error
        if done.returncode:
            lines = said.decode(errors="replace").strip().splitlines()
            raise VidcamError(f"{self.argv[0]} failed with code {done.returncode}" + (f": {lines[-1]}" if lines else ""))


class Webhook:
    """Posts every start and end of an event as JSON to an address."""

    def __init__(self, address: str, *, timeout_s: float = POST_S) -> None:
        """``timeout_s`` is how many seconds an answer may take. UsageError where it is no http or https address."""
        self.timeout_s = timeout_s
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"events are posted to an http:// or https:// address, got {address!r}")
        self.address = address
        self._where = f"{parts.scheme}://{parts.hostname}{parts.path}"  # without a password or a key
        self.name = f"a post to {self._where}"

    def __call__(self, event: Event) -> None:
        body = json.dumps(event.to_json()).encode()
        request = urllib.request.Request(self.address, body, {"Content-Type": "application/json"}, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s):
                pass
        except urllib.error.HTTPError as error:
            raise VidcamError(f"{self._where} refused the event: {error.code} {error.reason}") from error
        except (OSError, ValueError) as error:
            raise VidcamError(f"{self._where} cannot be reached: {getattr(error, 'reason', None) or error}") from error


@dataclass
class _Reel:
    event: Event
    pictures: list[tuple[float, bytes]] = field(default_factory=list)
    until: float = float("inf")


class EventClips:
    """Saves the video around each event, from five seconds before it to five seconds after, a minute at most, into a folder.

    Give :meth:`picture` every picture as JPEG with its time: the last seconds are kept in memory, as they came, so many that a
    rule with a duration of ``hold_s`` finds what was before its event, but never more than a minute. No film goes over a gap.
    """

    def __init__(self, folder: Path, worker: Worker, *, hold_s: float = 0.0) -> None:
        """OutputError where the folder cannot be made."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error
        self.folder, self._worker = folder, worker
        self._keep_s = min(AROUND_S + hold_s + LATE_S, LONGEST_S)
        self._begin = -math.inf
        self._past: deque[tuple[float, bytes]] = deque()
        self._reels: dict[tuple[str, int], _Reel] = {}
        self._lock = threading.Lock()

    def picture(self, jpeg: bytes, *, time: float) -> None:
        with self._lock:
            if time < self._begin:  # encoded when the clip that it belongs to was over
                return
            if self._past and time <= self._past[-1][0]:
                self._past.clear()
            self._past.append((time, jpeg))
            while self._past[0][0] < time - self._keep_s:
                self._past.popleft()
            for key, reel in list(self._reels.items()):
                reel.pictures.append((time, jpeg))
                if time >= min(reel.until, reel.pictures[0][0] + LONGEST_S):
                    self._cut(key)

    def __call__(self, event: Event) -> None:
        key = event.source, event.id
        with self._lock:
            if event.end_s is None:
                self._reels[key] = _Reel(event, [p for p in self._past if p[0] >= event.start_s - AROUND_S])
            elif key in self._reels:
                self._reels[key].until = event.end_s + AROUND_S

    def gap(self, begin: float) -> None:
        """A new clip begins at this second: what is being filmed ends, and nothing from before it is used again."""
        with self._lock:
            self._begin = begin
            self._past.clear()
            self._cut_all()

    def close(self) -> None:
        """Save what is still being filmed."""
        with self._lock:
            self._cut_all()

    def _cut_all(self) -> None:
        for key in list(self._reels):
            self._cut(key)

    def _cut(self, key: tuple[str, int]) -> None:
        reel = self._reels.pop(key)
        if reel.pictures:
            self._worker.do(lambda: _write(reel, self.folder))


def _write(reel: _Reel, folder: Path) -> None:
    event = reel.event
    name = re.sub(r"[^\w\-]+", "-", event.action).strip("-") or "event"
    first = _decode(reel.pictures[0][1])
    height, width = (n - n % 2 for n in first.shape[:2])
    path = folder / f"{event.start:%Y%m%dT%H%M%S}-{event.id:04d}-{name}.mp4"
    begin = reel.pictures[0][0]
    with VideoWriter(path, size=(height, width), overwrite=True) as writer:
        for time, jpeg in reel.pictures:
            image = _decode(jpeg)
            if image.shape == first.shape:
                writer.write(np.ascontiguousarray(image[:height, :width]), time=time - begin, duration=0.0)


def _decode(jpeg: bytes) -> UInt8Array:
    picture: Any = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    out: UInt8Array = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return out
