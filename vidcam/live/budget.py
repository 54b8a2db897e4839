"""How often to explain, so that the whole program takes no more of the machine than it was given."""

from __future__ import annotations

import os
import re

from vidcam.errors import UsageError

__all__ = ["Budget", "cores", "share_of"]

LONGEST_S = 5.0  # between two explanations, however little there is to spend
LOOK_S = 1.0  # how often the spending is looked at


class Budget:
    """The pause between the starts of two explanations, so that processor time stays below ``share`` of ``machine`` cores.

    It never falls below ``least_s``, the hop that was asked for. All that the program does counts, also what the pause cannot
    change: with u of the machine in use, the pause is multiplied by u / share, which settles where u = share, without swinging.
    """

    def __init__(self, share: float, *, least_s: float, machine: int | None = None) -> None:
        if not 0 < share <= 1:
            raise UsageError(f"the share of the processor must be above 0 and at most 100 %, got {share:.0%}")
        self.share = share
        self.seconds_between_clip_starts = self._least = least_s
        self.used: float | None = None
        """The share of the machine that was used lately; None at first."""
        self._machine = machine or cores()
        self._before: tuple[float, float] | None = None

    def look(self, *, spent_s: float, now: float) -> float:
        """The pause, given the processor seconds ``spent_s`` so far at the second ``now``."""
        if self._before is None:
            self._before = spent_s, now
        elif now - self._before[1] >= LOOK_S:
            self.used = (spent_s - self._before[0]) / ((now - self._before[1]) * self._machine)
            factor = min(max(self.used / self.share, 0.5), 2.0)
            self.seconds_between_clip_starts = min(
                max(self.seconds_between_clip_starts * factor, self._least), max(LONGEST_S, self._least)
            )
            self._before = spent_s, now
        return self.seconds_between_clip_starts


def cores() -> int:
    """The processor cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def share_of(words: str) -> float:
    """``50%`` or ``0.5`` as 0.5; UsageError for anything else."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", words)
    value = float(found[1]) / (100 if found[2] else 1) if found else 0.0
    if not 0 < value <= 1:
        raise UsageError(f"--cpu is the share of this machine's processor to use, such as 50%, at most 100%; got {words!r}")
    return value
