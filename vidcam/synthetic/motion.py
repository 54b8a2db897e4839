"""The parts of every motion: curves over time, the motions of a resting person, and ``Action``.

Transitions are minimum-jerk curves (Flash and Hogan 1985) with a little overshoot; breathing, sway and weight shifts are added to
all of them. An action is a function of time. Before 0 and after ``length`` seconds there is rest, or the state that the action
leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vidcam.synthetic.arrays import Bools, Floats, Rng
from vidcam.synthetic.body import Pose

PI = np.pi
SIGN = np.array([1.0, -1.0])

NONE = "none of these"
"""The label of everything that is no action."""


@dataclass(frozen=True)
class Action:
    """One action: its poses at any second, when it happens, and which body parts make it."""

    label: str
    length: float
    pose: Callable[[Floats], Pose]
    spans: tuple[tuple[float, float], ...]  # the action happens here
    decisive: tuple[tuple[float, float, float], ...]  # what identifies it: (from, to, seconds of it that must be visible)
    groups: frozenset[int]
    seat: tuple[float, float] | None = None  # height above the floor and distance behind of something to sit on
    travels: bool = False

    def active(self, t: Floats) -> Bools:
        """Return whether the action happens at each of the seconds ``t (n,)``."""
        out: Bools = np.zeros(len(t), bool)
        for a, b in self.spans:
            out |= (t >= a) & (t <= b)
        return out


def ease(t: Floats, a: float, b: float) -> Floats:
    """Return 0 before ``a``, 1 after ``b``, and the minimum-jerk curve between."""
    s = np.clip((t - a) / max(b - a, 1e-6), 0, 1)
    out: Floats = s * s * s * (10 - 15 * s + 6 * s * s)
    return out


def bump(t: Floats, a: float, b: float, c: float, d: float) -> Floats:
    """Return a curve that rises from 0 to 1 between ``a`` and ``b`` and falls between ``c`` and ``d``."""
    return ease(t, a, b) - ease(t, c, d)


def settle(t: Floats, at: float, size: float, rate: float = 2.2) -> Floats:
    """Return a decaying swing that starts at ``at``, as when a fast motion stops."""
    s = np.maximum(t - at, 0)
    out: Floats = size * np.exp(-3.2 * s) * np.sin(2 * PI * rate * s)
    return out


def wander(rng: Rng, t: Floats, size: float, rate: float) -> Floats:
    """Return a smooth random curve of about ``size`` that changes about ``rate`` times a second."""
    out: Floats = np.zeros_like(t)
    for k in (0.31, 0.73, 1.0):
        out = out + rng.normal(0, 0.6) * np.sin(2 * PI * rate * k * rng.uniform(0.7, 1.3) * t + rng.uniform(0, 2 * PI))
    return size * out


class Stance:
    """The way one person rests: standing or seated, the arms, and the small motions that never stop."""

    def __init__(self, rng: Rng, *, seated: bool = False, arms: str | None = None) -> None:
        self.seed = int(rng.integers(2**31))
        self.seated = seated
        self.elev = rng.uniform(0.06, 0.26) + rng.normal(0, 0.03, 2)
        self.azim = rng.uniform(-0.2, 0.9) + rng.normal(0, 0.15, 2)
        self.flex = rng.uniform(0.1, 0.55) + rng.normal(0, 0.06, 2)
        self.width = rng.uniform(0.0, 0.07)
        self.step = rng.normal(0, 0.015, 2)
        self.seat = np.array([0.0, -rng.uniform(0.2, 0.27), -rng.uniform(0.16, 0.22)])
        self.lively = float(rng.choice([0.3, 1.0, 2.0], p=[0.3, 0.5, 0.2]))
        self.turn = rng.normal(0, 0.12)
        self.slouch = rng.uniform(-0.03, 0.14)
        kinds = ["hang", "lap", "desk", "hips", "crossed", "pockets", "front"]
        odds = [0.05, 0.5, 0.3, 0, 0.05, 0, 0.1] if seated else [0.74, 0, 0, 0.07, 0.05, 0.07, 0.07]
        self.arms = arms or str(rng.choice(kinds, p=odds))

    def pose(self, t: Floats) -> Pose:
        """Return the resting poses at the seconds ``t``."""
        rng = np.random.default_rng(self.seed)
        n = len(t)
        z3, z2 = np.zeros((n, 3)), np.zeros((n, 2))
        k = self.lively
        breath = np.sin(2 * PI * rng.uniform(0.2, 0.35) * t + rng.uniform(0, 6))
        root, rot, spine, head = z3.copy(), z3.copy(), z3.copy(), z3.copy()
        root[:, 0] = wander(rng, t, 0.005 * k, 0.35)
        root[:, 2] = wander(rng, t, 0.003 * k, 0.3)
        root[:, 1] = 0.0008 * breath - 0.004
        rot[:, 2] = wander(rng, t, 0.012 * k, 0.3)
        rot[:, 1] = wander(rng, t, 0.025 * k, 0.25)
        spine[:, 0] = self.slouch + 0.008 * breath + wander(rng, t, 0.012 * k, 0.3)
        spine[:, 2] = -rot[:, 2] * 1.4
        head[:, 0] = wander(rng, t, 0.05 * k, 0.4) - self.slouch * 0.8
        head[:, 1] = wander(rng, t, 0.12 * k, 0.3) + self.turn
        head[:, 2] = wander(rng, t, 0.03 * k, 0.3)
        elev = z2 + self.elev + wander(rng, t, 0.015 * k, 0.5)[:, None]
        azim, flex = z2 + self.azim, z2 + self.flex + wander(rng, t, 0.03 * k, 0.4)[:, None]
        hinge = np.tile(np.array([-0.15, 0.0, 1.0]), (n, 2, 1))
        target = np.tile(np.array([0.05, -0.9, 0.2]), (n, 2, 1))
        reach = z2.copy()
        ankle = np.zeros((n, 2, 3))
        ankle[:, 0, 0], ankle[:, 1, 0] = self.width, -self.width
        ankle[:, :, 2] = self.step
        if self.seated:
            root += self.seat
            ankle[:, :, 2] += rng.uniform(-0.05, 0.08)
        spots = {
            "lap": (0.0, -0.72, 0.5), "desk": (-0.1, -0.5, 0.62), "hips": (-0.02, -0.78, 0.05), "crossed": (-0.5, -0.45, 0.36),
            "pockets": (0.02, -0.93, 0.1), "front": (-0.3, -0.82, 0.25),
        }  # fmt: skip
        if self.arms in spots:
            target[:] = np.array(spots[self.arms]) + rng.normal(0, 0.04, 3)
            target += wander(rng, t, 0.008 * k, 0.5)[:, None, None]
            reach[:] = 1.0
        grip = z2 + rng.choice([0.2, 0.55])
        return Pose(root, rot, spine, head, elev, azim, flex, hinge, target, reach, z2.copy(), grip, ankle, z2.copy())


def release(p: Pose, side: int, amount: Floats) -> None:
    """Take an arm off its resting place (hips, desk, ...) as the action takes over."""
    p.reach[:, side] *= 1 - amount


def to(values: Floats, goal: Floats | float, amount: Floats) -> Floats:
    """Return the values moved towards ``goal`` by ``amount`` (0 to 1)."""
    return values + (goal - values) * amount


def point(p: Pose, side: int, goal: Floats, amount: Floats) -> None:
    """Bring a wrist to ``goal (n,3)`` (arm lengths from the shoulder, x outwards) by ``amount (n,)``."""
    w = np.maximum(p.reach[:, side], amount)
    blend = np.where(w > 0, amount / np.maximum(w, 1e-9), 0.0)
    p.target[:, side] = p.target[:, side] * (1 - blend[:, None]) + goal * blend[:, None]
    p.reach[:, side] = w


def repeats(rng: Rng, length: float | None, one: float, most: int) -> int:
    """Return how often ``one`` (seconds) fits into ``length``; if that is None, 1 to ``most`` at random."""
    return max(1, int(length / one)) if length else int(rng.integers(1, most + 1))
