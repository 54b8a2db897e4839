"""Which of several methods explains a video best? The choice from their figures, with the reasons for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vidcam.metrics.faithfulness import Interval, bootstrap

__all__ = ["CLEAR", "BetterMethod", "MapFigures", "MethodChoice", "choose_best"]

CLEAR = 0.05
"""By how much LeRF − MoRF must be larger, so that one method counts as clearly better than another."""

ROUNDING = 1e-6
"""A smaller difference of probabilities is a rounding error."""


@dataclass(frozen=True)
class MapFigures:
    """The figures of one method's maps, or of a control's, in the clips in which it was tested.

    Attributes:
        name: The name of the method or of the control.
        per_clip: For each imputer LeRF − MoRF in each clip, from −1 to 1, in the same order of clips.
    """

    name: str
    per_clip: Mapping[str, Sequence[float]]

    @classmethod
    def of_means(cls, name: str, means: Mapping[str, float]) -> MapFigures:
        """Return the figures of which only the mean for each imputer is known."""
        return cls(name, {imputer: (mean,) for imputer, mean in means.items()})

    @property
    def lerf_minus_morf(self) -> dict[str, Interval]:
        """The mean over the clips for each imputer, with its interval; NaN for the ends if there is one clip."""
        return {imputer: bootstrap(values) for imputer, values in self.per_clip.items()}

    @property
    def mean(self) -> float:
        """The mean over imputers and clips, by which methods are compared."""
        return float(np.mean([np.mean(values) for values in self.per_clip.values()]))

    def is_clearly_better(self, other: MapFigures) -> bool:
        """Return whether the map beats the other one by at least :data:`CLEAR` on average, and loses with no imputer.

        In a video that stands still, frozen frames change nothing, so with them neither wins.
        """
        ahead = [float(np.mean(mine) - np.mean(other.per_clip[key])) for key, mine in self.per_clip.items()]
        return float(np.mean(ahead)) >= CLEAR and min(ahead) > -ROUNDING


@dataclass(frozen=True)
class MethodChoice:
    """Which method explains a video, and why.

    Attributes:
        method: The name of the chosen method.
        default: The name of the model's default method.
        tested: The figures of the methods, the best first.
        controls: The figures of maps that know nothing of the model, the best first.
        clips: In how many clips they were tested.
        refused: Why other methods could not be tested, by their names.
    """

    method: str
    default: str
    tested: tuple[MapFigures, ...]
    controls: tuple[MapFigures, ...]
    clips: int
    refused: Mapping[str, str] = field(default_factory=dict)

    def of(self, name: str) -> MapFigures:
        """Return the figures of a tested method."""
        return next(tested for tested in self.tested if tested.name == name)

    @property
    def beats_controls(self) -> bool:
        """Whether the chosen method's mean is above that of every control."""
        return self.of(self.method).mean > self.controls[0].mean

    @property
    def sentence(self) -> str:
        """Say in words which method was chosen, and why."""
        chosen, control = self.of(self.method), self.controls[0]
        where = f"in {self.clips} {'clip' if self.clips == 1 else 'clips'} of this video"
        against = f"the best control, {control.name}, {_number(control.mean)}"
        if not self.beats_controls:
            best = self.tested[0]
            return (
                f"the tested methods do not clearly beat the controls: {where}, LeRF − MoRF of the best, {best.name}, is "
                f"{_number(best.mean)}, that of {against}; so the test cannot tell which map is right, and the default "
                f"{self.method} is shown"
            )
        if self.method == self.default:
            others = [tested for tested in self.tested if tested.name != self.method]
            next_best = f" that of {others[0].name} {_number(others[0].mean)}," if others else ""
            return (
                f"the default method {self.method} explains this video: no other is clearly better; {where}, its LeRF − MoRF is "
                f"{_number(chosen.mean)},{next_best} that of {against}"
            )
        return (
            f"{self.method} explains this video best: {where}, its LeRF − MoRF is {_number(chosen.mean)}, that of the default "
            f"{self.default} {_number(self.of(self.default).mean)}, that of {against}"
        )


@dataclass(frozen=True)
class BetterMethod:
    """A method whose maps are known to explain the model clearly better than those that are ``shown``.

    Attributes:
        method: Its name.
        shown: The name of the method whose maps are shown.
        lerf_minus_morf: Its mean LeRF − MoRF over imputers and clips; ``shown_lerf_minus_morf`` is that of the shown method.
        pointing: The share of the frames whose hottest cell lies on those who act; ``shown_pointing`` likewise.
        clips: The number of real clips on which the model was measured (docs/methods.md).
    """

    method: str
    shown: str
    lerf_minus_morf: float
    shown_lerf_minus_morf: float
    pointing: float
    shown_pointing: float
    clips: int

    def sentence(self, model: str) -> str:
        """Say in words which method to take, and why."""
        return (
            f"the map of {self.method} explains {model} better than that of {self.shown}: on {self.clips} real clips LeRF − MoRF "
            f"is {_number(self.lerf_minus_morf)} instead of {_number(self.shown_lerf_minus_morf)}, and the hottest cell lies on "
            f"those who act in {self.pointing:.0%} of the frames instead of {self.shown_pointing:.0%}; use --method {self.method}"
        )


def choose_best(
    tested: Sequence[MapFigures], controls: Sequence[MapFigures], *, default: str, refused: Mapping[str, str] | None = None
) -> MethodChoice:
    """Choose the method with the largest mean of those that are clearly better than the default; else the default stays.

    Args:
        tested: The figures of the methods, that of the default among them.
        controls: The figures of maps that know nothing of the model, at least one.
        default: The name of the default method.
        refused: Why other methods could not be tested.
    """

    def rank(maps: Sequence[MapFigures]) -> tuple[MapFigures, ...]:
        return tuple(sorted(maps, key=lambda one: -one.mean))

    ranked = rank(tested)
    usual = next(one for one in tested if one.name == default)
    best = next((one for one in ranked if one.is_clearly_better(usual)), usual)
    clips = len(next(iter(usual.per_clip.values())))
    choice = MethodChoice(best.name, default, ranked, rank(controls), clips, refused or {})
    if not choice.beats_controls:  # nothing speaks for another method than the usual one
        return MethodChoice(default, default, ranked, choice.controls, clips, choice.refused)
    return choice


def _number(value: float) -> str:
    """Return a figure with two digits and a real minus sign."""
    return "–" if math.isnan(value) else f"{value:.2f}".replace("-", "−")
