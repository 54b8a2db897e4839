"""The verdict on a map in sentences: what was hidden, what that changed, how sure this is, and what follows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vidcam.analysis import Analysis
from vidcam.io.formatting import percent

__all__ = ["VerdictWords", "describe_verdict"]

MEANINGS = {
    "supported": "{} depends on the hottest part more than on other parts of the same size.",
    "weak": "{} depends on the hottest part only a little more than on other parts of the same size.",
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
    def why(self) -> str:
        """What follows and what hiding does; unless that supports the map, also the other test and the average of both."""
        return " ".join([self.meaning, self.hiding, *([] if self.word == "supported" else [self.keeping, self.certainty])])

    @property
    def rest(self) -> str:
        """The figures that ``why`` leaves out; empty if it has all of them."""
        return f"{self.keeping} {self.certainty}" if self.word == "supported" else ""

    @property
    def sentence(self) -> str:
        """The verdict and why, for a reader who has no page."""
        return f"evidence for {self.label}: {self.word}. {self.why}"


def describe_verdict(analysis: Analysis) -> VerdictWords | None:
    """Return the verdict of an analysis in sentences; None if there is none."""
    verdict = analysis.verdict
    if verdict is None:
        return None
    from vidcam.metrics.verdict import SHARE  # here, because it imports OpenCV

    label, hottest = analysis.labels[0], f"the hottest {SHARE:.0%}".replace("%", "\xa0%")
    margin, elsewhere = verdict.margin, _elsewhere(verdict.removed, verdict.removed_elsewhere)
    subject = "The answer" if label == analysis.top(1)[0][0] else f"The score of {label}"
    more = f"{_points(abs(margin.mean))} {_more(margin.mean)}"
    certainty = f"On average of both tests, the hottest part matters {more} than other parts"
    if math.isfinite(margin.low) and math.isfinite(margin.high):
        certainty += f" (95\xa0% interval: {_number(margin.low)} to {_number(margin.high)})"
    return VerdictWords(
        word=verdict.word,
        label=label,
        meaning=MEANINGS[verdict.word].format(subject),
        hiding=f"{_tested(verdict.windows, len(analysis.windows))} {hottest} {_change(verdict.removed)} the score of {label} by "
        f"{_points(abs(verdict.removed))}, hiding equal areas elsewhere {elsewhere}.",
        keeping=f"Showing only {hottest} leaves a score of {percent(verdict.kept)}, showing only equal areas elsewhere "
        f"{percent(verdict.kept_elsewhere)}.",
        certainty=f"{certainty}.",
    )


def _tested(windows: int, total: int) -> str:
    """Return the beginning of the sentence on hiding, which says if only some windows were tested: its figures are theirs."""
    if windows == total:
        return "Hiding"
    which = "the window that was" if windows == 1 else f"the {windows} windows that were"
    return f"In {which} tested (of {total}), hiding"


def _change(lost: float) -> str:
    return "lowers" if lost >= 0 else "raises"


def _more(margin: float) -> str:
    return "more" if margin >= 0 or _number(margin) == "0.0" else "less"


def _elsewhere(lost: float, lost_elsewhere: float) -> str:
    """Return what hiding other parts does, without a verb if it is that of the hottest part."""
    verb = "" if (lost >= 0) == (lost_elsewhere >= 0) else f"{_change(lost_elsewhere)} it "
    return f"{verb}by {_points(abs(lost_elsewhere))}"


def _points(probability: float) -> str:
    return f"{_number(probability)}\xa0points"


def _number(probability: float) -> str:
    return f"{100 * probability + 0.0:.1f}".replace("-0.0", "0.0").replace("-", "−")
