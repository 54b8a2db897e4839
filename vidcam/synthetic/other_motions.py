"""Motions that are none of the named actions: dancing, drinking, working, gliding on wheels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vidcam.synthetic.arrays import Floats, Rng
from vidcam.synthetic.body import Pose
from vidcam.synthetic.motion import NONE, SIGN, Action, Stance, bump, ease, point, wander


@dataclass(frozen=True)
class _Moments:
    """The resting poses ``p`` at the seconds ``t``, which a motion changes, and the numbers that vary it."""

    p: Pose
    t: Floats
    g: Rng
    on: Floats  # (n,) how much of the motion there is: it fades in and out
    side: int
    rate: float
    big: float
    begin: float
    length: float


def other(rng: Rng, st: Stance, length: float | None) -> Action:
    """Do something that is none of the named actions.

    Looking around and typing are not among them: a person who does no more than that stands or sits idle.
    """
    d = length or 4.0
    kind = str(rng.choice([*_WHOLE_BODY, *_HAND]))
    side = int(rng.integers(2))
    seed = int(rng.integers(2**31))
    rate, big = rng.uniform(0.5, 2.0), rng.uniform(0.3, 1.2)
    begin = rng.uniform(0, 0.5)

    def pose(t: Floats) -> Pose:
        on = bump(t, begin - 0.4, begin + 0.3, d - 0.3, d + 0.4)
        m = _Moments(st.pose(t), t, np.random.default_rng(seed), on, side, rate, big, begin, d)
        if kind in _WHOLE_BODY:
            _WHOLE_BODY[kind](m)
        else:
            place, move = _HAND[kind]
            move(m, np.tile(np.array(place), (len(t), 1)) + m.g.normal(0, 0.06, 3))
        return m.p

    once = {"drink": 2.0, "point": 1.4, "throw": 1.3}.get(kind)  # before and after, there is only rest
    key = (0, d, 1.0) if once is None else (begin + 0.1, begin + once, 0.7 * once)
    return Action(NONE, d, pose, (), (key,), frozenset())


def _wander3(m: _Moments, sizes: tuple[float, float, float], rate: float) -> Floats:
    """Return a smooth random curve ``(n,3)`` with a size for each axis."""
    return np.stack([wander(m.g, m.t, size, rate) for size in sizes], -1)


# Motions of the whole body or of both hands ------------------------------------------------------------------------------------


def _floor(m: _Moments) -> None:
    """Do yoga or push-ups, lie or crawl."""
    p, t, g = m.p, m.t, m.g
    p.rot += np.stack([g.uniform(-1.7, 1.9) + wander(g, t, 0.15, 0.5), wander(g, t, 0.2, 0.3), g.normal(0, 0.5) + 0 * t], -1)
    p.root[:, 1] += -g.uniform(0.2, 0.42) + wander(g, t, 0.04, m.rate * 0.5)
    p.spine[:, 0] += g.normal(0, 0.4) + wander(g, t, 0.15, 0.5)
    p.ankle[:, :, 2] -= np.sin(p.rot[:, :1]) * g.uniform(0.2, 0.45)
    p.elev += g.uniform(0.3, 2.6) + wander(g, t, 0.3, m.rate)[:, None]
    p.azim[:] = g.uniform(0.5, 1.7)
    p.reach[:] = 0


def _drum(m: _Moments) -> None:
    """Move both hands up and down in turns in front of the body."""
    g, t = m.g, m.t
    m.p.spine[:, 0] += 0.1 * m.on
    for s in (0, 1):
        beat = np.maximum(np.sin(2 * np.pi * (1.0 + 1.5 * m.rate) * t + s * g.choice([0.0, np.pi], p=[0.2, 0.8])), -0.2)
        x, y = g.uniform(-0.35, 0.3), g.uniform(-0.55, -0.25)
        goal = np.stack([x + wander(g, t, 0.15, 0.5), y + 0.3 * m.big * beat, np.full(len(t), 0.55)], -1)
        point(m.p, s, goal, m.on)


def _glide(m: _Moments) -> None:
    """Travel with the whole body while the legs do not step: on a skateboard, a bicycle, an escalator."""
    p, t, g = m.p, m.t, m.g
    way = g.choice([-1.0, 1.0])
    along = way * g.uniform(0.15, 0.9) * (t - 0.3 * m.length)
    p.root[:, 0] += along
    p.ankle[:, :, 0] += along[:, None]
    p.root[:, 1] -= g.uniform(0.0, 0.12)
    p.rot[:, 1] += way * g.uniform(0.2, 1.6)
    p.spine += np.stack([g.uniform(0, 0.5) + wander(g, t, 0.06, 0.6), wander(g, t, 0.1, 0.5), wander(g, t, 0.1, 0.5)], -1)
    for s in (0, 1):
        goal = g.uniform(-0.5, 0.6, 3) + _wander3(m, (0.12, 0.12, 0.12), 0.7)
        point(p, s, goal, m.on)


def _dance(m: _Moments) -> None:
    """Sway, turn and step with swinging arms."""
    p, t, g, on, rate = m.p, m.t, m.g, m.on[:, None], m.rate
    p.root += (
        np.stack([wander(g, t, 0.05 * m.big, rate), wander(g, t, 0.025 * m.big, rate) - 0.04, wander(g, t, 0.04, rate)], -1) * on
    )
    p.rot += _wander3(m, (0.08 * m.big, 0.35 * m.big, 0.1 * m.big), rate) * on
    p.spine += _wander3(m, (0.15 * m.big, 0.3 * m.big, 0.18 * m.big), rate) * on
    for s in (0, 1):
        goal = np.stack([wander(g, t, 0.35, rate), wander(g, t, 0.45, rate) - 0.25, 0.4 + wander(g, t, 0.25, rate)], -1)
        point(p, s, goal, m.on)
        p.ankle[:, s, 1] += np.maximum(wander(g, t, 0.05, rate), 0) * m.on
        p.ankle[:, s, 0] += wander(g, t, 0.04, rate * 0.5) * m.on


def _press(m: _Moments) -> None:
    """Push both hands up from the shoulders and lower them, as with weights."""
    beat = 0.5 - 0.5 * np.cos(2 * np.pi * m.g.uniform(0.3, 0.8) * m.t)
    x, z, low, high = m.g.uniform(0.0, 0.35), m.g.uniform(0.0, 0.35), m.g.uniform(-0.5, 0.2), m.g.uniform(0.45, 0.95)
    for s in (0, 1):
        goal = np.stack([np.full(len(m.t), x), low + (high - low) * beat, np.full(len(m.t), z)], -1)
        point(m.p, s, goal, m.on)
        m.p.grip[:, s] = 1.0


def _lunge(m: _Moments) -> None:
    """Step far to the side or ahead, bend that knee, and step back; or go from side to side in a wide stance."""
    p, t, g, s = m.p, m.t, m.g, m.side
    if g.random() < 0.4:  # from side to side in a wide stance
        wide, way = g.uniform(0.18, 0.34), np.sin(2 * np.pi * g.uniform(0.2, 0.45) * t)
        p.ankle[:, 0, 0] += wide * m.on
        p.ankle[:, 1, 0] -= wide * m.on
        p.root += np.stack([0.8 * wide * way * m.on, -(0.04 + 0.2 * np.abs(way)) * m.on, 0.0 * t], -1)
        p.spine[:, 0] += g.uniform(0, 0.4) * m.on
        return
    k = (0.5 - 0.5 * np.cos(2 * np.pi * g.uniform(0.3, 0.6) * t)) * m.on
    x, z = g.choice([SIGN[s] * g.uniform(0.25, 0.42), 0.0]), g.uniform(0.3, 0.5)
    z = z if x == 0 else 0.0
    p.ankle[:, s, 0] += x * k
    p.ankle[:, s, 2] += z * k
    p.root += np.stack([0.6 * x * k, -g.uniform(0.1, 0.2) * k, 0.5 * z * k], -1)
    p.spine[:, 0] += g.uniform(0, 0.3) * k
    for q in (0, 1):
        point(p, q, np.tile(np.array([-0.28, -0.2, 0.42]), (len(t), 1)), m.on)


def _flow(m: _Moments) -> None:
    """Move both arms and the weight slowly and evenly, as in tai chi, in a wide stance."""
    p, t, g = m.p, m.t, m.g
    wide, low = g.uniform(0.06, 0.3), g.uniform(0.04, 0.2)
    p.ankle[:, 0, 0] += wide * m.on
    p.ankle[:, 1, 0] -= wide * m.on
    p.root += np.stack([wander(g, t, 0.08, 0.25), -low * m.on + wander(g, t, 0.02, 0.25), wander(g, t, 0.03, 0.25)], -1)
    p.rot[:, 1] += wander(g, t, 0.4, 0.2)
    for s in (0, 1):
        point(p, s, np.array([0.0, -0.15, 0.6]) + _wander3(m, (0.4, 0.35, 0.3), 0.3), m.on)


# Motions of one hand to a goal (n,3), and of both hands to one place ------------------------------------------------------------


def _drink(m: _Moments, goal: Floats) -> None:
    use = bump(m.t, m.begin, m.begin + 0.8, m.begin + 2.0, m.begin + 2.8)
    m.p.head[:, 0] -= 0.25 * use
    point(m.p, m.side, goal, use)


def _point(m: _Moments, goal: Floats) -> None:
    goal = goal + np.array([m.g.uniform(-0.6, 0.7), m.g.uniform(-0.3, 0.4), -m.g.uniform(0, 0.5)])
    point(m.p, m.side, goal, bump(m.t, m.begin, m.begin + 0.5, m.begin + 1.4, m.begin + 2.0))


def _work(m: _Moments, goal: Floats) -> None:
    _with_both_hands(m, goal, size=0.22, twist=0.0)


def _lean(m: _Moments, goal: Floats) -> None:
    _with_both_hands(m, goal, size=0.05, twist=0.2)


def _with_both_hands(m: _Moments, goal: Floats, *, size: float, twist: float) -> None:
    for s in (0, 1):
        point(m.p, s, goal + _wander3(m, (size, size, size), m.rate * 2), m.on)
    m.p.spine[:, 0] += 0.25 * m.on
    m.p.spine[:, 1] += wander(m.g, m.t, twist, 0.4)
    m.p.head[:, 0] += 0.25 * m.on


def _throw(m: _Moments, goal: Floats) -> None:
    t, begin, side = m.t, m.begin, m.side
    k = ease(t, begin + 0.7, begin + 0.95)[:, None]
    goal = goal * (1 - k) + np.array([-0.3, 0.0, 0.9]) * k
    m.p.spine[:, 1] += SIGN[side] * (-0.5 * bump(t, begin, begin + 0.5, begin + 0.6, begin + 0.9) + 0.5 * k[:, 0] * m.on)
    m.p.ankle[:, 1 - side, 2] += 0.15 * ease(t, begin + 0.3, begin + 0.7)
    point(m.p, side, goal, bump(t, begin, begin + 0.5, begin + 1.3, begin + 2))


def _scratch(m: _Moments, goal: Floats) -> None:
    m.p.head[:, 2] += 0.15 * m.on
    point(m.p, m.side, goal + _wander3(m, (0.03, 0.04, 0.02), 4), m.on)


def _stretch(m: _Moments, goal: Floats) -> None:
    point(m.p, 1 - m.side, goal * np.array([-0.4, 0.6, 1.0]), m.on * 0.9)
    m.p.spine[:, 2] += 0.3 * SIGN[m.side] * bump(m.t, m.begin, m.begin + 1, m.begin + 1.8, m.begin + 2.6)
    point(m.p, m.side, goal, m.on)


_WHOLE_BODY: dict[str, Callable[[_Moments], None]] = {
    "floor": _floor, "drum": _drum, "glide": _glide, "dance": _dance, "press": _press, "lunge": _lunge, "flow": _flow,
}  # fmt: skip

_HAND: dict[str, tuple[tuple[float, float, float], Callable[[_Moments, Floats], None]]] = {
    "drink": ((-0.42, 0.12, 0.35), _drink), "scratch": ((-0.35, 0.38, 0.12), _scratch), "point": ((0.2, 0.05, 0.97), _point),
    "work": ((-0.1, -0.3, 0.6), _work), "throw": ((0.1, 0.5, -0.2), _throw), "stretch": ((0.5, 0.75, 0.0), _stretch),
    "lean": ((0.3, -0.4, 0.4), _lean),
}  # fmt: skip
"""Where the hand goes (arm lengths from the shoulder, x outwards), and the motion."""
