"""The progress of a job over all its stages, and the time it will still take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from vidcam.io.clock import Clock

__all__ = ["JobProgress"]

SETTLED_S = 1.0  # a stage that has run for less says nothing about the rest
SLACK, SLACK_S = 1.25, 1.0  # an estimate that grows by less than this leaves the number as it is; beyond it, none is shown


class JobProgress:
    """Follows one job through its stages; its clock starts when it is made.

    The bar never goes back and the seconds left never grow. No seconds are given until the present stage has done two steps, nor
    if the estimate has grown well beyond the last number: then only the bar and the seconds spent are honest.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shares: dict[str, float] = {}
        self._stage, self._done, self._total = "", 0, None  # type: tuple[str, int, int | None]
        self._began = self._entered = self._last = clock.now()
        self._first, self._steps, self._longest = 0, 0, 0.0
        self._end: float | None = None
        self._share, self._shown = 0.0, math.inf

    def plan(self, shares: Mapping[str, float]) -> None:
        """Name the coming stages in order, each with the share of the time that it usually takes."""
        self._shares = dict(shares)

    def step(self, stage: str, done: int, total: int | None) -> None:
        """Note that the ``stage`` has ``done`` of its ``total`` steps; None if the total is unknown."""
        now = self._clock.now()
        if stage != self._stage or done < self._done:  # another stage, or the same once more
            self._entered, self._first, self._steps, self._longest, self._end = now, done, 0, 0.0, None
        elif done > self._done:
            self._pace(now, done, total)
        self._stage, self._done, self._total, self._last = stage, done, total, now
        if stage in self._shares:
            place = list(self._shares).index(stage)
            before = sum(list(self._shares.values())[:place])
            own = self._shares[stage] * min(1.0, done / total) if total else 0.0
            self._share = max(self._share, (before + own) / sum(self._shares.values()))

    def _pace(self, now: float, done: int, total: int | None) -> None:
        """Estimate the end of the job.

        Frames are read in a burst and then explained, so only the slow steps say what one takes.
        """
        gap = now - self._last
        if gap > 2 * self._longest:  # what came before was read quickly for this step
            self._longest, self._steps, self._end = gap, 0, None
        if gap < self._longest / 2:
            return
        self._steps += 1
        share = self._shares.get(self._stage)
        if self._steps < 2 or not share or not total or now - self._entered < SETTLED_S:
            return
        each = (now - self._entered) / (done - self._first)
        later = sum(list(self._shares.values())[list(self._shares).index(self._stage) + 1 :])
        self._end = now + each * (total - done) + each * total * later / share

    def to_dict(self) -> dict[str, Any]:
        """Return what the page shows: the ``share`` done, and whole seconds ``spent_s`` and ``left_s`` (None if unknown)."""
        now = self._clock.now()
        left = None if self._end is None else self._end - now
        if left is not None and 0 < left <= SLACK * self._shown + SLACK_S:
            self._shown = min(self._shown, left)
            left = math.ceil(self._shown)
        else:
            left = None
        return {
            "stage": self._stage,
            "done": self._done,
            "total": self._total,
            "share": round(self._share, 3),
            "spent_s": int(now - self._began),
            "left_s": left,
        }
