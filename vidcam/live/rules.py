"""Rules such as ``falling down > 0.8 for 1s``: read from words, and followed through a stream of probabilities."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vidcam.analysis import index_of
from vidcam.errors import UsageError
from vidcam.values import FloatArray

__all__ = ["ANY", "Crossing", "Rule", "RuleTracker", "parse"]

ANY = "any"
RELEASE_S = 0.5  # a condition that fails for less than this has not ended
EPSILON_S = 1e-6

_COMPARE: dict[str, Callable[[FloatArray, float], FloatArray]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_GRAMMAR = re.compile(
    r"""\s* (?: "(?P<quoted>[^"]+)" | (?P<label>[^<>="]+?) ) \s* (?P<sign>[<>]=?) \s*
        (?P<number>\d+(?:\.\d*)?|\.\d+) \s* (?P<percent>%?)
        (?: \s+ for \s+ (?P<hold>\d+(?:\.\d*)?|\.\d+) \s* (?P<unit>ms|s|min|h)? )? \s*""",
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True)
class Rule:
    """``label``'s probability compared with ``threshold`` in [0, 1] by ``sign``, without a break for ``hold_s`` seconds.

    ``label`` may be ``any``: then each class is followed for itself.
    """

    label: str
    sign: str
    threshold: float
    hold_s: float = 0.0

    def __str__(self) -> str:
        label = f'"{self.label}"' if re.search(r"[<>=]|^\s|\s$", self.label) else self.label
        return f"{label} {self.sign} {self.threshold:.12g}" + (f" for {self.hold_s:.12g}s" if self.hold_s else "")


def parse(words: str) -> Rule:
    """The rule that the words say: ``LABEL > NUMBER [for DURATION]``, also ``<``, ``>=``, ``<=``; UsageError where they say none.

    The number is a probability, 0.8 or 80%; the duration 1s, 500ms, 2min; a label with signs in it stands in double quotes.
    """
    found = _GRAMMAR.fullmatch(words)
    if not found:
        raise UsageError(
            f"the rule {words!r} cannot be understood: write LABEL > NUMBER, and perhaps for DURATION, "
            f"as in 'falling down > 0.8 for 1s'"
        )
    threshold = float(found["number"]) / (100 if found["percent"] else 1)
    if threshold > 1:
        raise UsageError(f"the rule {words!r} compares with {threshold:g}: a probability is 0 to 1, or 0% to 100%")
    hold_s = float(found["hold"] or 0) * _SECONDS[(found["unit"] or "s").lower()]
    label = found["quoted"] or " ".join(found["label"].split())
    return Rule(label, found["sign"], threshold, hold_s)


@dataclass(frozen=True)
class Crossing:
    """A rule's condition for ``label`` has held for long enough (``start``), or is over (``end``), ``since`` this second.

    ``gone``: it is over because the clip is, while the condition still held.
    """

    kind: Literal["start", "end"]
    rule: Rule
    label: str
    since: float
    gone: bool = False


@dataclass
class _State:
    active: bool = False
    since: float | None = None  # since when the condition is otherwise than the state


class RuleTracker:
    """Follows one rule: takes probabilities in order of time, tells when it begins and ends to hold.

    It begins once the condition has held without a break for the rule's ``hold_s``, and ends once it has failed for half a
    second; both are dated from where that stretch began.
    """

    def __init__(self, rule: Rule, labels: Sequence[str]) -> None:
        """UnknownNameError where there is no such label."""
        self.rule, self._labels = rule, tuple(labels)
        everything = rule.label.casefold() == ANY and ANY not in self._labels
        self._watched = np.arange(len(labels)) if everything else np.array([index_of(labels, rule.label)])
        self._states: dict[int, _State] = {}

    def update(self, probs: FloatArray, *, time: float) -> list[Crossing]:
        """What the probabilities ``(K,)`` at ``time`` seconds change."""
        holds = np.asarray(_COMPARE[self.rule.sign](np.asarray(probs, np.float64)[self._watched], self.rule.threshold))
        out = []
        for index in {*self._watched[holds].tolist(), *self._states}:
            state = self._states.setdefault(index, _State())
            now = bool(holds[np.searchsorted(self._watched, index)])
            if now == state.active:
                state.since = None
                if not state.active:
                    del self._states[index]
                continue
            state.since = time if state.since is None else state.since
            if time - state.since >= (RELEASE_S if state.active else self.rule.hold_s) - EPSILON_S:
                state.active = now
                out.append(Crossing("start" if now else "end", self.rule, self._labels[index], state.since))
                state.since = None
                if not now:
                    del self._states[index]
        return out

    def close(self, *, time: float) -> list[Crossing]:
        """The end of a clip: what still holds, ends at ``time``, and what was about to, does not."""
        still = [
            Crossing("end", self.rule, self._labels[i], time if s.since is None else s.since, gone=s.since is None)
            for i, s in self._states.items()
            if s.active
        ]
        self._states.clear()
        return still
