"""The verdict on a map in sentences: what was hidden, what that changed, how sure this is, and what follows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidcam.analysis import Analysis
from vidcam.io.formatting import percent, seconds

if TYPE_CHECKING:
    from vidcam.metrics.verdict import Verdict

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
    margin, whole = verdict.margin, verdict.whole
    subject = "The answer" if label == analysis.top(1)[0][0] else f"The score of {label}"
    more = f"{_points(abs(margin.mean))} {_more(margin.mean)}"
    certainty = f"On average of both tests, the hottest part matters {more} than other parts"
    if math.isfinite(margin.low) and math.isfinite(margin.high):
        certainty += f" (95\xa0% interval: {_number(margin.low)} to {_number(margin.high)})"
    return VerdictWords(
        word=verdict.word,
        label=label,
        meaning=MEANINGS[verdict.word].format(subject),
        hiding=f"{_tested(verdict, len(analysis.windows))} {hottest} {_change(verdict.removed)} the score of {label} from "
        f"{percent(whole)} to {_left(whole, verdict.removed)}; blurring equal areas elsewhere "
        f"{_change(verdict.removed_elsewhere)} it to {_left(whole, verdict.removed_elsewhere)}.",
        keeping=f"Showing only {hottest} leaves a score of {percent(verdict.kept)}, showing only equal areas elsewhere "
        f"{percent(verdict.kept_elsewhere)}.",
        certainty=f"{certainty}.",
    )


def _tested(verdict: Verdict, total: int) -> str:
    """Return the beginning of the sentence on hiding, which says on which clips its figures are the average."""
    if total == 1:
        return "Blurring"
    if verdict.windows == 1:
        return f"In the clip around {seconds(verdict.times[0])}, the only one of {total} that was tested, blurring"
    return f"On average over the {verdict.windows} clips tested (of {total}), blurring"


def _change(lost: float) -> str:
    return "lowers" if lost >= 0 else "raises"


def _more(margin: float) -> str:
    return "more" if margin >= 0 or _number(margin) == "0.0" else "less"


def _left(whole: float, lost: float) -> str:
    return percent(max(0.0, whole - lost))


def _points(probability: float) -> str:
    return f"{_number(probability)}\xa0points"


def _number(probability: float) -> str:
    return f"{100 * probability + 0.0:.1f}".replace("-0.0", "0.0").replace("-", "−")
