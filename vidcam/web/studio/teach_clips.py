"""What is to be taught: the actions, their names and clips, whether they suffice, and the folders that they are trained from."""

from __future__ import annotations

import csv
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vidcam.errors import UsageError
from vidcam.web import words

from .results import link_or_copy
from .session import Session
from .uploads import Video, megabytes, video_suffix

__all__ = ["HELD_OUT", "MAX_ACTIONS", "Action", "Lesson", "clean_label", "lesson_of", "write_folders"]

MIN_ACTIONS, MAX_ACTIONS = 2, 10
MIN_CLIPS, MAX_CLIPS = 2, 30  # of each action: one is kept aside
SHORTEST_S = 0.5
MAX_BYTES = 1_000_000_000  # of all clips together
MAX_LABEL = 40
HELD_OUT = "test_*"
"""The pattern of the clips that are kept aside: see :class:`vidcam.training.TrainConfig`."""


@dataclass
class Action:
    """An action: what the page knows it by, its name, and its clips."""

    number: str
    label: str = ""
    clips: list[Video] = field(default_factory=list)


@dataclass
class Lesson:
    """What one session wants to teach."""

    actions: list[Action] = field(default_factory=lambda: [_new_action() for _ in range(MIN_ACTIONS)])

    def find(self, number: object) -> Action:
        """Return the action of this number. UsageError if there is none."""
        action = next((a for a in self.actions if a.number == number), None)
        if action is None:
            raise UsageError(words.Teach.ACTION_REMOVED)
        return action

    def add_action(self) -> None:
        """Add an action without a name. UsageError if there are enough."""
        if len(self.actions) >= MAX_ACTIONS:
            raise UsageError(words.Teach.too_many_actions(most=MAX_ACTIONS))
        self.actions.append(_new_action())

    def check_room(self, number: object) -> None:
        """Raise UsageError if the action can have no other clip."""
        action = self.find(number)
        if len(action.clips) >= MAX_CLIPS:
            raise UsageError(words.Teach.too_many_clips(most=MAX_CLIPS))
        if sum(clip.path.stat().st_size for a in self.actions for clip in a.clips) >= MAX_BYTES:
            raise UsageError(words.Teach.too_many_bytes(most=megabytes(MAX_BYTES)))

    def add(self, number: object, clip: Video) -> None:
        """Add a clip to an action. UsageError if it is too short, or there is no room."""
        if clip.duration_s < SHORTEST_S:
            raise UsageError(words.Teach.too_short(name=clip.name, duration=clip.duration_s, least=SHORTEST_S))
        self.check_room(number)
        self.find(number).clips.append(clip)

    def rename(self, labels: Mapping[str, object]) -> None:
        """Name the actions: ``labels`` by their numbers. What is no longer there is ignored."""
        for action in self.actions:
            if action.number in labels:
                action.label = clean_label(labels[action.number])

    def remove(self, number: object, clip: object = None) -> list[Path]:
        """Remove an action, or the clip of it that lies in a folder named ``clip``; return the folders to delete.

        There are always two actions.
        """
        action = self.find(number)
        gone = [c for c in action.clips if clip is None or c.path.parent.name == clip]
        action.clips = [c for c in action.clips if c not in gone]
        if clip is None:
            self.actions.remove(action)
            self.actions += [_new_action() for _ in range(MIN_ACTIONS - len(self.actions))]
        return [c.path.parent for c in gone]

    def check(self) -> list[Action]:
        """Return the actions to teach. UsageError, with what to do, if they do not suffice; empty ones are left out."""
        actions = [a for a in self.actions if a.label or a.clips]
        for place, action in enumerate(self.actions, 1):
            if action.clips and not action.label:
                raise UsageError(words.Teach.no_name(place=place))
        labels = Counter(a.label.casefold() for a in actions)
        for action in actions:
            if labels[action.label.casefold()] > 1:
                raise UsageError(words.Teach.same_name(label=action.label))
        if len(actions) < MIN_ACTIONS:
            raise UsageError(words.Teach.TOO_FEW_ACTIONS)
        for action in actions:
            if len(action.clips) < MIN_CLIPS:
                raise UsageError(words.Teach.too_few_clips(label=action.label, count=len(action.clips), least=MIN_CLIPS))
        return actions


def lesson_of(session: Session) -> Lesson:
    """Return what is to be taught in a session."""
    if session.lesson is None:
        session.lesson = Lesson()
    return session.lesson


def _new_action() -> Action:
    return Action(secrets.token_hex(4))


def clean_label(given: object) -> str:
    """Return a name as it may stand in a table of labels: in one line, without a semicolon, not too long."""
    line = "".join(c if c.isprintable() else " " for c in str(given)).replace(";", ",")
    return " ".join(line.split())[:MAX_LABEL].strip()


def write_folders(actions: list[Action], train: Path, test: Path) -> dict[str, str]:
    """Write a folder with all clips, to train from, and one with those that are kept aside: the last fifth of each action.

    The files are named by number, and their labels stand in ``labels.csv``, so no name of a user becomes that of a file.

    Returns:
        What to call each file in a sentence.
    """
    rows: dict[Path, list[tuple[str, str]]] = {train: [], test: []}
    named: dict[str, str] = {}
    for folder in rows:
        folder.mkdir()
    for n, action in enumerate(actions):
        aside = max(1, len(action.clips) // 5)
        for k, clip in enumerate(action.clips):
            is_aside = k >= len(action.clips) - aside
            name = f"{'test' if is_aside else 'train'}_{n:02d}_{k:02d}{video_suffix(clip.name)}"
            named[name] = words.Teach.clip(number=k + 1, label=action.label)
            for folder in (train, test) if is_aside else (train,):
                link_or_copy(clip.path, folder / name)
                rows[folder].append((name, action.label))
    for folder, lines in rows.items():
        with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(lines)
    return named
