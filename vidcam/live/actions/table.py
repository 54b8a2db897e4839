"""The table of live actions. A new action is one row and the function or class that the row names.

Installed packages add rows by entry points of the group ``vidcam.actions``; each names an :class:`ActionSpec`. They are
loaded when actions are listed or asked for.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from vidcam.errors import UsageError
from vidcam.io.plugins import InstalledRows

if TYPE_CHECKING:
    from vidcam.live.events import Event
    from vidcam.live.worker import Worker

__all__ = ["ACTIONS", "Action", "ActionSpec", "EventFollower", "PictureAction", "list_actions", "parse_action", "register_action"]

GROUP = "vidcam.actions"


class Action(Protocol):
    """Does something about each event, when it starts and when it ends.

    It is called in a thread of its own, so it may take its time, and it may raise VidcamError. An attribute ``snapshots`` (a
    folder, or None) makes the monitor save a picture of each event there before it calls the action.
    """

    name: str
    """Names the action in messages for the user."""

    def __call__(self, event: Event) -> None:
        """Act on the start or the end of an event."""


class EventFollower(Protocol):
    """What a :class:`PictureAction` does for one stream. Everything is called at once, so all methods must be quick."""

    def __call__(self, event: Event) -> None:
        """Take the start or the end of an event."""

    def picture(self, jpeg: bytes, time: float) -> None:
        """Take a picture of the stream, with its second on the stream's clock."""

    def gap(self, begin: float) -> None:
        """Begin anew: pictures before the second ``begin`` do not belong to the same clip as those that come."""

    def close(self) -> None:
        """Finish, because the stream has ended."""


@runtime_checkable
class PictureAction(Protocol):
    """An action that receives the stream's pictures too. It does its slow work as jobs of the worker that it is given."""

    name: str
    max_waiting: int
    """How many of its jobs may wait."""
    close_timeout_s: float
    """Seconds after the end of the stream at which jobs that are left are given up."""

    def follow(self, worker: Worker, *, hold_s: float) -> EventFollower:
        """Begin to follow a stream; ``hold_s`` is the longest duration in seconds of its rules."""


@dataclass(frozen=True)
class ActionSpec:
    """A row of the table.

    Attributes:
        name: What ``--do NAME=VALUE`` takes.
        value: What the value stands for, such as ``COMMAND``.
        title: A sentence for the help.
        make: Makes the action from the value: a function or class, or ``"module:function"``, imported when it is used.
        option: The option of the command line that does the same, if there is one.
        needs_rule: Whether the action makes sense only with a rule of the user's own.
    """

    name: str
    value: str
    title: str
    make: str | Callable[[str], Action | PictureAction]
    option: str = ""
    needs_rule: bool = True

    def build(self, value: str) -> Action | PictureAction:
        """Make the action. UsageError if the value is not valid; OutputError if a file or folder cannot be written."""
        make = self.make
        if isinstance(make, str):
            module, _, name = make.partition(":")
            make = cast("Callable[[str], Action | PictureAction]", getattr(importlib.import_module(module), name))
        return make(value)


ACTIONS = (
    ActionSpec(
        "run", "COMMAND", "Run a program when a rule begins to hold.", "vidcam.live.actions.command:RunCommand", option="--run"
    ),
    ActionSpec("post", "URL", "Post each start and end as JSON.", "vidcam.live.actions.webhook:Webhook", option="--post"),
    ActionSpec("clips", "DIR", "Save the video around each event.", "vidcam.live.actions.clips:EventClips", option="--clips"),
    ActionSpec(
        "jsonl",
        "FILE",
        "Append a line of JSON for each start and end, with snapshots beside the file; - is stdout.",
        "vidcam.live.actions.jsonl:JsonlSink",
        option="--events",
        needs_rule=False,
    ),
)
"""The actions of this package."""

_rows: dict[str, ActionSpec] = {row.name: row for row in ACTIONS}

log = logging.getLogger("vidcam.live")


def list_actions() -> dict[str, ActionSpec]:
    """Return all actions by name: those of this package, then those of installed packages and registered ones."""
    _installed.load()
    return dict(_rows)


def register_action(spec: ActionSpec) -> None:
    """Add an action of your own. UsageError if its name is taken."""
    if spec.name in _rows:
        raise UsageError(f"there is already an action {spec.name}; choose another name")
    _rows[spec.name] = spec


def parse_action(words: str) -> tuple[ActionSpec, str]:
    """Split ``NAME=VALUE`` into the action's row and the value. UsageError if there is no such action, or no value."""
    name, _, value = words.partition("=")
    rows = list_actions()
    if name.strip() not in rows or not value:
        known = ", ".join(f"{row.name}={row.value}" for row in rows.values())
        raise UsageError(f"an action is one of {known}; got {words!r}")
    return rows[name.strip()], value


def _register_installed(row: object) -> None:
    if not isinstance(row, ActionSpec):
        raise UsageError(f"it must be an ActionSpec, got a {type(row).__name__}")
    register_action(row)


_installed = InstalledRows(GROUP, _register_installed, sentence="the action of the package %s (%s) is left out: %s", log=log)
