"""The verdict on a map in sentences: what was hidden, what that changed, how sure this is, and what follows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vidcam.analysis import Analysis
from vidcam.io.formatting import percent

__all__ = ["VerdictWords", "describe_verdict"]

MEANINGS = {
    "supported": "The answer depends on the hottest part more than on other parts of the same size.",
    "weak": "The answer depends on the hottest part only a little more than on other parts of the same size.",
    "not supported": "Other parts of the same size may matter just as much, so don't rely on this map.",
}


@dataclass(frozen=True)
class VerdictWords:
    """A verdict as a reader finds it.

    Args:
        word: ``supported``, ``weak`` or ``not supported``.
        label: The class whose evidence was tested.
        meaning: What follows for the reader.
        hiding: What hiding the hottest part does, beside what hiding other parts does.
        keeping: What is left with only the hottest part, beside what is left with only other parts.
        certainty: By how much the hottest part matters more, with its interval.
    """

    word: str
    label: str
    meaning: str
    hiding: str
    keeping: str
    certainty: str

    @property
    def sentence(self) -> str:
        """The verdict, what follows and what hiding does, for a reader who has no page."""
        return f"evidence for {self.label}: {self.word}. {self.meaning} {self.hiding}"


def describe_verdict(analysis: Analysis) -> VerdictWords | None:
    """Return the verdict of an analysis in sentences; None if there is none."""
    verdict = analysis.verdict
    if verdict is None:
        return None
    from vidcam.metrics.verdict import SHARE  # here, because it imports OpenCV

    label, hottest, tested = analysis.labels[0], f"the hottest {SHARE:.0%}".replace("%", "\xa0%"), verdict.windows
    margin = verdict.margin
    certainty = f"In both tests together, the hottest part matters {_points(margin.mean)} more than other parts"
    if math.isfinite(margin.low) and math.isfinite(margin.high):
        certainty += f" (95\xa0% interval: {_number(margin.low)} to {_number(margin.high)})"
    return VerdictWords(
        word=verdict.word,
        label=label,
        meaning=MEANINGS[verdict.word],
        hiding=f"Hiding {hottest} {_change(verdict.removed)} the score of {label} by {_points(abs(verdict.removed))}, "
        f"hiding equal areas elsewhere {_elsewhere(verdict.removed, verdict.removed_elsewhere)} "
        f"({tested} of {len(analysis.windows)} window{'s' if len(analysis.windows) != 1 else ''} tested).",
        keeping=f"Showing only {hottest} leaves a score of {percent(verdict.kept)}, showing only equal areas elsewhere "
        f"{percent(verdict.kept_elsewhere)}.",
        certainty=f"{certainty}.",
    )


def _change(lost: float) -> str:
    return "lowers" if lost >= 0 else "raises"


def _elsewhere(lost: float, lost_elsewhere: float) -> str:
    """Return what hiding other parts does, without a verb if it is that of the hottest part."""
    verb = "" if (lost >= 0) == (lost_elsewhere >= 0) else f"{_change(lost_elsewhere)} it "
    return f"{verb}by {_points(abs(lost_elsewhere))}"


def _points(probability: float) -> str:
    return f"{_number(probability)}\xa0points"


def _number(probability: float) -> str:
    return f"{100 * probability + 0.0:.1f}".replace("-0.0", "0.0").replace("-", "−")
