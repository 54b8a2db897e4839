"""How often to explain, so that the whole program stays within its share of the processor."""

from __future__ import annotations

import re

from vidcam.errors import UsageError
from vidcam.io.cores import count_cores

__all__ = ["Budget", "parse_share"]

MAX_PAUSE_S = 5.0  # between two explanations, however small the share is
UPDATE_EVERY_S = 1.0  # how often the processor time is looked at


class Budget:
    """The pause between the starts of two explanations that keeps processor time below a share of the machine.

    All processor time of the program counts, also what the pause cannot change. With u of the machine in use, the pause is
    multiplied by u / share, which settles at u = share without oscillating. The pause is never shorter than ``least_s``.

    Args:
        share: The share of all cores, above 0 and at most 1.
        least_s: The seconds between clip starts that the user asked for.
        machine: The number of cores; those that this process may use if None.

    Raises:
        UsageError: The share is not above 0 and at most 1.
    """

    def __init__(self, share: float, *, least_s: float, machine: int | None = None) -> None:
        if not 0 < share <= 1:
            raise UsageError(f"the share of the processor must be above 0 and at most 100 %, got {share:.0%}")
        self.share = share
        self.seconds_between_clip_starts = self.least_s = least_s
        self.used: float | None = None
        """The share of the machine that was used in the last second; None at first."""
        self._machine = machine or count_cores()
        self._before: tuple[float, float] | None = None

    def update(self, *, spent_s: float, now: float) -> float:
        """Return the pause in seconds, given the processor seconds ``spent_s`` that were used until the second ``now``."""
        if self._before is None:
            self._before = spent_s, now
        elif now - self._before[1] >= UPDATE_EVERY_S:
            self.used = (spent_s - self._before[0]) / ((now - self._before[1]) * self._machine)
            factor = min(max(self.used / self.share, 0.5), 2.0)
            pause = max(self.seconds_between_clip_starts * factor, self.least_s)
            self.seconds_between_clip_starts = min(pause, max(MAX_PAUSE_S, self.least_s))
            self._before = spent_s, now
        return self.seconds_between_clip_starts


def parse_share(words: str) -> float:
    """Return ``50%`` or ``0.5`` as 0.5. UsageError for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", words)
    value = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < value <= 1:
        raise UsageError(f"--cpu is the share of this machine's processor to use, such as 50%, at most 100%; got {words!r}")
    return value
