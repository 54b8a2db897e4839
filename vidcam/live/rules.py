"""Rules such as ``falling down > 0.8 for 1s``: read from words, and followed through a stream of probabilities."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vidcam.errors import UsageError
from vidcam.evidence.labels import index_of
from vidcam.values import FloatArray

__all__ = ["ANY", "Crossing", "Rule", "RuleTracker", "labels_of", "parse_rule"]

ANY = "any"
RELEASE_S = 0.5  # an event goes on if its condition fails for less than this
EPSILON_S = 1e-6

_COMPARE: dict[str, Callable[[FloatArray, float], FloatArray]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_GRAMMAR = re.compile(
    r"""\s* (?: "(?P<quoted>[^"]+)" | (?P<label>[^<>="]+?) ) \s* (?P<sign>[<>]=?) \s*
        (?P<number>\d+(?:\.\d*)?|\.\d+) \s* (?P<percent>%?)
        (?: \s+ in \s+ (?: "(?P<quoted_region>[^"]+)" | (?P<region>[^<>="]+?) ) )?
        (?: \s+ at \s+ (?: "(?P<quoted_source>[^"]+)" | (?P<source>[^<>="]+?) ) )?
        (?: \s+ for \s+ (?P<hold>\d+(?:\.\d*)?|\.\d+) \s* (?P<unit>ms|s|min|h)? )? \s*""",
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True)
class Rule:
    """Compares a label's probability with a threshold, without a break for some seconds.

    Attributes:
        label: A label of the model, or ``any``, which follows each label for itself.
        sign: ``>``, ``>=``, ``<`` or ``<=``.
        threshold: A probability, 0 to 1.
        hold_s: For how many seconds the comparison must hold.
        source: The name of the only source that the rule is for; empty for all sources.
        region: The name of a region in which the strongest evidence for the label must lie; empty for anywhere.
    """

    label: str
    sign: str
    threshold: float
    hold_s: float = 0.0
    source: str = ""
    region: str = ""

    def __str__(self) -> str:
        label = f'"{self.label}"' if re.search(r"[<>=]|^\s|\s$", self.label) else self.label
        place = f" in {_quote(self.region)}" if self.region else ""
        place += f" at {_quote(self.source)}" if self.source else ""
        return f"{label} {self.sign} {self.threshold:.12g}{place}" + (f" for {self.hold_s:.12g}s" if self.hold_s else "")


def _quote(name: str) -> str:
    """Return a name as it is written in a rule: in quotes, unless it is one simple word."""
    return name if re.fullmatch(r"[\w./:\-]+", name) else f'"{name}"'


def parse_rule(words: str) -> Rule:
    """Read a rule: ``LABEL > NUMBER [in REGION] [at SOURCE] [for DURATION]``, also with ``<``, ``>=``, ``<=``.

    The number is a probability, 0.8 or 80%; the duration is 1s, 500ms or 2min; a label or name with signs in it stands in double
    quotes.

    Raises:
        UsageError: The words are not a rule.
    """
    match = _GRAMMAR.fullmatch(words)
    if not match:
        raise UsageError(
            f"the rule {words!r} cannot be understood: write LABEL > NUMBER, and perhaps in REGION, at SOURCE, for DURATION, "
            f"as in 'falling down > 0.8 for 1s'"
        )
    threshold = float(match["number"]) / (100 if match["percent"] else 1)
    if threshold > 1:
        raise UsageError(f"the rule {words!r} compares with {threshold:g}: a probability is 0 to 1, or 0% to 100%")
    hold_s = float(match["hold"] or 0) * _SECONDS[(match["unit"] or "s").lower()]
    label = match["quoted"] or " ".join(match["label"].split())
    source, region = (match[f"quoted_{name}"] or " ".join((match[name] or "").split()) for name in ("source", "region"))
    if region and match["sign"] in ("<", "<="):
        raise UsageError(
            f"the rule {words!r} asks for a place where there is little evidence: a rule with a region needs > or >="
        )
    return Rule(label, match["sign"], threshold, hold_s, source, region)


def labels_of(rules: Iterable[str]) -> list[str]:
    """Return the labels that rules name, each once, without ``any``. UsageError if the words are not a rule."""
    return [label for label in dict.fromkeys(parse_rule(words).label for words in rules) if label.casefold() != ANY]


@dataclass(frozen=True)
class Crossing:
    """Says that a rule begins (``start``) or ceases (``end``) to hold for a label.

    Attributes:
        kind: ``start`` or ``end``.
        rule: The rule.
        label: The label.
        since: The second at which the condition became true, or false.
        gone: Whether the rule ends only because the clip of the stream has ended.
    """

    kind: Literal["start", "end"]
    rule: Rule
    label: str
    since: float
    gone: bool = False


@dataclass
class _LabelState:
    is_active: bool = False
    differs_since: float | None = None  # the second since which the condition contradicts is_active


class RuleTracker:
    """Follows one rule through probabilities in order of time.

    The rule begins to hold once its condition has been true without a break for ``hold_s`` seconds, and ceases to hold once the
    condition has been false for half a second. Both are dated to the beginning of that stretch.

    Args:
        rule: The rule.
        labels: All labels, in the model's order.

    Raises:
        UnknownNameError: The model does not know the rule's label.
    """

    def __init__(self, rule: Rule, labels: Sequence[str]) -> None:
        self.rule, self._labels = rule, tuple(labels)
        follows_all = rule.label.casefold() == ANY and ANY not in self._labels
        self._followed = np.arange(len(labels)) if follows_all else np.array([index_of(labels, rule.label)])
        self._states: dict[int, _LabelState] = {}

    def update(self, probs: FloatArray, *, time: float, is_there: Callable[[str], bool] = lambda label: True) -> list[Crossing]:
        """Return what changes with the probabilities ``(K,)`` at ``time`` seconds.

        ``is_there`` says whether the strongest evidence for a label lies in the rule's region.
        """
        holds = np.asarray(_COMPARE[self.rule.sign](np.asarray(probs, np.float64)[self._followed], self.rule.threshold))
        if self.rule.region:
            holds = np.array([over and is_there(self._labels[i]) for i, over in zip(self._followed, holds.tolist(), strict=True)])
        crossings = []
        for index in {*self._followed[holds].tolist(), *self._states}:
            state = self._states.setdefault(index, _LabelState())
            is_true = bool(holds[np.searchsorted(self._followed, index)])
            if is_true == state.is_active:
                state.differs_since = None
                if not state.is_active:
                    del self._states[index]
                continue
            state.differs_since = time if state.differs_since is None else state.differs_since
            if time - state.differs_since >= (RELEASE_S if state.is_active else self.rule.hold_s) - EPSILON_S:
                state.is_active = is_true
                kind: Literal["start", "end"] = "start" if is_true else "end"
                crossings.append(Crossing(kind, self.rule, self._labels[index], state.differs_since))
                state.differs_since = None
                if not is_true:
                    del self._states[index]
        return crossings

    def close(self, *, time: float) -> list[Crossing]:
        """End the clip of the stream at ``time``: what holds ends, and what was about to begin does not."""
        crossings = [
            Crossing(
                "end",
                self.rule,
                self._labels[index],
                time if state.differs_since is None else state.differs_since,
                gone=state.differs_since is None,
            )
            for index, state in self._states.items()
            if state.is_active
        ]
        self._states.clear()
        return crossings
